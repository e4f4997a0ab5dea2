import numpy as np
import pytest
from scipy import special

from benchmarks import _estimators as estimators


def test_quantities_are_a_day_a_month_and_their_variation() -> None:
    margins = np.array([[[1.0, 1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0], [1.0, -1.0, -1.0, -1.0]]])
    assert estimators.counted(margins).tolist() == [[50.0, 25.0, 50.0]]


@pytest.mark.parametrize("estimate", [estimators.normal, estimators.empirical])
def test_normal_margins_say_how_often_an_image_is_right(estimate) -> None:
    rng = np.random.default_rng(0)
    mean, sigma = rng.normal(0.5, 1.5, 400), 1.0
    right = 100 * special.ndtr(mean / sigma).mean()
    estimates = np.array([estimate(mean + sigma * rng.normal(size=(6, 3, 400))) for _ in range(60)])
    assert estimates[:, 0].mean() == pytest.approx(right, abs=0.5)
    counted = np.array([estimators.counted(mean + rng.normal(size=(6, 3, 400))).mean(axis=0) for _ in range(60)])
    assert estimates[:, 0].var() < 0.8 * counted[:, 0].var()


def test_what_does_not_vary_is_right_or_wrong() -> None:
    margins = np.broadcast_to(np.array([2.0, 2.0, -2.0, 2.0]), (6, 3, 4))
    assert estimators.normal(margins).tolist() == pytest.approx([75.0, 75.0, 0.0])
    assert estimators.empirical(margins).tolist() == pytest.approx([75.0, 75.0, 0.0])


def test_sets_are_programmings_in_a_row() -> None:
    margins = np.arange(14.0).reshape(14, 1, 1)
    assert estimators.sets(margins, 6).ravel().tolist() == list(range(12))
    both = estimators.paired(margins[:6], -margins[:6], 6)
    assert both[:, :, 0, 0].tolist() == [[0, 1, 2, 0, -1, -2], [3, 4, 5, -3, -4, -5]]


def test_a_control_saves_what_its_estimator_does_not_vary() -> None:
    rng = np.random.default_rng(1)
    control = rng.normal(size=100_000)
    values = 70 + 2 * control + rng.normal(size=100_000)
    mean, variance = estimators.controlled(values, control, slope=1.5, first=4, total=20)
    first, all_of = control.reshape(-1, 20)[:, :4].mean(axis=1), control.reshape(-1, 20).mean(axis=1)
    played = values.reshape(-1, 20)[:, :4].mean(axis=1) + 1.5 * (all_of - first)
    assert mean == pytest.approx(played.mean(), abs=0.05)
    assert variance == pytest.approx(played.var(), rel=0.05)


def test_slopes_are_those_of_the_other_networks() -> None:
    x = np.arange(10.0)
    assert estimators.slopes([(2 * x, x), (3 * x, x), (3 * x, x)]) == pytest.approx([3.0, 2.5, 2.5])
    assert estimators.slopes([(x, 0 * x), (x, 0 * x)]) == [0.0, 0.0]
