import json

import pytest

from analognas.hardware.chips import HERMES_1_PHASE
from analognas.hardware.cost import cost
from analognas.search_algorithms.constraints import Constraints, CostLimits
from analognas.search_algorithms.verdicts import described, from_described, overall, verdicts, with_interval
from analognas.search_spaces import ConfigSpace

ANY = ConfigSpace("digits").smallest()
LIMITS = Constraints(max_nb_param=1_000, T_AVM=5.0, min_acc_1d=80.0)


@pytest.mark.parametrize(
    ("low", "high", "status"),
    [(1.0, 5.0, "held"), (1.0, 5.1, "not shown"), (4.9, 9.0, "not shown"), (5.1, 9.0, "broken")],
)
def test_a_limit_on_the_loss_is_asked_of_the_whole_interval(low: float, high: float, status: str):
    values = {"avm": (low + high) / 2, "avm_low": low, "avm_high": high, "acc_1d": 90.0}
    assert [one.status for one in verdicts(LIMITS, values, ANY)] == [status, "held"]


@pytest.mark.parametrize(
    ("low", "high", "status"), [(80.0, 90.0, "held"), (79.9, 90.0, "not shown"), (50.0, 79.9, "broken")]
)
def test_a_limit_on_the_accuracy_is_a_lower_one(low: float, high: float, status: str):
    values = {"acc_1d": (low + high) / 2, "acc_1d_low": low, "acc_1d_high": high}
    (one,) = verdicts(LIMITS, values, ANY)
    assert (one.name, one.status) == ("min_acc_1d", status)


def test_the_worst_counts_and_no_limit_is_held():
    found = verdicts(LIMITS, {"avm": 6.0, "acc_1d": 90.0}, ANY)
    assert [one.status for one in found] == ["broken", "held"]
    assert overall(found) == "broken"
    assert overall(verdicts(Constraints(), {"avm": 6.0}, ANY)) == "held"


def test_measured_rows_get_the_interval_over_programmings():
    row = with_interval({"avm": 4.0, "avm_sem": 1.0, "acc_1d": 90.0, "repeats": 5})
    assert row["avm_high"] - row["avm"] == pytest.approx(2.132, abs=1e-3)  # Student, 4 degrees of freedom
    assert "acc_1d_low" not in row
    unknown = {"avm": 4.0, "avm_sem": float("nan"), "repeats": 5}
    assert with_interval(unknown).keys() == unknown.keys()
    assert verdicts(LIMITS, row, ANY)[0].status == "not shown"


def test_it_is_written_read_and_said():
    found = verdicts(LIMITS, {"avm": 1.5, "avm_low": 1.0, "avm_high": 2.0, "acc_1d": 70.0}, ANY)
    data = json.loads(json.dumps(described(found)))
    assert data["status"] == "broken"
    assert data["T_AVM"] == {"limit": 5.0, "value": 1.5, "low": 1.0, "high": 2.0, "status": "held"}
    assert from_described(data) == found
    assert str(found[0]) == (
        "search.T_AVM (at most 5 points lost in a month) is held: 1.50 points, 90 % interval 1.00 to 2.00"
    )
    assert str(found[1]).startswith("search.min_acc_1d (at least 80 % after a day) is broken: 70.00 %")


def test_a_cost_is_exact_held_or_broken():
    known = cost(ANY, HERMES_1_PHASE)
    limits = Constraints(cost=CostLimits({"latency_us": known["latency_us"] / 2, "tiles": known["tiles"]}))
    found = verdicts(limits, {}, ANY)
    assert [(one.name, one.status) for one in found] == [("tiles", "held"), ("latency_us", "broken")]
    assert all(one.low == one.value == one.high == known[one.name] for one in found)
    assert from_described(json.loads(json.dumps(described(found)))) == found
    tiles = int(known["tiles"])
    assert str(found[0]) == f"search.constraints.tiles (at most {tiles} tiles) is held: {tiles} tiles"
    assert f" us for an inference) is broken: {known['latency_us']:.4g} us" in str(found[1])
