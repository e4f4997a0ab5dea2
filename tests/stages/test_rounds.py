from __future__ import annotations

import re
from typing import Any

import pandas as pd
import pytest

from analognas.errors import CorruptFileError
from analognas.evaluators import XGBoostEvaluator
from analognas.files import write_parquet, write_sealed
from analognas.params import Params
from analognas.stages import characterize, inputs, run_stage
from analognas.stages.rounds import (
    Entry,
    Round,
    next_round,
    next_sequence,
    read_rounds,
    read_sentinel,
    write_round,
    write_sentinel,
)
from analognas.testing import made_up_row
from analognas.workspace import Paths


def added(paths: Paths, n: int, **how: Any) -> Round:
    """Return a round with ``n`` architectures that are not in the sample."""
    params = Params.load(paths.params)
    known = {one.id for one in inputs.architectures(params, paths)}
    drawn = [one for one in inputs.space(params, paths).sample(40, seed=9) if one.id not in known]
    entries = tuple(Entry(one, "promise", {"acc_1d": 90.0}) for one in drawn[:n])
    return next_round(paths, entries, "a test", **how)


def test_a_round_comes_back_as_it_was_written(finished_copy: Paths) -> None:
    space = inputs.space(Params.load(finished_copy.params), finished_copy)
    first = added(finished_copy, 2, purpose="search")
    path = write_round(finished_copy, first)
    assert path == finished_copy.round(first.number)
    assert re.fullmatch(r"001-\d{6}\.json", path.name)
    assert next_sequence(finished_copy) == 2
    pending = added(finished_copy, 1, decision="pending")
    write_round(finished_copy, pending)
    assert read_rounds(finished_copy, space)[1:] == [first, pending]
    write_round(finished_copy, pending.decided("rejected", "no gain", {"gain": -0.1}))
    last = read_rounds(finished_copy, space)[-1]
    assert (last.decision, last.reason, dict(last.record)) == ("rejected", "no gain", {"gain": -0.1})


def test_rounds_of_two_people_have_two_names_and_the_same_round_has_one(finished_copy: Paths) -> None:
    mine, hers = added(finished_copy, 2), added(finished_copy, 3)
    assert mine.number != hers.number
    assert added(finished_copy, 2, decision="pending").number == mine.number
    assert added(finished_copy, 2, purpose="search").number != mine.number
    space = inputs.space(Params.load(finished_copy.params), finished_copy)
    for each in (mine, hers):
        write_round(finished_copy, each)
    assert read_rounds(finished_copy, space)[1:] == sorted([mine, hers], key=lambda each: each.number)
    write_round(finished_copy, third := added(finished_copy, 1))
    assert read_rounds(finished_copy, space)[-1] == third


def test_an_unknown_decision_is_refused(workspace: Paths) -> None:
    write_sealed(workspace.rounds / "001.json", {"architectures": [], "decision": "maybe"})
    with pytest.raises(CorruptFileError, match=r"001\.json has the decision 'maybe'.*restore it from git"):
        read_rounds(workspace, inputs.space(Params.load(workspace.params), workspace))


def test_roles_follow_rounds_and_the_sentinel_set(finished_copy: Paths) -> None:
    params = Params.load(finished_copy.params)
    sample = inputs.architectures(params, finished_copy)
    one, two, three = (entry.architecture for entry in added(finished_copy, 3).entries)
    write_round(finished_copy, Round(1, (Entry(one), Entry(two)), "", "rejected"))
    write_round(finished_copy, Round(2, (Entry(two), Entry(sample[0])), ""))
    write_sentinel(finished_copy, [three, sample[1]])
    found = {
        item.architecture.id: (item.role, item.round, item.decision) for item in inputs.listed(params, finished_copy)
    }
    assert found[one.id] == ("round", 1, "rejected")
    assert found[two.id] == ("round", 2, "accepted")
    assert found[three.id] == found[sample[1].id] == ("sentinel", 0, "accepted")
    assert found[sample[0].id] == ("sample", 0, "accepted")
    assert [architecture.id for architecture in read_sentinel(finished_copy, inputs.space(params, finished_copy))] == [
        three.id,
        sample[1].id,
    ]


def test_the_evaluator_learns_from_accepted_rounds_only(finished_copy: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    params = Params.load(finished_copy.params)
    one, two, three = (entry.architecture for entry in added(finished_copy, 3).entries)
    write_round(finished_copy, Round(1, (Entry(one),), ""))
    write_round(finished_copy, Round(2, (Entry(two),), "", "pending"))
    write_sentinel(finished_copy, [three])
    for job in characterize.pending(params, finished_copy):
        row = made_up_row(job.architecture, acc_1d=50.0, acc_1d_std=1.0, avm=3.0)
        characterize.store(job, row, finished_copy)
    summary = run_stage("characterize", params, finished_copy)
    assert summary["architectures"] == 13
    frame = pd.read_parquet(finished_copy.surrogate).set_index("id")
    assert frame.loc[two.id, ["role", "round", "decision"]].tolist() == ["round", 2, "pending"]
    seen: list[list[str]] = []
    fit = XGBoostEvaluator.fit
    monkeypatch.setattr(
        XGBoostEvaluator,
        "fit",
        lambda self, given, rows: (seen.append([a.id for a in given]), fit(self, given, rows))[1],
    )
    run_stage("fit", params, finished_copy)
    assert one.id in seen[0]
    assert not {two.id, three.id} & set(seen[0])
    # A table without these rows gives the same evaluator: they leave no trace.
    before = (finished_copy.evaluator / "schema.json").read_bytes()
    write_parquet(finished_copy.surrogate, frame.drop([two.id, three.id]).reset_index())
    run_stage("fit", params, finished_copy)
    assert (finished_copy.evaluator / "schema.json").read_bytes() == before
