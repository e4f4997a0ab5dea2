from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest

from analognas import retraining, tracking
from analognas.errors import InputError, StageError
from analognas.files import file_digest
from analognas.orchestration import rollback
from analognas.params import Params
from analognas.params.file import override
from analognas.retraining import Need
from analognas.stages import run_stage
from analognas.tracking import champions, connection, state
from analognas.workspace import Paths


def sync(paths: Paths) -> None:
    assert tracking.sync(paths, Params.load(paths.params), None).warning is None


def retrain(paths: Paths, formula: Any) -> str:
    """All steps of the flow, without Prefect, then MLflow."""
    params = Params.load(paths.params)
    retraining.draw_sentinel(retraining.Workbench(params, paths))
    number = retraining.open_round(retraining.Workbench(params, paths), Need(("it was asked for",))).number
    formula.all(paths)
    retraining.challenge(retraining.Workbench(params, paths), number)
    decided = retraining.conclude(retraining.Workbench(params, paths), number)
    for stage in ("characterize", "fit"):
        run_stage(stage, params, paths)
    sync(paths)
    return decided.decision


@pytest.fixture(scope="module")
def database(champion: Paths, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new database costs seconds: it is made once, empty."""
    paths = Paths(Path(shutil.copytree(champion.root, tmp_path_factory.mktemp("database") / "retrained")))
    connection.configure()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow import MlflowClient

        MlflowClient(tracking_uri=tracking.tracking_uri(paths)).search_experiments()
    return paths.root / "mlflow.db"


@pytest.fixture
def tracked(retrained: Paths, database: Path) -> Paths:
    """A workspace whose champion is registered."""
    shutil.copyfile(database, retrained.root / "mlflow.db")
    sync(retrained)
    return retrained


def aliases(paths: Paths) -> dict[str, int]:
    return {alias: one.number for one in champions.versions(paths) for alias in one.aliases}


def test_without_mlflow_nothing_is_known_and_nothing_is_made(retrained: Paths):
    assert champions.versions(retrained) == []
    assert champions.age_days(retrained) is None
    assert "analognas run" in champions.describe([])
    with pytest.raises(InputError, match="no champion yet"):
        rollback.roll_back(Params.load(retrained.params), retrained)
    assert not (retrained.root / "mlflow.db").exists()


def test_an_accepted_evaluator_is_champion_until_it_is_rolled_back(tracked: Paths, formula: Any):
    params = Params.load(tracked.params)
    before = file_digest(tracked.evaluator)
    assert aliases(tracked) == {"champion": 1}
    with pytest.raises(InputError, match="Version 1 is the first champion"):
        rollback.roll_back(params, tracked)
    assert 0 <= float(champions.age_days(tracked) or 0) < 1

    assert retrain(tracked, formula) == "accepted"
    new, old = champions.versions(tracked)
    assert aliases(tracked) == {"champion": 2}
    assert (new.before, new.digest, old.digest) == (1, file_digest(tracked.evaluator), before)
    assert new.sentinel_tau is not None
    assert old.sentinel_tau is not None
    assert new.sentinel_tau > old.sentinel_tau
    assert "champion" in champions.describe([new, old]).splitlines()[0]
    sync(tracked)
    shutil.rmtree(tracked.root / ".analognas")
    sync(tracked)  # nothing is logged or registered twice
    assert len(champions.versions(tracked)) == 2

    done = rollback.roll_back(params, tracked)
    assert done == rollback.RolledBack(champion=1, instead_of=2, round=1, restored=True)
    assert file_digest(tracked.evaluator) == before
    assert aliases(tracked) == {"champion": 1}
    assert champions.versions(tracked)[0].rolled_back
    assert "data/evaluator/ is this champion" in str(done)
    assert not retraining.assess(retraining.Workbench(params, tracked)).anything


def test_a_refused_challenger_is_registered_as_that(tracked: Paths, formula: Any):
    formula.all_noise = True
    override(tracked.params, ["retrain.round_size=4"])
    assert retrain(tracked, formula) == "rejected"
    assert aliases(tracked) == {"champion": 1, "challenger": 2}
    assert champions.versions(tracked)[0].digest == file_digest(tracked.challenger)


def test_a_decision_waits_for_mlflow(tracked: Paths, formula: Any, monkeypatch: pytest.MonkeyPatch):
    params = Params.load(tracked.params)
    retraining.draw_sentinel(retraining.Workbench(params, tracked))
    retraining.open_round(retraining.Workbench(params, tracked), Need(("it was asked for",)))
    formula.all(tracked)
    retraining.challenge(retraining.Workbench(params, tracked), 1)
    assert retraining.conclude(retraining.Workbench(params, tracked), 1).decision == "accepted"
    sync(tracked)  # killed before the fit: the new evaluator is not registered yet
    assert aliases(tracked) == {"champion": 1}
    assert state.unlogged_decisions(tracked, params) == ()  # it cannot be logged yet
    for stage in ("characterize", "fit"):
        run_stage(stage, params, tracked)
    with monkeypatch.context() as away:
        away.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        away.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        assert tracking.sync(tracked, params, None).warning
        assert champions.age_days(tracked) is None
        with pytest.raises(StageError, match=r"MLflow at http://127\.0\.0\.1:9 refuses connections"):
            champions.versions(tracked)
    assert state.unlogged_decisions(tracked, params) == (1,)
    sync(tracked)
    assert aliases(tracked) == {"champion": 2}
    assert state.unlogged_decisions(tracked, params) == ()
