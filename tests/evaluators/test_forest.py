import numpy as np
import pytest
import xgboost as xgb

from analognas.evaluators.forest import DEEPEST, Forest


def boosters(depth, rounds=20, count=3, rows=60):
    rng = np.random.default_rng(0)
    features = rng.integers(0, 6, size=(rows, 5)).astype(np.float32)
    made = []
    for seed in range(count):
        data = xgb.DMatrix(features, features @ rng.normal(size=5) + rng.normal(size=rows), nthread=1)
        params = {"max_depth": depth, "base_score": 0.0, "seed": seed, "nthread": 1, "min_child_weight": 4}
        made.append(xgb.train(params, data, rounds))
    return made


@pytest.mark.parametrize("depth", [1, 2, 3, DEEPEST])
@pytest.mark.parametrize("rows", [1, 2, 7, 3000])
def test_sums_are_those_of_the_boosters_bit_by_bit(depth, rows):
    made = boosters(depth)
    # Values between and exactly on the thresholds.
    features = (np.random.default_rng(1).integers(-2, 14, size=(rows, 5)) / 2).astype(np.float32)
    data = xgb.DMatrix(features, nthread=1)
    expected = np.array([booster.predict(data, output_margin=True) for booster in made])
    assert expected.std() > 0 or rows == 1
    found = Forest.of(made).margins(features)
    assert found.dtype == np.float64
    assert (found == expected).all()


def test_comparisons_are_made_once():
    forest = Forest.of(boosters(3))
    pairs = set(zip(forest.features.tolist(), forest.thresholds.tolist(), strict=True))
    assert len(pairs) == len(forest.features) < forest.comparisons.size


def test_deep_trees_are_left_to_xgboost():
    assert Forest.of(boosters(DEEPEST + 2, rounds=3, rows=2000)) is None


def test_boosters_of_different_length_are_left_to_xgboost():
    assert Forest.of([*boosters(2, count=1), *boosters(2, rounds=5, count=1)]) is None
