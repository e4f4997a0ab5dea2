from __future__ import annotations

from dataclasses import replace

import pytest

from analognas import retraining
from analognas.errors import MismatchError, WorkspaceError
from analognas.params import Params
from analognas.params.file import override
from analognas.results import ResultStore
from analognas.retraining.workbench import Workbench
from analognas.stages.rounds import Entry, Round, write_round
from analognas.tables import architecture_id
from analognas.testing import made_up_row
from analognas.workspace import Paths


def test_without_a_champion_the_remedy_is_named(workspace: Paths):
    with pytest.raises(WorkspaceError, match="run `analognas run`"):
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


def test_rows_of_a_round_are_learned_from_as_if_it_were_accepted(retrained: Paths):
    bench = Workbench(Params.load(retrained.params), retrained)
    ids = list(bench.measured["id"])
    assert set(bench.learnable()["id"]) == set(ids) == bench.learned
    rejected = bench.by_id[ids[0]].architecture
    write_round(retrained, Round(1, (Entry(rejected),), "", "rejected", "retrain"))
    bench.measured.loc[bench.measured["id"] == rejected.id, "decision"] = "rejected"
    assert set(bench.learnable()["id"]) == set(ids) - {rejected.id}
    assert set(bench.learnable(1)["id"]) == set(ids)
