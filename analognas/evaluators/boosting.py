"""An ensemble of boosted trees whose members are the models of a cross-validation.

Each member learns from all folds but one, so one set of members gives four things: the prediction (their
mean), out-of-fold predictions of every row, the choice between methods by cross-validation, and, as a
jackknife, what the ensemble does not know. A bootstrap would leave 37 % of the few rows out of each member.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import xgboost as xgb
from sklearn.linear_model import RidgeCV

from analognas.evaluators.forest import Forest
from analognas.seeds import derive_seed, numpy_generator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Features = NDArray[np.float32]

REGRESSOR = "reg:squarederror"
RANKER = "rank:pairwise"  # the published choice (arXiv 2305.10459)

# Members in total are about this many, whatever the number of folds. On 160 networks for digits 5 had wider
# intervals, 15 and 25 no better predictions.
_MEMBERS = 10

# Rows up to which XGBoost's exact split search is the faster one.
_EXACT = 500

# Questions up to which an ensemble leaves them to XGBoost.
_FEW = 2000

# Standard deviations up to which a prior's predictions are believed.
_BEYOND = 5.0

# Candidates for the strength of the trend's ridge penalty, features being standardised.
_PENALTIES = np.logspace(-1, 3, 13)


@dataclass(frozen=True)
class Boosting:
    """How one member is boosted; trees see a fifth of the features per level and 60 % of the rows."""

    rounds: int
    max_depth: int
    learning_rate: float

    @classmethod
    def for_rows(cls, n: int) -> Boosting:
        """Return the setting for ``n`` rows: with few, trees of two levels beat deeper ones.

        Source: own trials on up to 160 networks for digits (transformed targets, five folds, repeated) and on
        synthetic results of up to 1,500 architectures.
        """
        if n < 200:
            return cls(rounds=50, max_depth=2, learning_rate=0.15)
        return cls(rounds=150, max_depth=3, learning_rate=0.1)

    def params(self, objective: str, rows: int, seed: int) -> dict[str, str | int | float]:
        """Return XGBoost's parameters."""
        params: dict[str, str | int | float] = {
            "objective": objective,
            "max_depth": self.max_depth,
            "learning_rate": self.learning_rate,
            "reg_lambda": 1.0,
            "min_child_weight": 1.0 if objective == REGRESSOR else 0.0,
            "subsample": 0.6,
            "colsample_bylevel": 0.2,
            "base_score": 0.0,
            "tree_method": "exact" if rows <= _EXACT else "hist",
            "nthread": 1,
            "seed": seed,
        }
        if objective == RANKER:
            # Pairs of all rows rather than of the top ones: the order of all architectures is wanted.
            params |= {"lambdarank_pair_method": "mean", "lambdarank_num_pair_per_sample": 8}
        return params


@dataclass(frozen=True)
class Trend:
    """A ridge regression on some of the features, from which the trees of a member start.

    Trees cannot draw a straight line with few rows; accuracy is nearly one in the logarithms of width and
    fan-in. Features are held within the range of the data, so that it ends where the data end.
    """

    columns: tuple[int, ...]
    low: Array
    high: Array
    slopes: Array
    intercept: float

    @classmethod
    def fit(cls, features: Features, values: Array, columns: Sequence[int], beyond: Sequence[int] = ()) -> Trend:
        """Return the trend of ``values`` (n,) on ``features`` (n, f); its penalty by leave-one-out.

        It goes on beyond the data in what a prior predicts (columns ``beyond``), which knows what is there: what a
        search looks for is better than a dozen networks that were measured.
        """
        chosen = features[:, list(columns)].astype(np.float64)
        mean, scale = chosen.mean(axis=0), chosen.std(axis=0)
        # A float32 column of one value has a spread of rounding errors, not of 0.
        scale = np.where(scale > 1e-6 * (1 + np.abs(mean)), scale, np.inf)
        ridge = RidgeCV(alphas=_PENALTIES).fit((chosen - mean) / scale, values)
        slopes = ridge.coef_ / scale
        intercept = float(ridge.intercept_ - (slopes * mean).sum())
        low, high = chosen.min(axis=0), chosen.max(axis=0)
        further = np.isin(columns, beyond)
        low[further], high[further] = np.minimum(low[further], -_BEYOND), np.maximum(high[further], _BEYOND)
        return cls(tuple(columns), low, high, slopes, intercept)

    def predict(self, features: Features) -> Array:
        """Return the trend (t,) at ``features`` (t, f)."""
        return np.asarray(trends_at([self], features)[0])


def trends_at(trends: Sequence[Trend], features: Features) -> Array:
    """Return trends on the same columns, (trends, t), at ``features`` (t, f)."""
    low, high, slopes = (np.array([getattr(own, name) for own in trends]) for name in ("low", "high", "slopes"))
    total = np.repeat([[own.intercept] for own in trends], len(features), axis=1)
    # Not `@`: the order of BLAS's sums depends on its threads and on the number of rows.
    for number, values in enumerate(features.T[list(trends[0].columns)].astype(np.float64)):
        part = np.maximum(values, low[:, number, None])
        np.minimum(part, high[:, number, None], out=part)
        part *= slopes[:, number, None]
        total += part
    return total


@dataclass(frozen=True)
class Member:
    """One model: boosted trees, on top of a trend or not."""

    booster: xgb.Booster
    trend: Trend | None


