from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

from analognas.cli import main
from analognas.hardware.chips import HERMES_1_PHASE
from analognas.hardware.cost import cost
from analognas.params import Params
from analognas.params.file import override
from analognas.retraining import proposing
from analognas.rows import ResultRow
from analognas.stages import characterize, inputs
from analognas.stages.rounds import Entry, Round, read_rounds, write_round, write_sentinel
from analognas.testing import made_up_row
from analognas.workspace import Paths


@pytest.fixture
def measured(finished_copy: Paths, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """Return a finished workspace in which characterizations take no time: accuracy grows with the size."""

    def row(job: Any) -> ResultRow:
        accuracy = min(99.0, 50 + job.architecture.params / 100)
        found = {"acc_1s": accuracy + 1, "acc_1h": accuracy, "acc_1d": accuracy, "acc_30d": accuracy - 1}
        return made_up_row(job.architecture, acc_digital=accuracy, acc_hwa=accuracy, acc_1d_std=1.0, avm=2.0, **found)

    def each(_: Any, todo: list[Any], __: int) -> Any:
        yield from enumerate(map(row, todo))

    monkeypatch.setattr(characterize.processes, "each", each)
    return finished_copy


def test_it_measures_as_many_as_were_asked_for_in_rounds_that_say_why(measured: Paths) -> None:
    params = Params.load(measured.params)
    told: list[float] = []
    found = proposing.run_closed_loop(params, measured, 5, 2, lambda done, *_: told.append(done))
    space = inputs.space(params, measured)
    rounds = [one for one in read_rounds(measured, space) if one.purpose == "search"]
    assert [len(one.entries) for one in rounds] == [2, 2, 1]
    assert all(one.decision == "accepted" for one in rounds)
    entry = rounds[0].entries[0]
    assert entry.reason in ("promise", "uncertainty")
    assert {"acc_1d", "acc_1d_uncertainty", "avm", "acc_1d_std"} == set(entry.predicted)
    frame = pd.read_parquet(measured.surrogate)
    assert (frame["role"] == "round").sum() == 5
    assert found.evaluations == 5
    assert told == sorted(told)
    assert found.architecture.params >= frame.loc[frame["role"] == "round", "params"].min()
    assert "5 architectures characterized beyond the sample" in str(found)
    assert found.to_dict()["cost"] == {"chip": "hermes-1-phase", **cost(found.architecture, HERMES_1_PHASE)}
    assert " uJ for an inference on hermes-1-phase" in str(found)
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_call_that_is_repeated_goes_on_where_the_first_was(measured: Paths) -> None:
    params = Params.load(measured.params)
    proposing.run_closed_loop(params, measured, 2, 2)
    before = sorted(path.name for path in measured.rounds.iterdir())
    proposing.run_closed_loop(params, measured, 2, 2)
    assert sorted(path.name for path in measured.rounds.iterdir()) == before
    assert proposing.run_closed_loop(params, measured, 3, 2).evaluations == 3


def test_neither_the_sentinel_set_nor_undecided_rounds_are_learned_or_proposed(measured: Paths) -> None:
    params = Params.load(measured.params)
    space = inputs.space(params, measured)
    known = {one.id for one in inputs.architectures(params, measured)}
    kept, pending = [one for one in space.sample(60, seed=8) if one.id not in known][:2]
    write_sentinel(measured, [kept])
    write_round(measured, Round(1, (Entry(pending),), "", "pending", "retrain"))
    characterize.run(params, measured)
    made = proposing.loop(params, measured)
    assert not {kept.id, pending.id} & set(made.evaluated)
    asked = {one.id for one, _ in made.propose(30)}
    assert not {kept.id, pending.id} & asked


def test_the_command_reports_what_it_found(measured: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(measured.root)
    done = CliRunner().invoke(
        main, ["search", "--true-evaluations", "3", "--batch", "3", "--no-run", "--json"], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["evaluations"] == 3
    assert {"acc_1d", "acc_1d_std", "avm"} == set(found["measured"])
    assert done.exit_code == 0
    refused = CliRunner().invoke(main, ["search", "--true-evaluations", "0"])
    assert refused.exit_code == 2


def test_a_sample_is_drawn_where_there_is_none(measured: Paths) -> None:
    params = override(measured.params, ["sample.size=9"])
    measured.architectures.unlink()
    found = proposing.run_closed_loop(params, measured, 1, 1)
    assert found.evaluations == 1
    assert len(pd.read_parquet(measured.architectures)) == 9
