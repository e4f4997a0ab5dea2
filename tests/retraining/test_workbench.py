from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from analognas import retraining
from analognas.errors import MismatchError, WorkspaceError
from analognas.params import Params
from analognas.params.file import override
from analognas.results import ResultStore
from analognas.retraining.workbench import Workbench
from analognas.stages import run_stage
from analognas.stages.rounds import Entry, Round, write_round
from analognas.tables import architecture_id
from analognas.testing import made_up_row
from analognas.workspace import Paths


def test_without_a_champion_the_remedy_is_named(workspace: Paths):
    with pytest.raises(WorkspaceError, match="`analognas run` makes one"):
        retraining.assess(retraining.Workbench(Params.load(workspace.params), workspace))


def test_a_champion_of_other_parameters_is_refused(retrained: Paths):
    params = override(retrained.params, ["characterize.epochs=9"])
    with pytest.raises(MismatchError, match="protocol"):
        retraining.assess(retraining.Workbench(params, retrained))


def test_what_others_shared_and_makes_no_sense_is_left_out(retrained: Paths):
    params = Params.load(retrained.params)
    bench = Workbench(params, retrained)
    other = next(one for one in bench.space.sample(40, seed=9) if one.id not in bench.by_id)
    inputs = {**bench.jobs[0].inputs, "architecture": other.to_dict()}
    store, whole = ResultStore.of(retrained.root), made_up_row(other)
    genes = "[" * 100_000
    wrong = [replace(whole, measured={}), replace(whole, genes=genes), replace(whole, params=0)]
    wrong += [
        replace(whole, genes=genes, id=architecture_id(whole.space, genes)),
        replace(whole, measured={"acc_1d": None}),
    ]
    for result in (*wrong, whole):
        key = store.put(inputs, result)
        found = Workbench(params, retrained).shared
        assert [architecture.id for architecture, _ in found] == ([other.id] if result is whole else [])
        store.path(key).unlink()


def test_what_depends_on_rounds_is_read_anew_only_when_it_is_asked_for(retrained: Paths):
    bench = Workbench(Params.load(retrained.params), retrained)
    champion, known = bench.champion, set(bench.by_id)
    other = next(one for one in bench.space.sample(40, seed=9) if one.id not in known)
    write_round(retrained, Round(1, (Entry(other),), "", "pending", "retrain"))
    assert set(bench.by_id) == known
    bench.refresh()
    assert set(bench.by_id) == known | {other.id}
    assert bench.champion is champion
    assert bench.round(1).entries[0].architecture == other


def test_the_table_with_a_round_is_the_one_that_is_written_once_it_is_accepted(retrained: Paths, formula: Any):
    params = Params.load(retrained.params)
    bench = Workbench(params, retrained)
    ids = set(bench.measured["id"])
    assert set(bench.learnable()["id"]) == ids == bench.learned
    others = [other for other in bench.space.sample(40, seed=9, max_params=5000) if other.id not in ids]
    # The first was rejected before and is carried over.
    write_round(retrained, Round(1, (Entry(others[0]), Entry(others[1])), "", "rejected", "retrain"))
    added = Round(2, (Entry(others[2]), Entry(others[0])), "", "pending", "retrain")
    write_round(retrained, added)
    formula.all(retrained)
    bench.refresh()
    assert set(bench.learnable()["id"]) == ids
    table = bench.table_with(2)
    write_round(retrained, added.decided("accepted", "", {}))
    run_stage("characterize", params, retrained)
    pd.testing.assert_frame_equal(table, pd.read_parquet(retrained.surrogate))
    bench.refresh()
    assert set(bench.learnable()["id"]) == ids | {others[0].id, others[2].id}
    bench.complete()
