import contextlib
import sqlite3
from pathlib import Path

import pytest

from analognas.errors import AnalogNASWarning
from analognas.params import Params
from analognas.tracking import moved
from analognas.workspace import Paths

PARAMS = Params()
_TABLES = """
CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, name TEXT, artifact_location TEXT);
CREATE TABLE runs (run_uuid TEXT PRIMARY KEY, name TEXT, experiment_id INTEGER, artifact_uri TEXT);
CREATE TABLE tags (run_uuid TEXT, key TEXT, value TEXT);
CREATE TABLE logged_models (model_id TEXT, artifact_location TEXT);
CREATE TABLE model_versions (name TEXT, storage_location TEXT);
"""


class Logged:
    """A workspace with one logged run, in the tables of MLflow that matter."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.paths = Paths(root)
        place = (root / "mlartifacts" / root.name).as_uri()
        (root / "mlartifacts" / root.name / "run" / "artifacts").mkdir(parents=True)
        with self.opened() as database:
            database.executescript(_TABLES)
            database.execute("INSERT INTO experiments VALUES (0, 'Default', ?)", (f"{root}/mlruns/0",))
            database.execute("INSERT INTO experiments VALUES (1, ?, ?)", (root.name, place))
            database.execute("INSERT INTO experiments VALUES (2, 'hers', ?)", (f"{root.parent}/else/mlartifacts/hers",))
            database.execute("INSERT INTO runs VALUES ('run', 'fit', 1, ?)", (f"{place}/run/artifacts",))
            database.execute("INSERT INTO tags VALUES ('run', 'analognas.stage', 'fit')")

    def opened(self) -> contextlib.AbstractContextManager[sqlite3.Connection]:
        return _opened(self.paths)


@contextlib.contextmanager
def _opened(paths: Paths):
    with contextlib.closing(sqlite3.connect(paths.root / "mlflow.db")) as database, database:
        yield database


def named(paths: Paths) -> list[str]:
    with _opened(paths) as database:
        rows = [row for table, column in moved.PLACES for row in database.execute(f"SELECT {column} FROM {table}")]
    return [place for (place,) in rows]


def names(paths: Paths) -> list[str]:
    with _opened(paths) as database:
        return [name for (name,) in database.execute("SELECT name FROM experiments ORDER BY 1")]


@pytest.fixture(params=["space", "why? #1 100%"])
def logged(tmp_path: Path, request: pytest.FixtureRequest) -> Logged:
    return Logged(tmp_path / request.param)


def test_where_nothing_was_moved_nothing_is_said_or_changed(logged: Logged, recwarn: pytest.WarningsRecorder):
    before = (logged.paths.root / "mlflow.db").read_bytes()
    moved.settle(logged.paths, PARAMS)
    assert (logged.paths.root / "mlflow.db").read_bytes() == before
    assert not recwarn.list


def test_a_moved_workspace_names_its_new_folder_and_says_so(logged: Logged, tmp_path: Path):
    old, new = logged.paths.root, tmp_path / "new ?"
    old.rename(new)
    with pytest.warns(AnalogNASWarning, match=r"was .* names .*new \? now, and experiment .* is called new \?\.$"):
        moved.settle(Paths(new), PARAMS)
    places = named(Paths(new))
    assert places[0] == f"{new}/mlruns/0"
    assert places[1] == f"{new.as_uri()}/mlartifacts/{Path(old.as_uri()).name}"  # the folder's name is as it was
    assert places[2] == f"{tmp_path}/else/mlartifacts/hers"
    assert places[3] == f"{places[1]}/run/artifacts"
    assert names(Paths(new)) == ["Default", "hers", "new ?"]
    moved.settle(Paths(new), PARAMS)  # and is silent from then on: warnings are errors


def test_a_copy_leaves_to_the_original_what_only_that_has(logged: Logged, tmp_path: Path):
    import shutil

    copy = Path(shutil.copytree(logged.paths.root, tmp_path / "copy"))
    elsewhere = logged.paths.root / "mlartifacts" / logged.paths.root.name / "later" / "artifacts"
    elsewhere.mkdir(parents=True)
    with _opened(Paths(copy)) as database:  # as a copy was logged before this was mended
        database.execute("INSERT INTO runs VALUES ('later', 'fit', 1, ?)", (elsewhere.as_uri(),))
    with pytest.warns(AnalogNASWarning):
        moved.settle(Paths(copy), PARAMS)
    places = named(Paths(copy))
    assert str(places[3]).startswith(copy.as_uri())
    assert places[4] == elsewhere.as_uri()


def test_an_experiment_of_a_name_of_its_own_keeps_it(logged: Logged, tmp_path: Path):
    logged.paths.root.rename(tmp_path / "new")
    with pytest.warns(AnalogNASWarning, match=r"now\.$"):
        moved.settle(Paths(tmp_path / "new"), Params.model_validate({"run": {"experiment": "mine"}}))
    assert logged.paths.root.name in names(Paths(tmp_path / "new"))


def test_a_server_and_an_empty_database_are_left_alone(
    logged: Logged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
):
    logged.paths.root.rename(tmp_path / "new")
    with monkeypatch.context() as server:
        server.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        moved.settle(Paths(tmp_path / "new"), PARAMS)
    for content in (b"", b"no database " * 100):
        (tmp_path / "new" / "mlflow.db").write_bytes(content)
        moved.settle(Paths(tmp_path / "new"), PARAMS)
    (tmp_path / "new" / "mlflow.db").unlink()
    moved.settle(Paths(tmp_path / "new"), PARAMS)
    assert not recwarn.list
