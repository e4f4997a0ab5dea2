from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analognas.evaluators.calibration import Scale
from analognas.evaluators.columns import COLUMNS, COVERAGE, LIMITS, TARGETS, problem_of
from analognas.params import Params
from analognas.training.columns import measured_columns


def test_what_is_predicted_is_measured_by_default():
    params = Params()
    for times in (params.characterize.times, params.train.times):
        assert set(TARGETS) <= set(measured_columns(times))


@pytest.mark.parametrize("target", TARGETS)
def test_no_prediction_leaves_the_limits(target: str):
    low, high = LIMITS[target]
    assert low < high
    values = Scale(target, 0.0, 1.0).inverse(np.array([-1e3, -1.0, 0.0, 1.0, 1e3]))
    assert values.min() >= low
    assert values.max() <= high


def test_a_prediction_has_each_target_with_its_interval_and_no_column_twice():
    assert len(set(COLUMNS)) == len(COLUMNS)
    assert COLUMNS[0] == "id"
    for target in TARGETS:
        assert {target, f"{target}_uncertainty", f"{target}_low", f"{target}_high"} <= set(COLUMNS)
    assert len(COLUMNS) == 2 + 4 * len(TARGETS)
    assert set(LIMITS) == set(TARGETS)
    assert 0.5 < COVERAGE < 1


def test_rows_of_others_and_impossible_values_are_named():
    table = pd.DataFrame({"id": ["a", "b"], "acc_1d": [90.0, float("nan")], "avm": [1.0, -2.0]})
    assert problem_of(table, ["a", "b"]) is None
    assert problem_of(table.drop(columns="id"), ["c", "d"]) is None
    assert problem_of(table, ["a"]) == "there are 1 architectures and 2 rows: give one row for each"
    assert str(problem_of(table, ["b", "a"])).startswith("row 0 is of 'a', not of 'b'")
    assert str(problem_of(table.assign(acc_1d=[90.0, 1000.0]), ["a", "b"])).startswith(
        "row 1 has acc_1d = 1000: it must"
    )
    assert str(problem_of(table.assign(acc_1d_std=[0.1, -1.0]), ["a", "b"])).startswith("row 1 has acc_1d_std = -1")
