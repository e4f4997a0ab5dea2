"""From what trees predict to what people read: units, intervals for new measurements, distance from the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import spatial, special
from scipy.optimize import isotonic_regression

from analognas.evaluators.columns import COVERAGE, LIMITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Features = NDArray[np.float32]

# Half a point: accuracies of exactly 0 and 100 % stay finite, and differences below it count little.
_ACCURACY_OFFSET = 0.5

# Percentage points, the floor of the published ratio too: spreads far below it are luck.
_STD_OFFSET = 0.1

# Calibration rows from which each end of the interval has a quantile of its own: below, 5 % are too few rows.
_ASYMMETRIC = 100

# Rows behind a knot of a score map, most knots, and the least step from one to the next.
_KNOT_ROWS, _MOST_KNOTS, _LEAST_STEP = 10, 20, 1e-3

# Most calibration rows that are kept.
_MOST_SCORES = 1000


def _logit(percent: Array) -> Array:
    return np.log((percent + _ACCURACY_OFFSET) / (100 + _ACCURACY_OFFSET - percent))


def _percent(logit: Array) -> Array:
    return np.asarray((100 + 2 * _ACCURACY_OFFSET) * special.expit(logit) - _ACCURACY_OFFSET)


_SCALES: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array]]] = {
    # One point more matters at 97 % as ten do at 60 %, and the noise of a measurement shrinks alike.
    "acc_1d": (_logit, _percent),
    # Linear below one point, where measurement noise rules, and logarithmic for the large losses.
    "avm": (np.arcsinh, np.sinh),
    "acc_1d_std": (lambda std: np.log(std + _STD_OFFSET), lambda z: np.exp(z) - _STD_OFFSET),
}


@dataclass(frozen=True)
class Scale:
    """The scale on which a target is learned: transformed, then standardised.

    The transformations (logit, inverse hyperbolic sine, logarithm) had a lower out-of-fold error on networks for
    digits than the plain values, for all three targets.
    """

    target: str
    mean: float
    std: float

    @classmethod
    def fit(cls, target: str, values: Array) -> Scale:
        """Return the scale of measured ``values`` (n,)."""
        transformed = _SCALES[target][0](values)
        std = float(transformed.std())
        return cls(target, float(transformed.mean()), std if std > 1e-9 else 1.0)

    def forward(self, values: Array) -> Array:
        """Return values in units on the scale."""
        return (_SCALES[self.target][0](values) - self.mean) / self.std

    def inverse(self, scaled: Array) -> Array:
        """Return scaled values in units, within what is possible."""
        # Beyond 30 every transformation is at its limit: keeps exp and sinh finite.
        transformed = np.clip(scaled * self.std + self.mean, -30.0, 30.0)
        return np.clip(_SCALES[self.target][1](transformed), *LIMITS[self.target])


@dataclass(frozen=True)
class ScoreMap:
    """A strictly increasing line in pieces, from a ranker's scores (no unit) to the target's scale.

    Its knots are the means of about ten neighbouring rows, made monotone (isotonic regression), so it follows
    the shape of the scores where there are enough of them. Strictly: no two scores become the same value.
    """

    scores: Array
    values: Array
    slope: float
    """Of both ends, beyond the knots."""

    @classmethod
    def fit(cls, scores: Array, scaled: Array) -> ScoreMap:
        """Return the map from out-of-fold ``scores`` (n,) to measured values on the scale (n,)."""
        order = np.argsort(scores, kind="stable")
        bins = np.array_split(order, int(np.clip(len(order) // _KNOT_ROWS, 2, _MOST_KNOTS)))
        knots, first = np.unique([scores[rows].mean() for rows in bins], return_index=True)
        means = isotonic_regression([scaled[rows].mean() for rows in bins]).x[first]
        steps = np.arange(len(knots)) * _LEAST_STEP
        spread = float(scores.std())
        # Scores that do not rank at all still get a slope, if a small one.
        correlation = float(np.mean((scores - scores.mean()) * scaled)) / spread if spread > 0 else 0.0
        return cls(knots, means + steps, max(correlation, _LEAST_STEP) / (spread if spread > 0 else 1.0))

    def __call__(self, scores: Array) -> Array:
        """Return values on the target's scale, of the shape of ``scores``."""
        beyond = np.minimum(scores - self.scores[0], 0) + np.maximum(scores - self.scores[-1], 0)
        return np.asarray(np.interp(scores, self.scores, self.values) + self.slope * beyond)


