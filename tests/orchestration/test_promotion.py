from __future__ import annotations

import json
import re
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analognas import retraining, tracking
from analognas.errors import AnalogNASError, CorruptFileError, InputError, StageError
from analognas.files import file_digest
from analognas.orchestration import promotion
from analognas.params import Params
from analognas.params.file import override
from analognas.retraining import Need
from analognas.stages import run_stage
from analognas.tracking import champions, connection, registry, standing, state
from analognas.workspace import Paths


def sync(paths: Paths) -> None:
    assert tracking.sync(paths, Params.load(paths.params), None).warning is None


def added(paths: Paths) -> tuple[int, ...]:
    """Return the numbers of the rounds beside the sample."""
    return tuple(paths.round_files())[1:]


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


@pytest.fixture
def client(tracked: Paths) -> Any:
    """What somebody else uses who works on the registry by hand."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow import MlflowClient

        uri = tracking.tracking_uri(tracked)
        yield MlflowClient(tracking_uri=uri, registry_uri=uri)


NAME = "analognas-evaluator"


def aliases(paths: Paths) -> dict[str, int]:
    return {alias: version.number for version in champions.versions(paths) for alias in version.aliases}


def test_without_mlflow_nothing_is_known_and_nothing_is_made(retrained: Paths):
    assert champions.versions(retrained) == []
    assert champions.age_days(retrained) is None
    assert standing.sentence(retrained) is None
    assert "analognas run" in champions.describe([])
    params = Params.load(retrained.params)
    with pytest.raises(InputError, match="no champion yet"):
        promotion.roll_back(params, retrained)
    with pytest.raises(InputError, match="no version 1 of the evaluator: none is registered"):
        promotion.promote(params, retrained, 1)
    assert not (retrained.root / "mlflow.db").exists()


def test_an_accepted_evaluator_is_champion_until_it_is_rolled_back(tracked: Paths, formula: Any):
    params = Params.load(tracked.params)
    before = file_digest(tracked.evaluator)
    assert aliases(tracked) == {"champion": 1}
    with pytest.raises(InputError, match="Version 1 is the only one"):
        promotion.roll_back(params, tracked)
    assert 0 <= float(champions.age_days(tracked) or 0) < 1

    assert retrain(tracked, formula) == "accepted"
    new, old = champions.versions(tracked)
    assert aliases(tracked) == {"champion": 2}
    assert (new.previous, new.digest, old.digest) == (1, file_digest(tracked.evaluator), before)
    assert new.why is not None
    assert re.match(r"round 001-\d{6}: the gain in Kendall tau is", new.why)
    assert old.why == "there was no champion"
    assert new.sentinel_tau is not None
    assert old.sentinel_tau is not None
    assert new.sentinel_tau > old.sentinel_tau
    told = champions.describe([new, old])
    assert "champion" in told.splitlines()[1]
    assert "in the place of version 1: round 001-" in " ".join(told.split())
    assert standing.sentence(tracked) is None
    sync(tracked)
    shutil.rmtree(tracked.root / ".analognas")
    sync(tracked)  # nothing is logged or registered twice
    assert len(champions.versions(tracked)) == 2

    done = promotion.roll_back(params, tracked)
    assert done == promotion.Moved(champion=1, instead_of=2, evaluator=1, withdrawn=added(tracked), accepted=())
    assert file_digest(tracked.evaluator) == before
    assert aliases(tracked) == {"champion": 1}
    assert champions.versions(tracked)[0].rolled_back
    assert str(done).startswith("Version 1 is the champion now, instead of version 2. data/evaluator/ is version 1;")
    assert not retraining.assess(retraining.Workbench(params, tracked)).anything
    run_stage("fit", params, tracked)  # the rounds are those of then: it gives the same
    assert file_digest(tracked.evaluator) == before
    with pytest.raises(InputError, match=r"does not say which version was champion before version 1: .* others \(2\)"):
        promotion.roll_back(params, tracked)

    # And forth again, by hand.
    promotion.promote(params, tracked, 2, "we looked at it again")
    assert aliases(tracked) == {"champion": 2}
    assert file_digest(tracked.evaluator) == new.digest
    run_stage("fit", params, tracked)
    assert file_digest(tracked.evaluator) == new.digest
    version = champions.versions(tracked)[0]
    assert (version.why, version.previous, version.rolled_back) == ("we looked at it again", 1, False)


def test_a_refused_challenger_is_registered_as_that_and_may_be_taken_by_hand(
    tracked: Paths, formula: Any, client: Any, monkeypatch: pytest.MonkeyPatch
):
    formula.all_noise = True
    params = override(tracked.params, ["retrain.round_size=4"])
    before = file_digest(tracked.evaluator)
    assert retrain(tracked, formula) == "rejected"
    assert aliases(tracked) == {"champion": 1, "challenger": 2}
    refused = champions.versions(tracked)[0].digest
    assert refused == file_digest(tracked.challenger.evaluator)

    done = promotion.check_out(params, tracked, 2)
    assert (done.champion, done.instead_of, done.evaluator, done.accepted) == (1, None, 2, added(tracked))
    assert aliases(tracked) == {"champion": 1, "challenger": 2}  # the alias stays
    assert file_digest(tracked.evaluator) == refused
    assert len(retraining.Workbench(params, tracked).learned) == 16
    said = standing.sentence(tracked)
    assert said is not None
    assert said == str(done.warning)
    assert f"data/evaluator/ ({refused[:12]}) is version 2, the champion in MLflow is version 1 ({before[:12]})" in said
    assert "`analognas champion promote 2`" in said
    assert "`analognas champion checkout 1`" in said
    run_stage("fit", params, tracked)
    assert file_digest(tracked.evaluator) == refused

    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "anna")
    assert promotion.promote(params, tracked, 2, "a better chip").instead_of == 1
    assert aliases(tracked) == {"champion": 2}
    assert standing.sentence(tracked) is None
    new = champions.versions(tracked)[0]
    assert (new.promoted_by, new.why, new.previous) == ("anna", "a better chip", 1)
    promotion.check_out(params, tracked, 1)
    promotion.promote(params, tracked, 1)
    assert file_digest(tracked.evaluator) == before
    kept = [
        json.loads(value)
        for name, value in sorted(client.get_registered_model(NAME).tags.items())
        if name.startswith(registry.PROMOTION)
    ]
    assert [(entry["version"], entry["previous"]) for entry in kept] == [(1, None), (2, 1), (1, 2)]
    assert kept[1]["by"] == "anna"


def test_a_promotion_by_hand_is_noticed_and_what_it_leaves_unknown_is_not_guessed(
    tracked: Paths, formula: Any, client: Any
):
    params = Params.load(tracked.params)
    formula.all_noise = True
    override(tracked.params, ["retrain.round_size=4"])
    assert retrain(tracked, formula) == "rejected"
    assert standing.sentence(tracked) is None
    client.set_registered_model_alias(NAME, "champion", "2")
    said = standing.sentence(tracked)
    assert said is not None
    assert "is version 1, the champion in MLflow is version 2" in said
    with pytest.raises(InputError, match="does not say which version was champion before version 2"):
        promotion.roll_back(params, tracked)
    client.delete_registered_model_alias(NAME, "champion")
    assert "is version 1, and MLflow has no champion: `analognas champion promote 1`" in str(standing.sentence(tracked))
    assert promotion.promote(params, tracked, 1).instead_of is None
    assert standing.sentence(tracked) is None
    shutil.rmtree(tracked.evaluator)
    assert "data/evaluator/ is missing, the champion in MLflow is version 1" in str(standing.sentence(tracked))
    promotion.check_out(params, tracked, 1)
    assert standing.sentence(tracked) is None


@pytest.mark.parametrize("deleted", ["version", "model", "renamed", "experiment"])
def test_what_was_deleted_is_registered_again(tracked: Paths, client: Any, deleted: str):
    params = Params.load(tracked.params)
    digest = file_digest(tracked.evaluator)
    if deleted == "version":
        client.delete_model_version(NAME, "1")
    elif deleted == "model":
        client.delete_registered_model(NAME)
    elif deleted == "renamed":
        client.rename_registered_model(NAME, "something-else")
    else:
        client.delete_experiment(client.get_experiment_by_name(tracked.root.name).experiment_id)
        client.delete_registered_model(NAME)
    assert "`analognas track --again` registers it" in str(standing.sentence(tracked))
    sync(tracked)  # it is taken for logged
    assert champions.versions(tracked) == []
    tracking.forget(tracked, params)
    sync(tracked)
    assert [(version.digest, version.aliases) for version in champions.versions(tracked)] == [(digest, ("champion",))]
    assert standing.sentence(tracked) is None
    promotion.check_out(params, tracked, champions.versions(tracked)[0].number)  # its files are there


def test_nothing_is_promoted_over_a_champion_that_it_was_not_compared_with(tracked: Paths, formula: Any, client: Any):
    shutil.copytree(tracked.evaluator, tracked.root / "other")
    (tracked.root / "other" / "more").write_text("other files")
    run = client.search_runs([client.get_experiment_by_name(tracked.root.name).experiment_id])[0].info.run_id
    tags = {registry.DIGEST: file_digest(tracked.root / "other")}
    client.create_model_version(NAME, source=f"runs:/{run}/other", run_id=run, tags=tags)
    client.set_registered_model_alias(NAME, "champion", "2")
    assert retrain(tracked, formula) == "accepted"  # in the place of version 1, which is here
    assert aliases(tracked) == {"champion": 2, "challenger": 3}
    assert "is version 3, the champion in MLflow is version 2" in str(standing.sentence(tracked))
    with pytest.raises(CorruptFileError, match=r"not those that were registered|does not hold all files of version 2"):
        promotion.check_out(Params.load(tracked.params), tracked, 2)


def test_a_version_that_is_not_whole_changes_nothing(
    tracked: Paths, monkeypatch: pytest.MonkeyPatch, another_run: Callable[..., Any]
):
    params = Params.load(tracked.params)
    before = file_digest(tracked.data)
    with pytest.raises(InputError, match="There is no version 7 of the evaluator: there are 1"):
        promotion.promote(params, tracked, 7)
    artifacts = next((tracked.root / "mlartifacts").rglob("evaluator"))
    next(artifacts.rglob("schema.json")).write_text("{}")
    with pytest.raises(CorruptFileError, match="not those that were registered"):
        promotion.check_out(params, tracked, 1)
    shutil.rmtree(artifacts)
    with pytest.raises(CorruptFileError, match="does not hold all files of version 1"):
        promotion.check_out(params, tracked, 1)
    assert file_digest(tracked.data) == before


def test_who_may_not_promote_changes_nothing_here_either(tracked: Paths, client: Any, monkeypatch: pytest.MonkeyPatch):
    from mlflow.exceptions import RestException

    def refused(*_: Any) -> None:
        raise RestException({"error_code": "PERMISSION_DENIED", "message": "Permission denied"})

    client.delete_registered_model_alias(NAME, "champion")
    tracked.plot("fit.csv").write_text("of another evaluator")  # which a promotion would replace
    before = file_digest(tracked.data)
    monkeypatch.setattr(type(client), "set_model_version_tag", refused)
    with pytest.raises(AnalogNASError, match=rf"does not let .* write the model '{NAME}'"):
        promotion.promote(Params.load(tracked.params), tracked, 1)
    assert file_digest(tracked.data) == before
    assert aliases(tracked) == {}


def test_a_decision_waits_for_mlflow(tracked: Paths, formula: Any, monkeypatch: pytest.MonkeyPatch):
    params = Params.load(tracked.params)
    retraining.draw_sentinel(retraining.Workbench(params, tracked))
    opened = retraining.open_round(retraining.Workbench(params, tracked), Need(("it was asked for",)))
    formula.all(tracked)
    retraining.challenge(retraining.Workbench(params, tracked), opened.number)
    assert retraining.conclude(retraining.Workbench(params, tracked), opened.number).decision == "accepted"
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
        assert str(standing.sentence(tracked)).startswith(
            "data/evaluator/ was not compared with the champion. MLflow at"
        )
        with pytest.raises(StageError, match=r"MLflow at http://127\.0\.0\.1:9 refuses connections"):
            champions.versions(tracked)
    assert state.unlogged_decisions(tracked, params) == added(tracked)
    sync(tracked)
    assert aliases(tracked) == {"champion": 2}
    assert state.unlogged_decisions(tracked, params) == ()
