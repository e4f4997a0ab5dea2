from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analognas.errors import HardwareError, SearchError
from analognas.hardware.chips import HERMES_1_PHASE, Chip
from analognas.hardware.cost import cost
from analognas.search_algorithms.constraints import Constraints, CostLimits, Objective
from analognas.search_algorithms.records import Evaluated
from analognas.search_spaces import ConfigSpace

VALUES = pd.DataFrame({"acc_1d": [90.0, 80.0], "acc_1d_std": [2.0, 0.05], "avm": [1.0, 3.0], "avm_high": [2.0, 4.0]})


def sized(*params):
    """Return architectures that say to have so many parameters."""
    drawn = ConfigSpace("digits").sample(len(params), seed=0)
    return [type(one)(one.space, one.genes, size) for one, size in zip(drawn, params, strict=True)]


def test_penalized_objective():
    np.testing.assert_allclose(Objective()(VALUES), [88.0, 79.95])
    np.testing.assert_allclose(Objective("penalized", 3.0)(VALUES), [84.0, 79.85])


def test_published_ratio_has_a_floor():
    np.testing.assert_allclose(Objective("ratio")(VALUES), [45.0, 800.0])


def test_a_quantile_is_that_of_a_normal_distribution_over_programmings():
    found = Objective("quantile", quantile=0.05)(VALUES)
    np.testing.assert_allclose(found, stats.norm.ppf(0.05, VALUES["acc_1d"], VALUES["acc_1d_std"]))
    np.testing.assert_allclose(Objective("quantile", quantile=0.5)(VALUES), VALUES["acc_1d"])
    assert [str(Objective("quantile")), str(Objective("ratio")), str(Objective(k=2))] == [
        "5 % quantile", "acc / std", "acc - 2 std",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [("accuracy",), ("penalized", -0.1), ("ratio", float("nan")), ("quantile", 1.0, 0.0), ("quantile", 1.0, 0.6)],
)
def test_bad_objectives(arguments):
    with pytest.raises(SearchError, match=r"objective|k is|quantile is"):
        Objective(*arguments)


def test_defaults_follow_from_the_space():
    assert Constraints().resolve(ConfigSpace("digits")) == Constraints(None, None, 55.0)
    limits = Constraints(5_000, 3.0, 70.0).resolve(ConfigSpace("VWW", max_params=20_000))
    assert limits == Constraints(5_000, 3.0, 70.0)
    limits = Constraints(50_000).resolve(ConfigSpace("VWW", max_params=20_000))
    assert limits == Constraints(20_000, None, 75.0)


def test_a_limit_below_the_smallest_network():
    space = ConfigSpace("digits")
    size = space.smallest().params
    assert Constraints(size).resolve(space).max_nb_param == size
    with pytest.raises(SearchError, match=f"allow at least {size}"):
        Constraints(size - 1).resolve(space)


def test_violations_are_added_in_points():
    limits = Constraints(max_nb_param=1_000, T_AVM=3.0, min_acc_1d=85.0)
    violations = limits.violations(sized(1_100, 900), VALUES)
    np.testing.assert_allclose(violations, [[10, 0, 0], [0, 0, 5]])
    upper = replace(limits, avm_bound="upper").violations(sized(1_100, 900), VALUES)
    np.testing.assert_allclose(upper, [[10, 0, 0], [0, 1, 5]])
    assert limits.active == ("max_nb_param", "T_AVM", "min_acc_1d")


def test_without_an_interval_the_measured_variation_counts():
    limits = Constraints(T_AVM=3.0, avm_bound="upper")
    violations = limits.violations(sized(1, 1), VALUES.drop(columns="avm_high"))
    np.testing.assert_allclose(violations, [[0], [0]])


def test_nothing_set_nothing_violated():
    assert Constraints().violations(sized(1, 2), VALUES).shape == (2, 0)


def explained(limits, rows, params=(100, 200)):
    records = []
    for architecture, row in zip(sized(*params), rows, strict=True):
        violation = np.inf if row.get("acc_1d") is None else 1.0
        records.append(Evaluated(architecture, 0, "start", 1.0, violation, row))
    return limits.explain(records)


