import time

import numpy as np
import pytest
from scipy import stats

from analognas.evaluators import metrics
from analognas.evaluators.metrics import (
    bootstrap_weights,
    coverage,
    kendall_tau,
    kendall_tau_difference,
    rmse,
    spearman,
    summary,
    weighted_kendall_tau,
    weighted_spearman,
    with_interval,
)


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    measured = rng.normal(size=64).round(1)  # with ties
    return measured, (measured + rng.normal(size=64)).round(1)


def prediction(value, margin=1.0):
    return {"score": value, "value": value, "low": value - margin, "high": value + margin}


def numbers(n):
    return np.arange(n)


def test_point_values_are_scipy_s(pair):
    measured, predicted = pair
    ones = np.ones((1, 64))
    assert weighted_kendall_tau(measured, predicted, ones, numbers(64))[0] == pytest.approx(
        stats.kendalltau(measured, predicted).statistic
    )
    assert weighted_spearman(measured, predicted, ones)[0] == pytest.approx(
        stats.spearmanr(measured, predicted).statistic
    )
    assert kendall_tau(measured, predicted) == stats.kendalltau(measured, predicted).statistic
    assert spearman(measured, predicted) == stats.spearmanr(measured, predicted).statistic


def test_weights_are_repetitions(pair):
    measured, predicted = (values[:12] for values in pair)
    weights = np.array([[3, 0, 1, 2, 1, 1, 0, 0, 1, 1, 4, 1]])
    rows = np.repeat(np.arange(12), weights[0])
    assert weighted_spearman(measured, predicted, weights.astype(float))[0] == pytest.approx(
        stats.spearmanr(measured[rows], predicted[rows]).statistic
    )
    # Kendall: as scipy's, but copies of one architecture are no pair, neither tied nor concordant.
    signs = [
        (np.sign(measured[i] - measured[j]), np.sign(predicted[i] - predicted[j]))
        for a, i in enumerate(rows)
        for b, j in enumerate(rows)
        if a < b and i != j
    ]
    x, y = np.array(signs).T
    expected = (x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum())
    assert weighted_kendall_tau(measured, predicted, weights.astype(float), numbers(12))[0] == pytest.approx(expected)


def test_blocks_do_not_change_tau(pair, monkeypatch):
    weights, groups = bootstrap_weights([str(i) for i in range(64)], 20, 0)
    whole = weighted_kendall_tau(*pair, weights, groups)
    monkeypatch.setattr(metrics, "_BLOCK", 640)
    assert (weighted_kendall_tau(*pair, weights, groups) == whole).all()


def test_constant_sides_have_no_rank_correlation():
    constant, rising = np.ones(5), np.arange(5.0)
    assert np.isnan(kendall_tau(constant, rising))
    assert np.isnan(spearman(rising, constant))
    assert np.isnan(kendall_tau([1.0], [1.0]))
    ones = np.ones((1, 5))
    assert np.isnan(weighted_kendall_tau(constant, rising, ones, numbers(5))[0])
    assert np.isnan(weighted_spearman(constant, rising, ones)[0])


def test_rmse_and_coverage():
    assert rmse([1, 2], [1, 4]) == pytest.approx(np.sqrt(2))
    assert coverage([1, 2, 3, 4], [0, 2, 4, 0], [1, 2, 5, 3]) == 0.5


def test_resamples_draw_architectures_and_keep_their_rows_together():
    weights, groups = bootstrap_weights(["a", "b", "a", "c"], 200, 0)
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()
    assert groups[0] == groups[2]
    assert (weights == bootstrap_weights(["a", "b", "a", "c"], 200, 0)[0]).all()
    assert (weights != bootstrap_weights(["a", "b", "a", "c"], 200, 1)[0]).any()


def test_intervals_hold_the_value_and_narrow_with_n(pair):
    def width(n):
        weights, groups = bootstrap_weights([str(i) for i in range(n)], 500, 0)
        measured, predicted = (values[:n] for values in pair)
        result = with_interval(lambda w: weighted_kendall_tau(measured, predicted, w, groups), weights)
        assert result["low"] < result["value"] < result["high"]
        return result["high"] - result["low"]

    assert width(64) < width(16)


def test_the_interval_of_tau_holds_as_often_as_it_says():
    rng = np.random.default_rng(1)
    truth = 2 / np.pi * np.arcsin(1 / np.sqrt(2))  # of two normals with correlation 1 / sqrt(2)
    held = []
    for seed in range(100):
        measured = rng.normal(size=40)
        predicted = measured + rng.normal(size=40)
        weights, groups = bootstrap_weights([str(i) for i in range(40)], 200, seed)
        result = with_interval(lambda w, x=measured, y=predicted, g=groups: weighted_kendall_tau(x, y, w, g), weights)
        held.append(result["low"] <= truth <= result["high"])
    assert 0.88 <= np.mean(held) <= 1


def test_undefined_metrics_are_none():
    weights, groups = bootstrap_weights(["a", "b", "c"], 50, 0)
    result = summary(np.ones(3), [prediction(np.arange(3.0))], weights, groups)
    assert result["kendall_tau"] == result["spearman"] == {"value": None, "low": None, "high": None}
    assert result["rmse"]["value"] == pytest.approx(np.sqrt(2 / 3))


def test_repetitions_are_averaged(pair):
    measured, predicted = pair
    weights, groups = bootstrap_weights([str(i) for i in range(64)], 100, 0)
    good, bad = prediction(measured), prediction(predicted)
    result = summary(measured, [good, bad], weights, groups)
    assert result["kendall_tau"]["value"] == pytest.approx((1 + kendall_tau(measured, predicted)) / 2)
    assert result["coverage"]["value"] == pytest.approx((1 + coverage(measured, predicted - 1, predicted + 1)) / 2)


def test_a_thousand_resamples_are_quick(pair):
    measured, predicted = pair
    start = time.process_time()
    weights, groups = bootstrap_weights([str(i) for i in range(64)], 1000, 0)
    summary(measured, [prediction(predicted)] * 2, weights, groups)
    assert time.process_time() - start < 2


def test_difference_of_taus_and_its_error():
    rng = np.random.default_rng(2)
    differences, errors = [], []
    for _ in range(200):
        measured = rng.normal(size=50)
        first, second = (measured + rng.normal(size=50) for _ in range(2))
        difference, error = kendall_tau_difference(measured, first, second)
        assert difference == pytest.approx(kendall_tau(measured, first) - kendall_tau(measured, second))
        differences.append(difference)
        errors.append(error)
    assert np.mean(errors) == pytest.approx(np.std(differences), rel=0.25)
    assert np.isnan(kendall_tau_difference(np.ones(5), np.arange(5), np.arange(5))).all()
