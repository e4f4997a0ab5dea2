from __future__ import annotations

import numpy as np
import pytest

from analognas.evaluators.members import TREES, GaussianProcess, Trees


def test_leave_one_out_is_what_leaving_out_gives() -> None:
    """In closed form and by doing it, with the same hyperparameters."""
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


def data(rows: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(rows, 4))
    values = np.column_stack([3 * features[:, 0] + 0.1 * rng.normal(size=rows), np.tanh(features[:, 1])])
    return features, values


@pytest.mark.parametrize("ard", [False, True])
def test_a_process_learns_and_knows_where_it_is_far_from_the_data(ard: bool) -> None:
    features, values = data()
    process = GaussianProcess.fit(features, values, ard, np.random.default_rng(0))
    mean, variance = process.predict(features)
    assert mean.shape == variance.shape == (40, 2)
    assert np.corrcoef(mean[:, 0], values[:, 0])[0, 1] > 0.98
    assert (process.predict(features + 40)[1].mean(axis=0) > 2 * variance.mean(axis=0)).all()
    assert (variance > 0).all()
    # A factor, length scales and a noise for each component.
    assert [len(theta) for theta in process.thetas] == [6 if ard else 3] * 2


def test_a_prediction_does_not_depend_on_its_company() -> None:
    features, values = data()
    process = GaussianProcess.fit(features, values, False, np.random.default_rng(0))
    asked = np.random.default_rng(2).normal(size=(300, 4))
    mean, variance = process.predict(asked)
    for row in (0, 255, 256, 299):
        alone = process.predict(asked[[row]])
        assert (alone[0][0] == mean[row]).all()
        assert (alone[1][0] == variance[row]).all()


def test_hyperparameters_and_data_are_all_that_a_process_is() -> None:
    features, values = data()
    process = GaussianProcess.fit(features, values, True, np.random.default_rng(0))
    again = GaussianProcess.of(features, values, True, process.thetas)
    for first, second in zip(process.predict(features), again.predict(features), strict=True):
        np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(process.noise, again.noise)
    # In units of the components, squared.
    louder = GaussianProcess.of(features, 10 * values, True, process.thetas)
    np.testing.assert_allclose(louder.noise, 100 * process.noise)


@pytest.mark.parametrize("kind", TREES)
def test_trees_of_each_kind_learn_the_same_from_the_same_seed(kind: str) -> None:
    features, values = data(120)
    trees = Trees.fit(features, values, kind, seed=3)
    predicted = trees.predict(features)
    assert predicted.shape == (120, 2)
    assert np.corrcoef(predicted[:, 0], values[:, 0])[0, 1] > 0.8
    assert (predicted == Trees.fit(features, values, kind, seed=3).predict(features)).all()
    assert (predicted != Trees.fit(features, values, kind, seed=4).predict(features)).any()
