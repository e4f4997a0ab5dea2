"""Fixtures for all tests: workspaces, from an empty one to one in which every stage has run once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

from analognas.environment import prepare
from analognas.params import Params
from analognas.stages import STAGES, run_stage
from analognas.template import source
from analognas.workspace import Paths

#: Small enough that all five stages take seconds, large enough that every stage has something to do.
TINY = (
    "sample.size=10",
    "space.max_params=3k",
    "characterize.epochs=2",
    "characterize.hwa_epochs=1",
    "characterize.repeats=2",
    "fit.folds=3",
    "fit.bootstrap=100",
    "search.population_size=8",
    "search.nb_iter=2",
    "search.runs=2",
    "search.T_AVM=null",
    "search.min_acc_1d=0",
    "train.epochs=2",
    "train.hwa_epochs=1",
    "train.repeats=2",
    "train.times=[1, 3600, 86400, 2592000]",
    "run.workers=2",
)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what a developer has set on her machine out of the tests."""
    for name in ("ANALOGNAS_RESULTS", "MLFLOW_TRACKING_URI", "PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def make_workspace() -> Callable[..., Paths]:
    """Return a function that makes a workspace (without git and DVC) in a folder."""

    def make(folder: Path, *assignments: str) -> Paths:
        for name in ("params.yaml", "dvc.yaml", "flows/pipeline.py", "data/rounds/000.json"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source() / name, folder / name)
        prepare(Paths(folder), assignments)
        return Paths(folder)

    return make


@pytest.fixture
def workspace(tmp_path: Path, make_workspace: Callable[..., Paths]) -> Paths:
    """Return a tiny workspace in which nothing has run."""
    return make_workspace(tmp_path / "workspace", *TINY)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, make_workspace: Callable[..., Paths]) -> Paths:
    """Return a tiny workspace in which every stage has run; for reading only, copy it to change it."""
    paths = make_workspace(tmp_path_factory.mktemp("finished") / "workspace", *TINY)
    for stage in STAGES:
        run_stage(stage, Params.load(paths.params), paths)
    return paths


@pytest.fixture
def finished_copy(finished: Paths, tmp_path: Path) -> Paths:
    """Return a copy of the finished workspace that may be changed."""
    return Paths(Path(shutil.copytree(finished.root, tmp_path / "copy")))
