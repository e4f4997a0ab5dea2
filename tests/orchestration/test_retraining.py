from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from analognas import tracking
from analognas.errors import StageError
from analognas.evaluators import XGBoostEvaluator
from analognas.files import file_digest, read_sealed
from analognas.orchestration import Freshness, characterizing, flows, retraining, sessions, stage
from analognas.params import Params
from analognas.params.file import override
from analognas.retraining import Need, Workbench
from analognas.stages import STAGES, rows, run_stage
from analognas.stages import fit as fit_stage
from analognas.stages.rounds import Round
from analognas.workspace import Paths

DONE = {"retrained": True, "round": 7, "decision": "rejected", "reason": "it may be none"}


def test_nothing_to_do_starts_no_prefect(retrained: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(flows, "server", None)
    params = Params.load(retrained.params)
    going = retraining.run_retraining(retrained, params)
    done = going.summary()
    assert (done["retrained"], done["needed"], going.notes) == (False, [], [])
    assert "needs no retraining (0 new rows, age unknown" in retraining.next_steps(done)


def test_a_task_outside_of_a_retraining_is_refused():
    with pytest.raises(StageError, match=r"retraining\.session"):
        retraining.ask()


def test_a_decision_is_told_with_what_comes_next():
    rejected = retraining.next_steps(DONE)
    assert rejected.startswith("Round 007 rejected: it may be none. See data/rounds/007.md.\n")
    assert "analognas run" not in rejected
    accepted = retraining.next_steps(DONE | {"decision": "accepted"})
    assert "`analognas run` searches and trains with it; `analognas champion rollback` undoes it." in accepted
    assert rejected.splitlines()[-1] == accepted.splitlines()[-1]
    assert accepted.endswith("git add params.yaml dvc.lock data")
    kept = retraining.next_steps(DONE, "retrain").splitlines()
    assert (kept[:-1], kept[-1]) == (rejected.splitlines()[:-1], "Committed on the branch retrain.")


def test_what_is_known_of_a_champion_that_needs_nothing_is_told():
    newest = {"architectures": 12, "kendall_tau": 0.8125, "coverage": 0.9}
    figures = {"new_rows": 3, "age_days": 1.25, "newest": newest}
    assert retraining.next_steps({"retrained": False, "figures": figures}) == (
        "The champion needs no retraining (3 new rows, 1.2 days old, 12 rows that it has not learned from, on these "
        "Kendall tau 0.81, coverage 90%); --force does it anyway."
    )
    unknown = figures | {"age_days": None, "newest": newest | {"kendall_tau": None, "coverage": None}}
    text = retraining.next_steps({"retrained": False, "figures": unknown})
    assert "age unknown, 12 rows that it has not learned from);" in text


def test_the_summary_holds_the_round_only_if_there_was_one(tmp_path: Path):
    going = retraining.Retraining(
        Paths(tmp_path), Params(), Freshness({stage: [] for stage in STAGES}), lambda *_: None,
        need=Need(("it is old",), {"new_rows": 3}),
    )  # fmt: skip
    assert going.summary() == {"retrained": False, "needed": ["it is old"], "figures": {"new_rows": 3}}
    going.round = Round(2, (), "no gain", "rejected", "retrain", {"rules": {}})
    assert going.summary() == {
        "retrained": True, "needed": ["it is old"], "figures": {"new_rows": 3}, "round": 2, "decision": "rejected",
        "reason": "no gain", "record": {"rules": {}},
    }  # fmt: skip


def walk(paths: Paths, measure: Callable[[], Any], ends_after: str = "", *, force: bool = True) -> Round | None:
    """The flow of a retraining without Prefect's server; it is ended after a step as Ctrl-C does."""
    with retraining.session(paths.root, force) as going:

        def step(work: Callable[[], Any]) -> Any:
            result = work()
            if work.__name__ == ends_after:
                raise KeyboardInterrupt
            return result

        if step(retraining.ask):
            for work in (retraining.sentinel, retraining.propose, measure, retraining.challenge, retraining.decide):
                step(work)
        if going.round is not None:

            def characterize() -> Any:
                return stage("characterize")

            step(characterize)
            step(retraining.refit)
        return going.round


STEPS = ("ask", "sentinel", "propose", "measure", "challenge", "decide", "characterize", "refit")


def installed_as_compared(paths: Paths, decided: Round) -> None:
    assert decided.decision == "accepted", decided.reason
    assert file_digest(paths.evaluator) == decided.record["challenger"]["digest"]
    assert decided.record["challenger"]["rows"] == decided.record["champion"]["rows"] + len(decided.entries)
    assert read_sealed(paths.metrics("fit"), remedy="")["rows"] == decided.record["challenger"]["rows"]


@pytest.mark.slow
def test_what_was_compared_is_installed_wherever_it_is_ended_and_in_another_clone(
    champion: Paths, retrained: Paths, formula: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tracking, "sync", lambda *_: tracking.SyncReport())
    undisturbed = Paths(Path(shutil.copytree(champion.root, tmp_path / "undisturbed")))

    def measure(paths: Paths = undisturbed) -> None:
        formula.all(paths)

    expected = walk(undisturbed, measure)
    assert expected is not None
    installed_as_compared(undisturbed, expected)

    before = file_digest(retrained.evaluator)
    measure.__defaults__ = (retrained,)
    for step in STEPS:
        with pytest.raises(KeyboardInterrupt):
            walk(retrained, measure, step)
        if step != "refit":
            assert file_digest(retrained.evaluator) == before
        if step in ("measure", "decide"):  # a clone has nothing of what git does not see
            shutil.rmtree(retrained.root / ".analognas")
    decided = Workbench(Params.load(retrained.params), retrained).round(expected.number)
    installed_as_compared(retrained, decided)
    assert decided == expected
    assert file_digest(retrained.evaluator) == file_digest(undisturbed.evaluator)
    assert walk(retrained, measure, force=False) is None  # nothing is left to do


@pytest.mark.slow
def test_a_challenger_that_cannot_be_made_again_is_not_installed_and_its_round_waits(
    retrained: Paths, formula: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tracking, "sync", lambda *_: tracking.SyncReport())

    def measure() -> None:
        formula.all(retrained)

    with pytest.raises(KeyboardInterrupt):
        walk(retrained, measure, "decide")
    before = file_digest(retrained.evaluator)
    override(retrained.params, ["base.seed=1"])  # the sample stays as it was drawn: only the fit is another one
    formula.all(retrained)
    with sessions.session(retrained.root):  # `analognas run`, too
        stage("characterize")
        with pytest.raises(StageError, match=r"Round 001-\d{6} waits for its decision again: `analognas "):
            stage("fit")
    assert file_digest(retrained.evaluator) == before
    assert not list(retrained.rounds.glob("001*.md"))
    decided = walk(retrained, measure, force=False)
    assert decided is not None
    installed_as_compared(retrained, decided)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("analognasbench") is None, reason="analog-nasbench is not installed")
