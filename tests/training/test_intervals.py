import numpy as np
import pytest
from scipy.stats import t as student

from analognas.training.intervals import curve, half_width, of_images


def test_one_variance_gives_students_interval():
    assert half_width([4.0], [9], 0.95) == pytest.approx(2 * student.ppf(0.95, 9))
    assert half_width([4.0, 0.0], [9, 3], 0.95) == pytest.approx(2 * student.ppf(0.95, 9))
    assert half_width([0.0, 0.0], [1, 1], 0.95) == 0.0


def test_the_variance_of_a_mean_over_images():
    values = np.array([1.0, 2.0, 4.0])
    assert of_images(values) == pytest.approx(values.var(ddof=1) / 3)
    assert of_images(values[:1]) == 0.0


def test_the_curve_has_mean_spread_and_interval_at_each_time():
    right = np.random.default_rng(0).random((5, 2, 40)) < np.array([0.9, 0.6])[:, np.newaxis]
    first, second = curve(right, (1.0, 86_400.0))
    accuracy = 100 * right.mean(axis=2)
    assert (first["seconds"], second["seconds"]) == (1.0, 86_400.0)
    assert first["accuracy"] == pytest.approx(accuracy[:, 0].mean(), abs=1e-4)
    assert second["std"] == pytest.approx(accuracy[:, 1].std(ddof=1), abs=1e-4)
    assert second["low"] < second["accuracy"] < second["high"]
    of_programmings = student.ppf(0.95, 4) * second["std"] / 5**0.5
    assert second["high"] - second["accuracy"] > 1.5 * of_programmings / 2  # the images are in it, too
    assert 0 <= first["low"] <= first["high"] <= 100


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(400):
        hard = rng.uniform(0.5, 1, 60)
        chance = np.clip(hard + rng.normal(0, 0.04, (6, 1)), 0, 1)
        point = curve((rng.random((6, 60)) < chance)[:, np.newaxis], (1.0,))[0]
        held += point["low"] <= 75 <= point["high"]
    assert 0.86 <= held / 400 <= 0.97


def test_nothing_wrong_has_no_width():
    point = curve(np.ones((3, 1, 10), dtype=bool), (1.0,))[0]
    assert (point["low"], point["accuracy"], point["high"]) == (100.0, 100.0, 100.0)
