import numpy as np
import pytest

from analognas.evaluators.base import COLUMNS
from analognas.search_spaces import ConfigSpace
from analognas.testing.analytic import AnalyticEvaluator, enumerate_space
from analognas.testing.optimizers import middle_space, small_space


def test_enumeration_is_complete():
    for space, size in ((small_space(), 128), (middle_space(), 2_176)):
        architectures = list(enumerate_space(space))
        assert len({one.id for one in architectures}) == len(architectures) == size == space.size()
        assert all(one in space for one in architectures[::50])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("k", [0.0, 1.0, 5.0])
def test_the_target_is_the_only_optimum(seed, k):
    space = middle_space()
    evaluator = AnalyticEvaluator(space, seed)
    architectures = list(enumerate_space(space))
    assert evaluator.optimum(architectures, k) == evaluator.target
    distances = np.sort([evaluator.distance(one) for one in architectures])
    assert distances[0] == 0 < distances[1]
    assert distances[-1] <= 1


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
