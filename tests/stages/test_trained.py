from dataclasses import replace

import numpy as np
import pytest

from analognas.stages.trained import COMPARED, Outcome, difference, differences
from analognas.testing import made_up_result


def _outcome(right: np.ndarray) -> Outcome:
    """The outcome of accuracies (repeats, images) after a day, as 0 or 1."""
    accuracy = 100 * right.mean(axis=1)
    sem = accuracy.std(ddof=1) / len(accuracy) ** 0.5
    row = replace(made_up_result(0, accuracy.mean())[1], repeats=len(accuracy))
    row = replace(row, measured={**row.measured, "acc_1d_sem": sem})
    return Outcome(row, row, None, {"acc_1d": 100 * right.mean(axis=0)})


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(300):
        hard = rng.uniform(0.4, 1, 60)  # images, the same for both networks, which are equally good
        ours, other = (
            _outcome(rng.random((4, 60)) < np.clip(hard + rng.normal(0, 0.05, (4, 1)), 0, 1)) for _ in range(2)
        )
        found = difference(ours, other, "acc_1d")
        held += found["low"] <= 0 <= found["high"]
    assert 0.93 <= held / 300 <= 1


def test_one_image_more_is_no_certain_difference():
    ours, other = np.ones((2, 14)), np.ones((2, 14))
    other[:, 3] = 0
    found = difference(_outcome(ours), _outcome(other), "acc_1d")
    assert found["value"] == pytest.approx(100 / 14)
    assert found["low"] < 0


def test_all_figures_are_compared():
    one = _outcome(np.ones((2, 14)))
    images = dict.fromkeys(COMPARED, np.full(14, 50.0))
    measured = {**one.test.measured, **{f"{name}_sem": 1.0 for name in COMPARED}}
    better = replace(one.test, measured=measured | dict.fromkeys(COMPARED, 60.0))
    worse = replace(one.test, measured=measured | dict.fromkeys(COMPARED, 55.0))
    found = differences(replace(one, test=better, images=images), replace(one, test=worse, images=images))
    assert {name: each["value"] for name, each in found.items()} == dict.fromkeys(COMPARED, 5.0)
