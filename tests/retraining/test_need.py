from __future__ import annotations

from analognas import retraining
from analognas.files import file_digest
from analognas.params import Params
from analognas.retraining import Need
from analognas.stages.rounds import Entry, Round, write_round
from analognas.workspace import Paths


def test_need_without_a_reason_is_nothing():
    assert not Need(()).anything
    assert Need((), pending=1).anything
    assert Need((), unfinished=1).anything


def test_a_champion_that_knows_everything_needs_nothing(retrained: Paths):
    need = retraining.assess(retraining.Workbench(Params.load(retrained.params), retrained), age_days=1.0)
    assert not need.anything
    assert need.figures["new_rows"] == 0
    assert need.figures["newest"]["architectures"] == 0


def test_age_alone_is_a_reason(retrained: Paths):
    need = retraining.assess(retraining.Workbench(Params.load(retrained.params), retrained), age_days=30.5)
    assert need.reasons == ("it is older than retrain.max_age_days, 30 days",)


def test_a_round_that_waits_comes_before_any_reason(retrained: Paths):
    bench = retraining.Workbench(Params.load(retrained.params), retrained)
    entry = Entry(next(iter(bench.by_id.values())).architecture)
    write_round(retrained, Round(1, (entry,), "", "pending", "search"))
    assert retraining.assess(bench, age_days=30.5).pending is None  # not one of retraining
    write_round(retrained, Round(2, (entry,), "", "pending", "retrain"))
    assert retraining.assess(bench, age_days=30.5) == Need((), pending=2)


def test_an_accepted_round_is_unfinished_while_the_old_champion_is_there(retrained: Paths):
    bench = retraining.Workbench(Params.load(retrained.params), retrained)
    entry = Entry(next(iter(bench.by_id.values())).architecture)
    for digest, unfinished in ((file_digest(retrained.evaluator), 1), ("0" * 64, None)):
        record = {"champion": {"digest": digest}, "comparison": {}}
        write_round(retrained, Round(1, (entry,), "", "accepted", "retrain", record))
        assert retraining.assess(bench).unfinished == unfinished
        write_round(retrained, Round(2, (entry,), "", "rejected", "retrain"))  # a later one changes nothing
        assert retraining.assess(bench).unfinished == unfinished
