"""The statistical promises: intervals that hold, uncertainty that means something, methods that are chosen."""

from dataclasses import replace

import numpy as np
import pytest

from analognas.errors import InputError
from analognas.evaluators.boosting import Boosting
from analognas.evaluators.columns import TARGETS
from analognas.evaluators.features import FeatureSchema
from analognas.evaluators.metrics import coverage, kendall_tau
from analognas.evaluators.model import Settings, _better, fit_model
from analognas.search_spaces import ConfigSpace
from analognas.testing import synthetic_results

SPACE = ConfigSpace("digits", max_params=100_000)
REPETITIONS = 5


def fit(architectures, results, method="auto", seed=0, schema=None):
    schema = schema or FeatureSchema.learn(architectures, 256)
    return fit_model(
        schema.transform(architectures),
        {target: results[target].to_numpy() for target in TARGETS},
        np.arange(len(architectures)),
        schema.structural,
        Settings(method, 5, Boosting.for_rows(len(architectures)), seed),
    )


@pytest.fixture(scope="module")
def fits():
    """Models of 60 networks each, other networks, and one schema for all of them."""
    schema = FeatureSchema.learn(SPACE.sample(200, seed=99), 256)
    models = []
    for seed in range(REPETITIONS):
        architectures = SPACE.sample(60, seed=seed)
        models.append(fit(architectures, synthetic_results(architectures, seed=seed), seed=seed, schema=schema))
    return schema, models, SPACE.sample(300, seed=100)


def test_sixty_networks_are_enough_to_rank(fits):
    schema, models, new = fits
    measured = synthetic_results(new, seed=100)
    for model in models:
        prediction = model.predict(schema.transform(new))
        assert kendall_tau(measured["acc_1d"], prediction["acc_1d"].score) > 0.6
        assert kendall_tau(measured["avm"], prediction["avm"].value) > 0.5
        assert kendall_tau(measured["acc_1d_std"], prediction["acc_1d_std"].value) > 0.5


@pytest.mark.parametrize("target", TARGETS)
def test_intervals_hold_new_measurements(fits, target):
    schema, models, new = fits
    held = []
    for seed, model in enumerate(models):
        prediction = model.predict(schema.transform(new))[target]
        measured = synthetic_results(new, seed=200 + seed)[target]
        held.append(coverage(measured, prediction.low, prediction.high))
    assert 0.85 < np.mean(held) < 0.96
    assert min(held) > 0.8


def test_uncertainty_is_of_the_size_of_the_error(fits):
    """On the scale of the target, where it was learned, and against what is true without noise."""
    schema, models, new = fits
    truth = synthetic_results(new, noise=0)["acc_1d"].to_numpy()
    errors, uncertainties = [], []
    for model in models:
        prediction = model.predict(schema.transform(new))["acc_1d"]
        errors.append(np.mean((prediction.value - truth) ** 2))
        uncertainties.append(np.mean(prediction.uncertainty**2))
    assert 0.5 < np.sqrt(np.mean(uncertainties) / np.mean(errors)) < 2


@pytest.mark.parametrize("target", TARGETS)
def test_far_networks_are_less_certain(fits, target):
    schema, models, new = fits
    far = ConfigSpace("digits", ranges={"out_channel0": [60, 90], "R": [4, 6], "B": [3, 4]}).sample(50)
    for model in models:
        scale = model.targets[target].scale
        widths = []
        for architectures in (new, far):
            prediction = model.predict(schema.transform(architectures))[target]
            value = scale.forward(prediction.value)
            low, high = (scale.forward(end) for end in (prediction.low, prediction.high))
            widths.append((np.mean(high - low), np.mean(prediction.uncertainty / np.maximum(prediction.value, 1))))
            assert np.isfinite(value).all()
        assert widths[1][0] > 1.3 * widths[0][0]
        novelty = model.novelty
        columns = list(schema.structural)
        assert novelty(schema.transform(far)[:, columns]).mean() > 0.8
        assert novelty(schema.transform(new)[:, columns]).mean() < 0.2


@pytest.mark.parametrize("method", ["ranker", "regressor"])
def test_the_method_can_be_given(method):
    architectures = SPACE.sample(30)
    model = fit(architectures, synthetic_results(architectures), method)
    assert model.targets["acc_1d"].method.startswith(method)
    assert (model.targets["acc_1d"].score_map is not None) == (method == "ranker")
    assert model.targets["avm"].method.startswith("regressor")


def test_a_ranker_s_values_are_percentages():
    architectures, new = SPACE.sample(60, seed=1), SPACE.sample(200, seed=2)
    schema = FeatureSchema.learn(architectures, 256)
    model = fit(architectures, synthetic_results(architectures), "ranker", schema=schema)
    prediction = model.predict(schema.transform(new))["acc_1d"]
    measured = synthetic_results(new, seed=2)["acc_1d"].to_numpy()
    assert abs(np.mean(prediction.value - measured)) < 5
    assert 0.8 < coverage(measured, prediction.low, prediction.high) < 0.98
    order = np.argsort(prediction.score, kind="stable")
    assert (np.diff(prediction.value[order]) >= 0).all()


def test_the_ranker_is_chosen_only_if_it_ranks_better_than_chance_explains():
    rng = np.random.default_rng(0)
    measured = rng.normal(size=60)
    good, bad = measured + 0.3 * rng.normal(size=60), measured + 2 * rng.normal(size=60)
    assert _better(measured, good, bad)
    assert not _better(measured, bad, good)
    assert not _better(measured, good, good)
    assert not _better(measured, good + 0.05 * rng.normal(size=60), good)
    assert not _better(np.ones(60), good, bad)


def test_a_trend_is_used_where_it_helps_only():
    architectures = SPACE.sample(60)
    results = synthetic_results(architectures, noise=0.1)
    width = np.array([architecture.genes["out_channel0"] for architecture in architectures])
    results["avm"] = 2.0 + np.abs(width - 10)  # best in the middle: a line says nothing of it
    model = fit(architectures, results)
    assert model.targets["acc_1d_std"].method == "regressor with trend"
    assert model.targets["avm"].method == "regressor"


def test_unknown_methods_are_named():
    with pytest.raises(InputError, match=r"'forest' is unknown: use one of auto, ranker, regressor"):
        Settings("forest", 5, Boosting.for_rows(10), 0)


@pytest.mark.parametrize(
    "changed",
    [{"learning_rate": rate} for rate in (float("nan"), float("inf"), 0, -0.1, "0.1", True, None)]
    + [{name: count} for name in ("rounds", "max_depth") for count in (0, 1.5, float("nan"), True, "3")],
)
def test_rates_and_counts_that_nothing_can_be_fitted_with_are_refused(changed: dict):
    with pytest.raises(InputError, match=r"give whole numbers of at least 1, and a finite rate above 0\.$"):
        Settings("auto", 5, replace(Boosting.for_rows(10), **changed), 0)
