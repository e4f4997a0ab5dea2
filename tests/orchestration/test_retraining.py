from __future__ import annotations

from pathlib import Path

import pytest

from analognas.errors import StageError
from analognas.orchestration import Freshness, flows, retraining
from analognas.params import Params
from analognas.retraining import Need
from analognas.stages import STAGES
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
        retraining.look()


def test_a_decision_is_told_with_what_comes_next():
    rejected = retraining.next_steps(DONE)
    assert rejected.startswith("Round 007 rejected: it may be none. See data/rounds/007.md.\n")
    assert "analognas run" not in rejected
    accepted = retraining.next_steps(DONE | {"decision": "accepted"})
    assert "`analognas run` searches and trains with it; `analognas champion rollback` undoes it." in accepted
    assert rejected.splitlines()[-1] == accepted.splitlines()[-1]
    assert accepted.endswith("git add params.yaml dvc.lock data")


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