def test_the_constraint_that_nothing_meets_is_to_blame():
    rows = [{"acc_1d": 60.0, "avm": 4.0, "avm_high": 7.5}, {"acc_1d": 40.0, "avm": 4.0, "avm_high": 6.25}]
    text = explained(Constraints(T_AVM=5.0, min_acc_1d=55.0, avm_bound="upper"), rows)
    assert text == (
        "none of the 2 architectures evaluated holds the limits: T_AVM = 5.0 excludes 2 (the lowest upper bound of the "
        "AVM is 6.25, 1.25 points off); min_acc_1d = 55.0 excludes 1 (the highest acc_1d is 60.00, which meets it, but "
        "not together with the others). Characterize more architectures (a larger sample.size, or `analognas search "
        "--true-evaluations 16`), set search.T_AVM=6.3, which the closest one keeps, or leave search.strict false: the "
        "run then goes on with what comes closest."
    )


def test_constraints_that_exclude_each_other_are_all_to_blame():
    rows = [{"acc_1d": 60.0, "avm": 7.5}, {"acc_1d": 40.0, "avm": 4.0}]
    text = explained(Constraints(T_AVM=5.0, min_acc_1d=55.0), rows)
    assert text.count("which meets it, but not together with the others") == 2
    assert "search.T_AVM=" not in text


def test_failures_are_counted():
    rows = [{"acc_1d": 60.0, "avm": 7.5}, {"acc_1d": None, "avm": None}]
    text = explained(Constraints(T_AVM=5.0, min_acc_1d=55.0), rows)
    assert "T_AVM = 5.0 excludes 1" in text
    assert "; 1 failed." in text


def test_too_large_ones_that_were_told_are_named():
    rows = [{"acc_1d": 90.0}, {"acc_1d": 90.0}]
    text = explained(Constraints(max_nb_param=50), rows, params=(100, 200))
    assert "max_nb_param = 50 excludes 2 (the smallest has 100 parameters). Raise it." in text


def test_one_row_s_violation_is_the_sum():
    limits = Constraints(max_nb_param=1_000, T_AVM=3.0, min_acc_1d=85.0)
    large, small = sized(1_100, 900)
    assert limits.violation(large, {"acc_1d": 80.0, "avm": 4.5}) == pytest.approx(10 + 1.5 + 5)
    assert limits.violation(small, {"acc_1d": 90.0, "avm": 2.0, "avm_high": 9.0}) == 0


def test_costs_are_limited_in_percent_of_the_limit():
    first, second = sized(100, 200)
    known = [cost(one, HERMES_1_PHASE) for one in (first, second)]
    limits = Constraints(cost=CostLimits({"energy_uj": known[0]["energy_uj"], "tiles": known[0]["tiles"] / 2}))
    assert limits.active == ("tiles", "energy_uj")
    violations = limits.violations([first, second], None)
    assert violations[0].tolist() == pytest.approx([100, 0])
    assert violations[1, 1] == pytest.approx(max(0, 100 * (known[1]["energy_uj"] / known[0]["energy_uj"] - 1)))
    assert limits.violation(first, {}) == pytest.approx(100)
    # On another chip it is another cost.
    other = Chip("mine", 8, vector_ns=1, tile_pj=1)
    assert cost(first, other)["tiles"] > known[0]["tiles"]
    assert CostLimits({"tiles": 3}, other).costs([first])["tiles"].tolist() == [cost(first, other)["tiles"]]
    assert CostLimits({"tiles": 3}, "hermes-4-phase").of_chip.name == "hermes-4-phase"


def test_a_cost_that_nothing_holds_is_named_with_what_the_closest_one_takes():
    least = min(cost(one, HERMES_1_PHASE)["tiles"] for one in sized(100, 200))
    text = explained(Constraints(cost=CostLimits({"tiles": 1, "energy_uj": 1e6})), [{"acc_1d": 60.0}] * 2)
    assert f"tiles = 1 excludes 2 (the lowest tiles is {least})" in text
    assert f"set search.constraints.tiles={least}, which the closest one keeps" in text
    assert "energy_uj" not in text
    energies = [cost(one, HERMES_1_PHASE)["energy_uj"] for one in sized(100, 200)]
    text = explained(Constraints(cost=CostLimits({"energy_uj": 0.001})), [{"acc_1d": 60.0}] * 2)
    kept = float(text.partition("search.constraints.energy_uj=")[2].partition(",")[0])
    assert min(energies) <= kept <= 1.01 * min(energies)


def test_bad_limits_on_costs():
    with pytest.raises(SearchError, match=r"no limit on 'latency': did you mean 'latency_us'\?"):
        CostLimits({"latency": 3})
    for limit in (0, -1.0, float("nan"), True, "few"):
        with pytest.raises(SearchError, match=r"the limit on tiles is .*: it must be above 0"):
            CostLimits({"tiles": limit})
    with pytest.raises(HardwareError, match="unknown chip 'hermes-2-phase'"):
        _ = CostLimits({"tiles": 3}, "hermes-2-phase").of_chip
