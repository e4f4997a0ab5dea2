from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest
import sqlalchemy

from analognas import tracking
from analognas.errors import CorruptFileError, WorkspaceError
from analognas.params import Params
from analognas.tracking import connection
from analognas.workspace import Paths

PARAMS = Params()


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Return an empty workspace."""
    (tmp_path / "space").mkdir()
    return Paths(tmp_path / "space")


def test_names_on_a_shared_server_end_in_the_experiments(paths: Paths, monkeypatch: pytest.MonkeyPatch):
    assert tracking.registered_name(paths, PARAMS, "winner") == "analognas-winner"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert tracking.registered_name(paths, PARAMS, "winner") == "analognas-winner-space"
    named = Params.model_validate({"run": {"experiment": "team/digits: Anna's"}})
    assert tracking.registered_name(paths, named, "winner") == "analognas-winner-team_digits_ Anna_s"


def test_runs_are_kept_in_the_workspace_unless_a_server_is_named(paths: Paths, monkeypatch: pytest.MonkeyPatch):
    for nothing in (None, ""):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", nothing or "")
        if nothing is None:
            monkeypatch.delenv("MLFLOW_TRACKING_URI")
        assert connection.tracking_uri(paths) == f"sqlite:///{paths.root}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert connection.tracking_uri(paths) == "http://127.0.0.1:9"


@pytest.mark.parametrize("name", ["plain", "with space", "#1", "100%", "%3F", "why?", "a?b=c&uri=true", "50% ?#"])
def test_the_address_of_a_database_is_read_as_its_file(tmp_path: Path, name: str):
    root = tmp_path / name
    root.mkdir()
    uri = connection.tracking_uri(Paths(root))
    assert connection.database_path(uri) == root / "mlflow.db"
    engine = sqlalchemy.create_engine(uri)
    with engine.connect() as opened:
        opened.execute(sqlalchemy.text("CREATE TABLE made (x)"))
    engine.dispose()
    assert [path.name for path in root.iterdir()] == ["mlflow.db"]
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_only_sqlite_has_a_file():
    assert connection.database_path("postgresql://host/mlflow") is None
    assert connection.database_path("sqlite:///relative.db") == Path("relative.db")


def test_an_experiment_has_the_name_of_the_folder_or_its_own(paths: Paths):
    assert connection.experiment_name(paths, PARAMS) == "space"
    assert connection.experiment_name(paths, Params.model_validate({"run": {"experiment": "mine"}})) == "mine"


def test_a_damaged_database_is_named_and_a_server_is_not_looked_at(paths: Paths):
    database = paths.root / "mlflow.db"
    uri = connection.tracking_uri(paths)
    assert connection.check_database(uri) is None  # it is not there yet
    database.write_bytes(b"no database " * 1000)
    with pytest.raises(CorruptFileError, match=f"{database} is damaged: move it away"):
        connection.check_database(uri)
    assert connection.check_database(f"http://127.0.0.1:9/{database}") is None
    with pytest.raises(WorkspaceError, match=r"database /proc/x.db cannot be opened: see to it"):
        connection.check_database("sqlite:////proc/x.db")


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch):
    for name in connection._SETTINGS:
        monkeypatch.setenv(name, "")  # so that it is as before afterwards
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    connection.configure()
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_only_one_process_at_a_time_opens_the_database(paths: Paths):
    lock = paths.private() / "tracking.lock"
    with connection.one_process(paths), lock.open("w") as other, pytest.raises(BlockingIOError):
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with lock.open("w") as other:
        assert fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB) is None
