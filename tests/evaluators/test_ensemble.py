from __future__ import annotations

import numpy as np
import pytest

from analognas.errors import InputError
from analognas.evaluators.ensemble import EnsembleEvaluator, GaussianProcessEvaluator
from analognas.evaluators.metrics import kendall_tau
from analognas.search_spaces import ConfigSpace
from analognas.search_spaces.nasbench201 import NASBench201Space
from analognas.testing import EvaluatorConformance, synthetic_results


class TestEnsemble(EvaluatorConformance):
    def make(self) -> EnsembleEvaluator:
        return EnsembleEvaluator(folds=2, bootstrap=100, components=3)


class TestGaussianProcess(EvaluatorConformance):
    def make(self) -> GaussianProcessEvaluator:
        return GaussianProcessEvaluator(folds=2, bootstrap=100, components=3)


class TestOnCells(EvaluatorConformance):
    @pytest.fixture
    def space(self) -> ConfigSpace:
        return NASBench201Space()

    def make(self) -> EnsembleEvaluator:
        return EnsembleEvaluator(("gaussian_process", "boosting"), folds=2, bootstrap=100, components=2)


def test_further_accuracies_help() -> None:
    """A column with less noise than the target itself, as other drift times are."""
    space = ConfigSpace("digits", max_params=50_000)
    given, unseen = space.sample(40, seed=1), space.sample(200, seed=2)
    results = synthetic_results(given)
    truth = synthetic_results(unseen, seed=5)["acc_1d"]
    rng = np.random.default_rng(0)
    noisy = results.assign(acc_1d=np.clip(results["acc_1d"] + 8 * rng.normal(size=40), 0, 100))
    alone = EnsembleEvaluator(report=False).fit(given, noisy).predict(unseen)
    helped = EnsembleEvaluator(report=False).fit(given, noisy.assign(acc_1h=results["acc_1d"])).predict(unseen)
    assert kendall_tau(truth, helped["acc_1d_score"]) > kendall_tau(truth, alone["acc_1d_score"])


def test_uncertainty_grows_away_from_the_data() -> None:
    space = ConfigSpace("CIFAR-10", max_params=3_000_000)
    small = ConfigSpace("CIFAR-10", max_params=60_000)
    given = small.sample(40, seed=1)
    evaluator = GaussianProcessEvaluator(report=False).fit(given, synthetic_results(given))
    near = evaluator.predict(small.sample(40, seed=2))["acc_1d_uncertainty"].median()
    far = space.sample(60, seed=3)
    far = sorted(far, key=lambda one: -one.params)[:20]
    scores = evaluator.model_.predict(evaluator.schema_.transform(far).astype(float))
    assert np.isfinite(scores["acc_1d"].value).all()
    assert near >= 0
    process = next(iter(evaluator.model_.processes.values()))
    inputs = evaluator.model_.standard(evaluator.schema_.transform(given).astype(float), ard=False)
    outer = evaluator.model_.standard(evaluator.schema_.transform(far).astype(float), ard=False)
    assert process.predict(outer)[1].mean() > process.predict(inputs)[1].mean()


@pytest.mark.parametrize(
    "arguments",
    [{"members": ("oracle",)}, {"members": ("boosting",)}, {"components": 0}, {"folds": 1}, {"bootstrap": 0}],
)
def test_bad_arguments_are_named(arguments: dict[str, object]) -> None:
    given = ConfigSpace("digits").sample(10)
    with pytest.raises(InputError):
        EnsembleEvaluator(**arguments).fit(given, synthetic_results(given))  # type: ignore[arg-type]