def test_a_retraining_on_the_table_is_decided_by_all_of_it(
    tmp_path: Path, make_workspace: Callable[..., Paths], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(tracking, "sync", lambda *_: tracking.SyncReport())
    monkeypatch.setattr(fit_stage, "unfitted", quick)
    paths = make_workspace(
        tmp_path / "cells", "dataset.name=analognas-bench", "space.name=nasbench201", "space.max_params=null",
        "characterize.source=analognas-bench", "sample.size=12", "search.T_AVM=null", "search.min_acc_1d=0",
        "retrain.sentinel_size=20", "retrain.round_size=40", "retrain.guard_avm=2", "retrain.min_coverage=0",
        "retrain.bootstrap=200",
    )  # fmt: skip
    for name in ("sample", "characterize", "fit"):
        run_stage(name, Params.load(paths.params), paths)

    def measure() -> None:
        characterizing.measure_pending(None)  # no task: nothing is given to workers

    with pytest.raises(KeyboardInterrupt):
        walk(paths, measure, "propose")
    decided = walk(paths, measure)
    assert decided is not None
    assert decided.record["comparison"]["architectures"] == 20
    learnable = rows.usable(Workbench(Params.load(paths.params), paths).table_with(decided.number))
    assert decided.record["challenger"]["rows"] == len(rows.learnable(learnable))
    kept = "challenger" if decided.decision == "accepted" else "champion"
    assert file_digest(paths.evaluator) == decided.record[kept]["digest"]


def quick(params: Params, seed: int, *_: Any, **__: Any) -> XGBoostEvaluator:
    return XGBoostEvaluator(method="regressor", folds=2, bootstrap=100, rounds=12, seed=seed)