@dataclass(frozen=True)
class Ensemble:
    """The models of several repetitions of a cross-validation of ``folds`` folds.

    Member ``repetition * folds + fold`` did not see the rows of that fold in that repetition.
    """

    members: tuple[Member, ...]
    folds: int
    _asked: list[int] = field(default_factory=list, repr=False, compare=False)

    def predict(self, features: Features) -> Array:
        """Return the predictions of all members, shape (members, t), for ``features`` (t, f)."""
        predictions = self._margins(features)
        trends = [(row, member.trend) for row, member in enumerate(self.members) if member.trend is not None]
        if trends:
            # The margin is the trees' sum for both objectives; the trend is added in double precision.
            predictions[[row for row, _ in trends]] += trends_at([trend for _, trend in trends], features)
        return predictions

    def _margins(self, features: Features) -> Array:
        predictions = np.empty((len(self.members), len(features)))
        if not len(features):  # XGBoost warns of empty data
            return predictions
        self._asked.append(len(features))
        # The trees of a whole ensemble are read in a tenth of a second: a few questions are XGBoost's.
        if sum(self._asked) > _FEW and self._forest is not None:
            return self._forest.margins(features)
        data = xgb.DMatrix(features, nthread=1)
        for row, member in zip(predictions, self.members, strict=True):
            row[:] = member.booster.predict(data, output_margin=True)
        return predictions

    @cached_property
    def _forest(self) -> Forest | None:
        return Forest.of([member.booster for member in self.members])

    def summarize(self, predictions: Array) -> tuple[Array, Array]:
        """Return the mean of ``predictions`` (members, t) and its standard deviation by the jackknife, (t,) each.

        Members that share most of their rows differ by less than models of independent data would. Leaving out
        d of n rows at a time, the variance of the estimate is (n - d) / d times the mean squared deviation of
        the members (delete-d jackknife: Shao and Wu, Annals of Statistics 17, 1989); with k folds that factor
        is k - 1.
        """
        # Row by row: NumPy's own reductions sum in an order that depends on the shape.
        mean = np.zeros(predictions.shape[1])
        for row in predictions:
            mean += row
        mean /= len(predictions)
        squares = np.zeros_like(mean)
        for row in predictions:
            squares += (row - mean) ** 2
        return mean, np.sqrt((self.folds - 1) * squares / len(predictions))


@dataclass(frozen=True)
class OutOfFold:
    """An ensemble, and what its members say of the rows that they did not see."""

    ensemble: Ensemble
    unseen: Array
    """The mean of the members that did not see the row, shape (n,)."""
    assigned: NDArray[np.int64]
    """The fold of each row in each repetition, shape (repetitions, n)."""


def fit_ensemble(
    features: Features,
    values: Array,
    groups: NDArray[np.int64],
    *,
    folds: int,
    boosting: Boosting,
    seed: int,
    objective: str = REGRESSOR,
    trend: Sequence[int] | None = None,
    beyond: Sequence[int] = (),
) -> OutOfFold:
    """Return an ensemble and its out-of-fold predictions.

    Args:
        features: shape (n, f).
        values: shape (n,), standardised.
        groups: numbers of the architectures, shape (n,): rows of one are never in different folds.
        folds: of each cross-validation; fewer where there are fewer groups.
        boosting: how each member is boosted.
        seed: of folds and trees.
        objective: ``REGRESSOR`` or ``RANKER``.
        trend: the features (indices) of a trend to start from; None for none. Not with ``RANKER``.
        beyond: those of them in which the trend goes on beyond the data.
    """
    folds = min(folds, len(np.unique(groups)))
    repeats = max(1, round(_MEMBERS / folds))
    members = []
    unseen = np.zeros(len(values))
    assigned = np.empty((repeats, len(values)), dtype=np.int64)
    for repeat in range(repeats):
        assigned[repeat] = fold_numbers(values, groups, folds, derive_seed(seed, "folds", repeat))
        # One seed for the folds of a repeat: they differ by their rows, which the jackknife is about.
        tree_seed = derive_seed(seed, "trees", repeat) % 2**31
        for fold in range(folds):
            seen, out = assigned[repeat] != fold, assigned[repeat] == fold
            member = _fit_member(features[seen], values[seen], boosting, objective, trend, beyond, tree_seed)
            members.append(member)
            unseen[out] += Ensemble((member,), folds).predict(features[out])[0]
    return OutOfFold(Ensemble(tuple(members), folds), unseen / repeats, assigned)


def fold_numbers(values: Array, groups: NDArray[np.int64], folds: int, seed: int) -> NDArray[np.int64]:
    """Return a fold (0 to ``folds`` - 1) for each row, at random, alike in their distribution of ``values``.

    Groups are sorted by their mean value and dealt out in shuffled hands of ``folds``: with few rows, a fold
    of only the best would leave the others without them.
    """
    names, first = np.unique(groups, return_inverse=True)
    means = np.bincount(first, weights=values) / np.bincount(first)
    rng = numpy_generator(seed, "fold_numbers")
    # Ties in random order, so that equal values are dealt at random too.
    order = np.lexsort((rng.permutation(len(names)), means))
    hands = [rng.permutation(folds) for _ in range(-(-len(names) // folds))]
    numbers = np.empty(len(names), dtype=np.int64)
    numbers[order] = np.concatenate(hands)[: len(names)]
    return numbers[first]


def _fit_member(
    features: Features,
    values: Array,
    boosting: Boosting,
    objective: str,
    columns: Sequence[int] | None,
    beyond: Sequence[int],
    seed: int,
) -> Member:
    trend = None if columns is None else Trend.fit(features, values, columns, beyond)
    rest = values if trend is None else values - trend.predict(features)
    data = xgb.DMatrix(features, rest, nthread=1)
    if objective == RANKER:
        data.set_group([len(values)])
    booster = xgb.train(boosting.params(objective, len(values), seed), data, boosting.rounds)
    return Member(booster, trend)
