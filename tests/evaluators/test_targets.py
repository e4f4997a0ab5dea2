from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from analognas.evaluators.columns import LIMITS, TARGETS
from analognas.evaluators.targets import Components, QuantileMap, measured_columns, normal_scores


def results(n: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    acc = rng.uniform(20, 95, n)
    return pd.DataFrame(
        {
            "id": [str(i) for i in range(n)], "acc_digital": acc + 2, "acc_1h": acc + rng.normal(size=n),
            "acc_1h_std": 1.0, "acc_1d": acc, "acc_1d_sem": 0.1, "acc_1d_std": (100 - acc) / 10,
            "acc_30d": np.where(np.arange(n) == 3, np.nan, acc), "avm": (100 - acc) / 20, "params": 7,
        }
    )  # fmt: skip


def test_every_accuracy_that_was_measured_for_all_rows_is_learned_from():
    found = measured_columns(results())
    assert list(found) == [*TARGETS, "acc_digital", "acc_1h"]
    assert found["acc_1d_std"].tolist() == results()["acc_1d_std"].tolist()
    assert "acc_30d" in measured_columns(results().dropna())


def test_normal_scores_go_by_rank_and_ties_share_theirs():
    found = normal_scores(np.array([5.0, -3.0, 5.0, 1e9]))
    assert found.argsort(kind="stable").tolist() == [1, 0, 2, 3]
    assert found[0] == found[2] == pytest.approx(0)
    assert found[1] == pytest.approx(-found[3])
    assert normal_scores(np.arange(101.0)).std() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("target", TARGETS)
def test_a_score_is_the_value_of_the_same_rank(target: str):
    values = measured_columns(results())[target]
    back = QuantileMap.fit(target, values)
    np.testing.assert_allclose(back(normal_scores(values)), values, rtol=1e-9)
    grid = back(np.linspace(-6, 6, 200))
    assert (np.diff(grid) >= 0).all()
    assert grid[0] < values.min()
    assert grid[-1] > values.max()
    low, high = LIMITS[target]
    assert low <= back(np.array([-1e3])).item() <= back(np.array([1e3])).item() <= high


def test_a_map_is_stored_as_json():
    back = QuantileMap.fit("acc_1d", results(500)["acc_1d"].to_numpy())
    assert len(back.scores) == 200
    again = QuantileMap.from_dict(json.loads(json.dumps(back.to_dict())))
    scores = np.linspace(-5, 5, 50).reshape(10, 5)
    np.testing.assert_array_equal(again(scores), back(scores))
    assert back(scores).shape == (10, 5)


def test_one_component_is_enough_for_columns_of_the_same_order():
    acc = results()["acc_1d"].to_numpy()
    columns = {"acc_1d": acc, "avm": -acc / 50, "acc_1d_std": acc / 50}
    found, values, targets = Components.fit(columns, 3)
    assert values.shape == (40, 1)
    np.testing.assert_allclose(values @ found.loadings, targets, atol=1e-9)
    np.testing.assert_allclose(found.rest, 0, atol=1e-12)
    assert np.sign(found.loadings).tolist() in ([[1, -1, 1]], [[-1, 1, -1]])
    assert np.corrcoef(targets[:, 0], acc)[0, 1] > 0.9


def test_components_and_rest_make_up_the_variance():
    columns = measured_columns(results())
    variance = None
    rests = []
    for count in (1, 2, 5):
        found, values, targets = Components.fit(columns, count)
        assert found.loadings.shape == (values.shape[1], 3)
        variance = (targets**2).mean(axis=0)
        np.testing.assert_allclose(((values @ found.loadings) ** 2).mean(axis=0) + found.rest, variance, rtol=1e-9)
        rests.append(found.rest.sum())
    assert rests == sorted(rests, reverse=True)
    np.testing.assert_allclose(rests[-1], 0, atol=1e-9)
