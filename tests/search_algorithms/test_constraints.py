from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analognas.errors import SearchError
from analognas.search_algorithms.constraints import Constraints, Objective
from analognas.search_algorithms.records import Evaluated
from analognas.search_spaces import ConfigSpace

VALUES = pd.DataFrame({"acc_1d": [90.0, 80.0], "acc_1d_std": [2.0, 0.05], "avm": [1.0, 3.0], "avm_high": [2.0, 4.0]})


def test_penalized_objective():
    np.testing.assert_allclose(Objective()(VALUES), [88.0, 79.95])
    np.testing.assert_allclose(Objective("penalized", 3.0)(VALUES), [84.0, 79.85])


def test_published_ratio_has_a_floor():
    np.testing.assert_allclose(Objective("ratio")(VALUES), [45.0, 800.0])


@pytest.mark.parametrize("arguments", [("accuracy",), ("penalized", -0.1), ("ratio", float("nan"))])
def test_bad_objectives(arguments):
    with pytest.raises(SearchError, match=r"unknown objective 'accuracy': use one of|k is"):
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
    violations = limits.violations(np.array([1_100.0, 900.0]), VALUES)
    np.testing.assert_allclose(violations, [[10, 0, 0], [0, 0, 5]])
    upper = replace(limits, avm_bound="upper").violations(np.array([1_100.0, 900.0]), VALUES)
    np.testing.assert_allclose(upper, [[10, 0, 0], [0, 1, 5]])
    assert limits.active == ("max_nb_param", "T_AVM", "min_acc_1d")


def test_without_an_interval_the_measured_variation_counts():
    limits = Constraints(T_AVM=3.0, avm_bound="upper")
    violations = limits.violations(np.array([1.0, 1.0]), VALUES.drop(columns="avm_high"))
    np.testing.assert_allclose(violations, [[0], [0]])


def test_nothing_set_nothing_violated():
    assert Constraints().violations(np.array([1.0, 2.0]), VALUES).shape == (2, 0)


def explained(limits, rows, params=(100, 200)):
    space = ConfigSpace("digits")
    base = space.sample(len(rows))
    records = []
    for architecture, row, size in zip(base, rows, params, strict=True):
        sized = type(architecture)(architecture.space, architecture.genes, size)
        violation = np.inf if row.get("acc_1d") is None else 1.0
        records.append(Evaluated(sized, 0, "start", 1.0, violation, row))
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
    assert limits.violation(1_100, {"acc_1d": 80.0, "avm": 4.5}) == pytest.approx(10 + 1.5 + 5)
    assert limits.violation(900, {"acc_1d": 90.0, "avm": 2.0, "avm_high": 9.0}) == 0
