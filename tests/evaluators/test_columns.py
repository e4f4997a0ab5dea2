from __future__ import annotations

import numpy as np
import pytest

from analognas.evaluators.calibration import Scale
from analognas.evaluators.columns import COLUMNS, COVERAGE, LIMITS, TARGETS
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
