import numpy as np
import pytest

from analognas.evaluators.columns import COLUMNS
from analognas.search_spaces import ConfigSpace
from analognas.testing.analytic import AnalyticEvaluator, enumerate_space
from analognas.testing.optimizers import middle_space, small_space


@pytest.fixture(scope="module")
def architectures():
    return list(enumerate_space(middle_space()))


def test_enumeration_is_complete(architectures):
    for space, found in ((small_space(), list(enumerate_space(small_space()))), (middle_space(), architectures)):
        assert len({one.id for one in found}) == len(found) == space.size()
        assert all(one in space for one in found[::50])
    assert (small_space().size(), middle_space().size()) == (128, 2_176)


@pytest.mark.parametrize("seed", range(3))
def test_the_target_is_the_only_optimum(architectures, seed):
    evaluator = AnalyticEvaluator(middle_space(), seed)
    distances = np.sort([evaluator.distance(one) for one in architectures])
    assert distances[0] == 0 < distances[1]
    assert distances[-1] <= 1
    for k in (0.0, 5.0):
        assert evaluator.optimum(architectures, k) == evaluator.target


def test_values_at_the_target():
    space = ConfigSpace("CIFAR-10")
    evaluator = AnalyticEvaluator(space, 2)
    row = evaluator.predict([evaluator.target]).iloc[0]
    assert row["acc_1d"] == 95.0
    assert row["acc_1d_std"] == 0.5
    assert evaluator.predict([space.smallest()])["avm"].iloc[0] == 12.0


def test_predictions_have_the_columns_of_every_evaluator():
    space = ConfigSpace("digits")
    evaluator = AnalyticEvaluator(space)
    table = evaluator.predict(space.sample(5))
    assert set(table.columns) == set(COLUMNS)
    assert table.columns[0] == "id"
    assert (table["avm_low"] < table["avm"]).all()
    assert (table["avm"] < table["avm_high"]).all()
    assert evaluator.fit([], table) is evaluator


def test_larger_networks_drift_less():
    space = ConfigSpace("digits")
    architectures = sorted(space.sample(30), key=lambda one: one.params)
    assert AnalyticEvaluator(space).predict(architectures)["avm"].is_monotonic_decreasing


def test_seeds_have_targets_of_their_own():
    space = ConfigSpace("CIFAR-10", max_params=100_000)
    targets = {AnalyticEvaluator(space, seed).target for seed in range(5)}
    assert len(targets) == 5
    assert max(one.params for one in targets) <= 100_000


def test_a_formula_is_not_stored(tmp_path):
    with pytest.raises(NotImplementedError):
        AnalyticEvaluator(ConfigSpace("digits")).save(tmp_path)
    with pytest.raises(NotImplementedError):
        AnalyticEvaluator.load(tmp_path)
