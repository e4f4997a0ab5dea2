import numpy as np
import pytest

from analognas.evaluators.boosting import RANKER, Boosting, Ensemble, Trend, fit_ensemble, fold_numbers

QUICK = Boosting(rounds=20, max_depth=2, learning_rate=0.3)


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(40, 6)).astype(np.float32)
    values = features[:, 0] + 0.5 * features[:, 1] + 0.1 * rng.normal(size=40)
    return features, (values - values.mean()) / values.std()


def fit(features, values, **settings):
    return fit_ensemble(
        features, values, np.arange(len(values)), **{"folds": 5, "boosting": QUICK, "seed": 0} | settings
    )


def test_folds_are_even_and_alike():
    values = np.arange(50.0)
    folds = fold_numbers(values, np.arange(50), 5, seed=0)
    assert list(np.bincount(folds)) == [10] * 5
    # Each fold has one of every five neighbours in the order of the values.
    assert all(sorted(folds[start : start + 5]) == [0, 1, 2, 3, 4] for start in range(0, 50, 5))
    assert (folds != fold_numbers(values, np.arange(50), 5, seed=1)).any()


def test_rows_of_one_architecture_are_in_one_fold():
    groups = np.repeat(np.arange(10), 3)
    folds = fold_numbers(np.random.default_rng(0).normal(size=30), groups, 4, seed=0)
    assert all(len(set(folds[groups == group])) == 1 for group in range(10))
    assert set(folds) == {0, 1, 2, 3}


@pytest.mark.parametrize("objective", ["reg:squarederror", RANKER])
def test_out_of_fold_predictions_are_of_the_members_that_did_not_see_the_row(data, objective):
    features, values = data
    result = fit(features, values, objective=objective)
    members = result.ensemble.predict(features)
    assert members.shape == (10, 40)
    expected = np.mean([members[5 * r + fold, np.arange(40)] for r, fold in enumerate(result.assigned)], axis=0)
    assert result.unseen == pytest.approx(expected, abs=1e-12)
    # A label that changes changes nothing in the members that did not see it.
    changed = values.copy()
    row = 7
    changed[row] += 1e-6  # too little to change the order, so the folds stay
    again = fit(features, changed, objective=objective)
    assert again.unseen[row] == result.unseen[row]


@pytest.mark.parametrize(("folds", "members"), [(2, 10), (3, 9), (5, 10), (10, 10), (40, 40)])
def test_there_are_about_ten_members(data, folds, members):
    features, values = data
    boosting = Boosting(rounds=1, max_depth=1, learning_rate=0.3)
    assert len(fit(features, values, folds=folds, boosting=boosting).ensemble.members) == members


def test_fewer_architectures_than_folds(data):
    features, values = data
    result = fit_ensemble(features[:12], values[:12], np.arange(12) // 4, folds=5, boosting=QUICK, seed=0)
    assert result.ensemble.folds == 3


def test_everything_follows_from_the_seed(data):
    features, values = data
    first, second = (fit(features, values, objective=RANKER, seed=5) for _ in range(2))
    fit(features[::-1], values)  # another one in between
    for one, two in zip(first.ensemble.members, second.ensemble.members, strict=True):
        assert one.booster.save_raw("ubj") == two.booster.save_raw("ubj")
    assert (first.unseen != fit(features, values, objective=RANKER, seed=6).unseen).any()


def test_the_jackknife_knows_the_error_of_a_mean():
    """Members that are means of the rows that they saw: the standard deviation of the mean is 1 / sqrt(n)."""
    rng = np.random.default_rng(0)
    deviations = []
    for _ in range(200):
        values = rng.normal(size=50)
        folds = rng.permutation(np.arange(50) % 5)
        members = np.array([[values[folds != fold].mean()] for fold in range(5)])
        mean, deviation = Ensemble((), 5).summarize(members)
        assert mean[0] == pytest.approx(values.mean())
        deviations.append(deviation[0])
    assert np.sqrt(np.mean(np.square(deviations))) == pytest.approx(1 / np.sqrt(50), rel=0.1)


def test_a_trend_finds_the_line_and_ends_with_the_data():
    rng = np.random.default_rng(0)
    features = np.column_stack([rng.uniform(0, 1, 60), np.full(60, 3.0), rng.normal(size=60)]).astype(np.float32)
    trend = Trend.fit(features, 2 * features[:, 0] - 1.0, columns=(0, 1))
    points = np.array([[0.25, 3, 9], [0.75, 3, -9], [1, 3, 0], [50, 3, 0]], dtype=np.float32)
    predicted = trend.predict(points)
    # How much the ridge holds back is chosen otherwise by the lowest scikit-learn.
    assert predicted[:3] == pytest.approx([-0.5, 0.5, 1.0], abs=0.15)
    assert predicted[3] == pytest.approx(predicted[2], abs=0.05)


def test_trees_start_from_the_trend(data):
    features, values = data
    result = fit(features, values, trend=(0, 1))
    without = fit(features, values)
    assert np.mean((result.unseen - values) ** 2) < np.mean((without.unseen - values) ** 2)


def test_no_rows_give_no_predictions(data):
    assert fit(*data).ensemble.predict(np.zeros((0, 6), dtype=np.float32)).shape == (10, 0)


def test_hist_takes_over_where_there_are_many_rows():
    assert QUICK.params("reg:squarederror", 500, 0)["tree_method"] == "exact"
    assert QUICK.params("reg:squarederror", 501, 0)["tree_method"] == "hist"
    assert Boosting.for_rows(60).max_depth < Boosting.for_rows(600).max_depth
