from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analognas.errors import CorruptFileError, InputError
from analognas.evaluators.ensemble import EnsembleEvaluator, GaussianProcessEvaluator
from analognas.evaluators.metrics import kendall_tau
from analognas.evaluators.registry import EVALUATORS, evaluator_class, load_evaluator
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


def test_leave_one_out_is_what_leaving_out_gives() -> None:
    """In closed form and by doing it, with the same hyperparameters."""
    from analognas.evaluators.members import GaussianProcess

    rng = np.random.default_rng(0)
    features = rng.normal(size=(25, 3))
    values = np.column_stack([features[:, 0] + 0.3 * rng.normal(size=25), rng.normal(size=25)])
    process = GaussianProcess.fit(features, values, True, rng)
    mean, _ = process.leave_one_out()
    for row in (0, 7):
        rest = np.arange(25) != row
        # The same prior: the components are divided by the spread of all rows.
        spread = values.std(axis=0) / values[rest].std(axis=0)
        thetas = [
            theta + np.r_[2 * np.log(s), np.zeros(3), 2 * np.log(s)]
            for theta, s in zip(process.thetas, spread, strict=True)
        ]
        without = GaussianProcess.of(features[rest], values[rest], True, thetas)
        assert without.predict(features[[row]])[0][0] == pytest.approx(mean[row], abs=1e-4)


@pytest.mark.parametrize(
    "arguments",
    [{"members": ("oracle",)}, {"members": ("boosting",)}, {"components": 0}, {"folds": 1}, {"bootstrap": 0}],
)
def test_bad_arguments_are_named(arguments: dict[str, object]) -> None:
    given = ConfigSpace("digits").sample(10)
    with pytest.raises(InputError):
        EnsembleEvaluator(**arguments).fit(given, synthetic_results(given))  # type: ignore[arg-type]


def test_a_stored_evaluator_is_loaded_as_what_it_is(tmp_path) -> None:  # type: ignore[no-untyped-def]
    given = ConfigSpace("digits").sample(12)
    fitted = GaussianProcessEvaluator(report=False).fit(given, synthetic_results(given))
    fitted.save(tmp_path / "evaluator")
    loaded = load_evaluator(tmp_path / "evaluator")
    assert type(loaded) is GaussianProcessEvaluator
    pd.testing.assert_frame_equal(loaded.predict(given), fitted.predict(given), check_exact=True)
    with pytest.raises(CorruptFileError, match="xgboost"):
        evaluator_class("xgboost").load(tmp_path / "evaluator")


def test_evaluators_by_name() -> None:
    assert {evaluator_class(name).__name__ for name in EVALUATORS} == {
        "XGBoostEvaluator", "EnsembleEvaluator", "GaussianProcessEvaluator",
    }  # fmt: skip
    with pytest.raises(InputError, match="did you mean 'ensemble'"):
        evaluator_class("ensmble")
    with pytest.raises(InputError, match="is no Evaluator"):
        evaluator_class("analognas.errors:InputError")
    with pytest.raises(InputError, match="cannot be imported"):
        evaluator_class("no_such_module:Thing")
