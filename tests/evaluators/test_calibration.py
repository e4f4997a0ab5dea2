import numpy as np
import pytest

from analognas.evaluators.calibration import Interval, Novelty, Scale, ScoreMap
from analognas.evaluators.columns import LIMITS, TARGETS


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("target", TARGETS)
def test_scales_go_there_and_back(target, rng):
    low, high = LIMITS[target]
    values = np.concatenate([rng.uniform(low, high, 50), [low, high, 0.0]])
    scale = Scale.fit(target, values)
    scaled = scale.forward(values)
    assert (scaled.mean(), scaled.std()) == pytest.approx((0, 1))
    assert scale.inverse(scaled) == pytest.approx(values, abs=1e-9)
    order = np.argsort(values)
    assert (np.diff(scaled[order]) >= 0).all()


@pytest.mark.parametrize("target", TARGETS)
def test_scales_stay_within_what_is_possible(target):
    scale = Scale.fit(target, np.array([1.0, 2.0, 3.0]))
    inverse = scale.inverse(np.array([-1e9, 1e9]))
    assert np.isfinite(inverse).all()
    assert (LIMITS[target][0] <= inverse).all()
    assert (inverse <= LIMITS[target][1]).all()


def test_a_constant_target_has_a_scale():
    scale = Scale.fit("acc_1d", np.full(10, 100.0))
    assert (scale.forward(np.full(3, 100.0)) == 0).all()
    assert scale.inverse(np.zeros(3)) == pytest.approx(100)


@pytest.mark.parametrize("n", [8, 40, 1000])
def test_score_maps_are_strictly_increasing(n, rng):
    scores = rng.normal(size=n)
    score_map = ScoreMap.fit(scores, scores**3 + rng.normal(size=n))
    grid = np.linspace(-10, 10, 500)
    assert (np.diff(score_map(grid)) > 0).all()
    assert score_map(np.array([[0.0, 1.0], [2.0, 3.0]])).shape == (2, 2)


def test_score_maps_follow_the_shape_where_rows_allow(rng):
    scores = rng.uniform(-2, 2, size=1000)
    score_map = ScoreMap.fit(scores, np.sinh(scores))
    grid = np.linspace(-1.8, 1.8, 50)
    assert score_map(grid) == pytest.approx(np.sinh(grid), abs=0.1)


@pytest.mark.parametrize("scores", [np.zeros(20), -np.arange(20.0)])
def test_scores_that_do_not_rank_still_get_a_slope(scores):
    score_map = ScoreMap.fit(scores, np.arange(20.0))
    mapped = score_map(np.linspace(-30, 30, 100))
    assert np.isfinite(mapped).all()
    assert (np.diff(mapped) > 0).all()


def split(n, folds, rng, repetitions=2):
    return np.array([rng.permutation(np.arange(n) % folds) for _ in range(repetitions)])


@pytest.mark.parametrize("n", [30, 99, 100, 300])
def test_intervals_hold_new_measurements(n, rng):
    """The models are the means of the rows that they have seen: what CV+ is proven for."""
    held = []
    for _ in range(60):
        values = rng.gumbel(size=n)  # skewed
        assigned = split(n, 5, rng)
        members = np.array([values[one != fold].mean() for one in assigned for fold in range(5)])
        unseen = np.mean([members[5 * r + one] for r, one in enumerate(assigned)], axis=0)
        interval = Interval.fit(values - unseen, assigned, np.zeros(n))
        low, high = interval.predict(np.repeat(members[:, None], 50, axis=1), np.zeros(50))
        new = rng.gumbel(size=50)
        held.append(np.mean((low <= new) & (new <= high)))
    assert np.mean(held) == pytest.approx(0.9, abs=0.03)


def test_intervals_widen_with_disagreement_and_novelty(rng):
    assigned = split(50, 5, rng)
    interval = Interval.fit(rng.normal(size=50), assigned, np.zeros(50))
    agreeing = np.zeros((10, 2))
    disagreeing = rng.normal(size=(10, 1)) * 3 + np.zeros((1, 2))
    widths = []
    for members in (agreeing, disagreeing):
        low, high = interval.predict(members, np.array([0.0, 1.0]))
        widths.append(high - low)
    assert widths[0][0] < widths[0][1]
    assert widths[0][0] < widths[1][0]


def test_skewed_residuals_give_skewed_intervals_with_enough_rows(rng):
    residuals = rng.exponential(size=200) - 1
    interval = Interval.fit(residuals, np.zeros((1, 200), dtype=int), np.zeros(200))
    low, high = interval.predict(np.zeros((1, 1)), np.zeros(1))
    assert high[0] > -2 * low[0]


def test_thousands_of_rows_keep_a_bounded_number_of_scores(rng):
    residuals = rng.normal(size=5000)
    interval = Interval.fit(residuals, split(5000, 5, rng), np.zeros(5000))
    assert interval.scores.shape == (1000,)
    assert interval.assigned.shape == (2, 1000)
    low, high = interval.predict(np.zeros((10, 1)), np.zeros(1))
    assert (low[0], high[0]) == pytest.approx((-1.645, 1.645), abs=0.15)


def test_a_target_without_noise_has_intervals_without_width(rng):
    interval = Interval.fit(np.zeros(20), split(20, 5, rng), np.zeros(20))
    low, high = interval.predict(np.ones((10, 1)), np.zeros(1))
    assert (low[0], high[0]) == (1, 1)


def test_novelty_grows_from_usual_to_unknown(rng):
    features = np.column_stack([rng.normal(size=(100, 3)), np.full(100, 7.0)]).astype(np.float32)
    novelty, own = Novelty.fit(features, np.arange(100))
    assert (own == 0).mean() == pytest.approx(0.9)
    steps = np.array([[step, 0, 0, 7] for step in (0.0, 4.0, 5.0, 6.0, 50.0)], dtype=np.float32)
    values = novelty(steps)
    assert values[0] < 0.2
    assert (np.diff(values) >= 0).all()
    assert values[-1] == pytest.approx(1)


def test_novelty_of_a_row_looks_at_other_architectures_only(rng):
    features = rng.normal(size=(20, 3)).astype(np.float32)
    repeated = np.repeat(features, 3, axis=0)
    _, own = Novelty.fit(features, np.arange(20))
    _, own_repeated = Novelty.fit(repeated, np.repeat(np.arange(20), 3))
    assert own_repeated[::3] == pytest.approx(own, abs=0.05)


def test_novelty_survives_storage(rng):
    features = rng.normal(size=(20, 3)).astype(np.float32)
    novelty, _ = Novelty.fit(features, np.arange(20))
    restored = Novelty.from_dict(novelty.to_dict(), novelty.anchors)
    points = 3 * rng.normal(size=(9, 3)).astype(np.float32)
    assert (restored(points) == novelty(points)).all()