@dataclass(frozen=True)
class Interval:
    """Intervals for new measurements by CV+ (Barber et al., Annals of Statistics 49, 2021).

    Each measured row i says what it would have been wrong about at a new point: what the models without its
    fold predict there, plus its own residual from them. The interval goes between quantiles of that over all
    rows, so it is wider where the models disagree. Residuals are divided by sqrt(noise**2 + novelty**2) of
    their row and multiplied by that of the new point (normalised scores: Lei et al., JASA 113, 2018), so it is
    also wider far from the data. Everything is on the target's scale. CV+ holds at least 80 % for nominal 90 %
    whatever the data are, and 90 % where models are stable; how much it holds is measured and reported.
    """

    noise: float
    scores: Array
    """Out-of-fold residuals, measured minus predicted, divided as above; (n,)."""
    assigned: NDArray[np.int64]
    """The fold of each row in each repetition of the cross-validation; (repetitions, n)."""

    @classmethod
    def fit(cls, residuals: Array, assigned: NDArray[np.int64], novelty: Array) -> Interval:
        """Return the interval from out-of-fold ``residuals`` (n,), their folds and the ``novelty`` (n,)."""
        # Evenly spaced rows, which are in no order that matters: predictions stay fast.
        rows = np.linspace(0, len(residuals) - 1, min(len(residuals), _MOST_SCORES)).round().astype(np.int64)
        noise = float(np.sqrt(np.mean(residuals**2)))
        scores = residuals / _width(noise, novelty)
        return cls(noise, scores[rows], assigned[:, rows])

    def predict(self, members: Array, novelty: Array) -> tuple[Array, Array]:
        """Return both ends, (t,) each.

        Args:
            members: predictions of all members, shape (repetitions * folds, t), repetition by repetition.
            novelty: shape (t,).
        """
        n, repetitions = len(self.scores), len(self.assigned)
        folds = len(members) // repetitions
        by_point = np.ascontiguousarray(members.T)
        without = np.zeros((members.shape[1], n))
        for repetition, assigned in enumerate(self.assigned):
            without += by_point[:, repetition * folds + assigned]
        without /= repetitions
        errors = _width(self.noise, novelty)[:, None] * self.scores
        if n >= _ASYMMETRIC:
            last = _rank(n, (1 + COVERAGE) / 2) - 1
            without += errors
            without.sort(axis=1)  # faster than a partition at two places
            return without[:, n - 1 - last].copy(), without[:, last].copy()
        last, errors = _rank(n, COVERAGE) - 1, np.abs(errors)
        high = np.partition(without + errors, last, axis=1)[:, last]
        without -= errors
        return np.partition(without, n - 1 - last, axis=1)[:, n - 1 - last], high


def _width(noise: float, novelty: Array) -> Array:
    # A target without any noise: the smallest number that can be divided by.
    return np.sqrt(max(noise, 1e-12) ** 2 + novelty**2)


def _rank(n: int, level: float) -> int:
    """Return the rank of the conformal quantile among n; the largest where n are too few to hold the level."""
    return min(n, ceil((n + 1) * level))


@dataclass(frozen=True)
class Novelty:
    """How far an architecture is from those that were measured.

    The distance is the root mean square difference of standardised features to the nearest one. What is usual
    is the 90 % quantile of that distance among the measured architectures themselves. Trees say the same
    beyond the data as at their edge, so their spread does not grow there; this does, from 0 at the usual
    distance to 1 (the standard deviation of the target: nothing is known) at about three times it.
    """

    mean: Array
    std: Array
    usual: float
    anchors: Features

    @classmethod
    def fit(cls, features: Features, groups: NDArray[np.int64]) -> tuple[Novelty, Array]:
        """Return the novelty and that of each row of ``features`` (n, f) towards the other groups, (n,)."""
        mean, std = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
        # A float32 column of one value has a spread of rounding errors, not of 0.
        std = np.where(std > 1e-6 * (1 + np.abs(mean)), std, 1.0)
        measured = cls(mean, std, 1.0, ((features - mean) / std).astype(np.float32))
        neighbours = int(np.bincount(groups).max()) + 1
        distances, which = measured._tree.query(measured.anchors, k=neighbours)
        distances[groups[which] == groups[:, None]] = np.inf
        nearest = distances.min(axis=1) / np.sqrt(features.shape[1])
        novelty = replace(measured, usual=max(float(np.quantile(nearest, 0.9)), 1e-6))
        return novelty, novelty._share(nearest)

    def __call__(self, features: Features) -> Array:
        """Return the novelty, 0 to 1, of each row of ``features`` (t, f)."""
        distances, _ = self._tree.query(((features - self.mean) / self.std).astype(np.float32))
        return self._share(distances / np.sqrt(self.anchors.shape[1]))

    @cached_property
    def _tree(self) -> Any:
        return spatial.cKDTree(self.anchors)

    def _share(self, distances: Array) -> Array:
        excess = np.maximum(distances / self.usual - 1, 0)
        return np.sqrt(-np.expm1(-(excess**2) / 2))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable description, without the anchors."""
        return {"mean": self.mean.tolist(), "std": self.std.tolist(), "usual": self.usual}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], anchors: Features) -> Novelty:
        """Return what ``to_dict`` described."""
        return cls(np.array(data["mean"]), np.array(data["std"]), float(data["usual"]), anchors)
