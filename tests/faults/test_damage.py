"""Files that are cut off: they are named, never taken for whole, and made anew."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from analognas import tracking
from analognas.errors import CorruptFileError
from analognas.params import Params
from analognas.results import ResultStore
from analognas.stages import STAGES
from analognas.stages.protocols import RECORD
from analognas.training.winner import load_winner
from analognas.versioning import Versioning
from analognas.workspace import Paths

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]


def cut(path: Path, part: float = 0.5) -> None:
    """Cut a file off, as a disk does that lost its end."""
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content))])


@pytest.mark.parametrize("part", [0.0, 0.5, 0.98])
def test_a_cut_off_result_is_measured_anew_and_no_other(faults: Any, part: float, tmp_path: Path):
    paths = faults.before("fit", tmp_path / "workspace")
    store = ResultStore.of(paths.root)
    key = sorted(store.keys())[3]
    name = store.get(key).id
    cut(store.path(key), part)
    trainings = tmp_path / "trainings"
    done = faults.attempt(paths, "stage", "characterize", environment={"FAULTS_TRAININGS": str(trainings)})
    assert done.code == 0, done.said
    assert f"analognas: {store.path(key)} is damaged" in done.said
    assert "measured anew" in done.said
    assert [json.loads(line)[-1] for line in trainings.read_text().splitlines()] == [name]
    faults.same(paths, "characterize")


@pytest.mark.parametrize(
    ("stage", "file", "remedy"),
    [
        ("characterize", "data/architectures.parquet", "sample"),
        ("fit", "data/surrogate.parquet", "characterize"),
        ("search", "data/evaluator/schema.json", "fit"),
        ("search", "data/evaluator/acc_1d/00.ubj", "fit"),
        ("train", "data/search/best.json", "search"),
    ],
)
def test_a_cut_off_input_of_a_stage_is_named_with_the_stage_that_makes_it_anew(
    faults: Any, stage: str, file: str, remedy: str, tmp_path: Path
):
    paths = faults.before(stage, tmp_path / "workspace", stored=100)
    cut(paths.root / file)
    refused = faults.attempt(paths, "stage", stage)
    assert refused.code == 2, refused.said
    assert refused.said.startswith(f"analognas: {paths.root / file} is damaged"), refused.said
    assert f"analognas stage {remedy}" in refused.said
    assert not any(out.exists() for out in faults.outputs(paths, stage))
    for name in (remedy, stage):
        done = faults.attempt(paths, "stage", name)
        assert done.code == 0, done.said
    faults.same(paths, remedy, stage)


@pytest.mark.parametrize(
    "name", ["model.safetensors", "winner.json", "architecture.json", "hardware.json", "preprocessing.json", "card.md"]
)
def test_a_cut_off_winner_is_named(name: str, finished_copy: Paths):
    cut(finished_copy.winner / name)
    with pytest.raises(CorruptFileError, match=rf"{name} is damaged.*analognas stage train"):
        load_winner(finished_copy.winner)


@pytest.fixture
def recorded(faults: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A workspace in which everything is up to date, for DVC and in MLflow."""
    paths = Paths(Path(shutil.copytree(faults.reference.root, tmp_path / "workspace")))
    for name, value in faults.home.items():
        monkeypatch.setenv(name, value)
    versioning = Versioning.init(paths.root)
    assert versioning is not None
    for stage in (RECORD, *STAGES):
        versioning.commit(stage)
    report = tracking.sync(paths, Params.load(paths.params), versioning)
    assert report.warning is None
    faults.complete(paths)
    return paths


def test_a_run_makes_everything_anew_that_was_cut_off(faults: Any, recorded: Paths):
    store = ResultStore.of(recorded.root)
    damaged = store.path(sorted(store.keys())[0])
    for path in (
        damaged, recorded.architectures, recorded.surrogate, recorded.evaluator / "schema.json",
        recorded.search / "best.json", recorded.winner / "model.safetensors", recorded.metrics("fit"),
    ):  # fmt: skip
        path.chmod(0o644)
        cut(path)
    code, said = faults.run(recorded).finish()
    assert code == 0, said
    assert f"{damaged} is damaged" in said
    faults.complete(recorded)


def test_a_cut_off_lock_of_dvc_is_named_and_may_be_deleted(faults: Any, recorded: Paths):
    lock = recorded.root / "dvc.lock"
    whole = lock.read_bytes()
    lock.write_bytes(whole[: whole.index(b"hash: md5", len(whole) // 2) + 3])  # between two lines it may be YAML still
    code, said = faults.run(recorded).finish()
    assert (code, said) == (
        2, f"analognas: {lock} is damaged: restore it from git, or delete it and run again.\n"
    )  # fmt: skip
    lock.unlink()
    code, said = faults.run(recorded).finish()
    assert code == 0, said
    faults.complete(recorded)
    assert lock.read_bytes() == whole


@pytest.mark.parametrize("part", [0.0, 0.5])
def test_the_cut_off_state_of_dvc_is_named_with_the_remedy(faults: Any, recorded: Paths, part: float):
    databases = list(Path(faults.home["DVC_SITE_CACHE_DIR"]).rglob("*.db"))
    assert databases
    for path in databases:
        cut(path, part)
    code, said = faults.run(recorded).finish()
    if code != 0:
        assert "Traceback" not in said
        assert faults.home["DVC_SITE_CACHE_DIR"] in said, said
        shutil.rmtree(faults.home["DVC_SITE_CACHE_DIR"])
        code, said = faults.run(recorded).finish()
    assert code == 0, said
    assert "nothing to do" in said
    faults.complete(recorded)


@pytest.mark.parametrize("part", [0.0, 0.5, 0.9])
def test_a_cut_off_database_of_mlflow_costs_no_result_and_is_named(faults: Any, recorded: Paths, part: float):
    database = recorded.root / "mlflow.db"
    cut(database, part)
    shutil.rmtree(recorded.search)  # there is something to do
    code, said = faults.run(recorded).finish()
    assert code == 0, said
    faults.same(recorded, *STAGES)
    if part:
        assert f"MLflow's database {database} is damaged: move it away" in said, said
        database.unlink()
    code, said = faults.run(recorded).finish()
    assert code == 0, said
    faults.complete(recorded)


def test_a_cut_off_database_of_prefect_is_named_with_the_remedy(faults: Any, recorded: Paths):
    shutil.rmtree(recorded.search)
    home = recorded.root.parent / "prefect"
    code, said = faults.run(recorded, ephemeral=True, PREFECT_HOME=str(home)).finish()  # there is a database now
    assert code == 0, said
    database = home / "prefect.db"
    for path in database.parent.glob("prefect.db*"):
        cut(path)
    shutil.rmtree(recorded.search)
    code, said = faults.run(recorded, ephemeral=True, PREFECT_HOME=str(home)).finish()
    if code != 0:
        assert code == 1
        assert "Traceback" not in said
        assert f"move {database} away" in said, said
        for path in database.parent.glob("prefect.db*"):
            path.unlink()
        code, said = faults.run(recorded, ephemeral=True, PREFECT_HOME=str(home)).finish()
    assert code == 0, said
    faults.complete(recorded)
