"""How well predictions rank and hit what was measured, with bootstrap intervals over architectures.

Every metric is computed from weights, a resample being the count of each architecture in it. Two copies of
the same architecture are no pair, so repetition in a resample does not count as agreement.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypedDict

import numpy as np
from scipy import stats

from analognas.seeds import numpy_generator

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

#: What a bootstrap interval is made to hold.
CONFIDENCE = 0.95

# Numbers of a weights-by-rows block: bounds the memory of pairwise metrics.
_BLOCK = 4_000_000


class Estimate(TypedDict):
    """A metric and its 95 % interval; None where it is not defined."""

    value: float | None
    low: float | None
    high: float | None


class Metrics(TypedDict):
    """How well one target is predicted: ranks (no unit), error (in the target's unit), share of the intervals."""

    kendall_tau: Estimate
    spearman: Estimate
    rmse: Estimate
    coverage: Estimate


def kendall_tau(measured: ArrayLike, predicted: ArrayLike) -> float:
    """Return Kendall's tau-b (scipy), NaN if either side is constant or has fewer than two values."""
    x, y = np.asarray(measured, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if _constant(x) or _constant(y):
        return float("nan")
    return float(stats.kendalltau(x, y).statistic)


def spearman(measured: ArrayLike, predicted: ArrayLike) -> float:
    """Return Spearman's rank correlation (scipy), NaN if either side is constant or has fewer than two values."""
    x, y = np.asarray(measured, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if _constant(x) or _constant(y):
        return float("nan")
    return float(stats.spearmanr(x, y).statistic)


def rmse(measured: ArrayLike, predicted: ArrayLike) -> float:
    """Return the root of the mean squared error, in the unit of the values."""
    error = np.asarray(measured, dtype=np.float64) - np.asarray(predicted, dtype=np.float64)
    return float(np.sqrt(np.mean(error**2)))


def coverage(measured: ArrayLike, low: ArrayLike, high: ArrayLike) -> float:
    """Return the share of measured values within their intervals, ends included."""
    values = np.asarray(measured, dtype=np.float64)
    return float(np.mean((np.asarray(low) <= values) & (values <= np.asarray(high))))


def kendall_tau_difference(measured: ArrayLike, first: ArrayLike, second: ArrayLike) -> tuple[float, float]:
    """Return tau(first) - tau(second) against the same measurements, and its standard error.

    The standard error is that of the mean of each architecture's own difference in concordance (the
    projection of the U-statistic: Hoeffding, Annals of Mathematical Statistics 19, 1948). NaN where a side
    is constant.
    """
    y, a, b = (np.asarray(values, dtype=np.float64) for values in (measured, first, second))
    difference = kendall_tau(y, a) - kendall_tau(y, b)
    n = len(y)
    if not np.isfinite(difference) or n < 3:
        return float("nan"), float("nan")
    per_row = np.empty(n)
    for i in range(n):
        per_row[i] = np.sum(np.sign(y[i] - y) * (np.sign(a[i] - a) - np.sign(b[i] - b))) / (n - 1)
    return difference, float(2 * per_row.std(ddof=1) / np.sqrt(n))


def weighted_kendall_tau(measured: Array, predicted: Array, weights: Array, groups: NDArray[np.int64]) -> Array:
    """Return tau-b for each row of ``weights``, shape (r, n) -> (r,).

    ``groups`` (n,) numbers the architectures: pairs within a group do not count.
    """
    concordance, pairs_x, pairs_y = (np.zeros(len(weights)) for _ in range(3))
    step = max(1, _BLOCK // len(measured))
    for start in range(0, len(measured), step):
        block = slice(start, start + step)
        apart = (groups[block, None] != groups[None, :]).astype(np.float64)
        x = np.sign(measured[block, None] - measured[None, :]) * apart
        y = np.sign(predicted[block, None] - predicted[None, :]) * apart
        for total, pairs in ((concordance, x * y), (pairs_x, x * x), (pairs_y, y * y)):
            total += np.einsum("rn,rn->r", weights[:, block] @ pairs, weights)
    return _ratio(concordance, np.sqrt(pairs_x * pairs_y))


def weighted_spearman(measured: Array, predicted: Array, weights: Array) -> Array:
    """Return the correlation of the weighted mid-ranks for each row of ``weights``, (r, n) -> (r,)."""
    x, y = _weighted_ranks(measured, weights), _weighted_ranks(predicted, weights)
    total = weights.sum(axis=1, keepdims=True)
    x -= (weights * x).sum(axis=1, keepdims=True) / total
    y -= (weights * y).sum(axis=1, keepdims=True) / total
    spread = np.sqrt((weights * x * x).sum(axis=1) * (weights * y * y).sum(axis=1))
    return _ratio((weights * x * y).sum(axis=1), spread)


def bootstrap_weights(groups: Sequence[str], resamples: int, seed: int) -> tuple[Array, NDArray[np.int64]]:
    """Return the weights of the rows in ``resamples`` resamples of their groups, and the groups' numbers.

    Args:
        groups: n names; rows of one name are drawn together.
        resamples: how many, r.
        seed: the same for the same resamples.

    Returns:
        Weights (r, n), whole numbers; numbers (n,).
    """
    _, numbers = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    count = int(numbers.max()) + 1
    rng = numpy_generator(seed, "bootstrap")
    counts = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
    return counts[:, numbers].astype(np.float64), numbers.astype(np.int64)


def with_interval(statistic: Callable[[Array], Array], weights: Array) -> Estimate:
    """Return a metric and its 95 % percentile-bootstrap interval (Efron, Annals of Statistics 7, 1979).

    Args:
        statistic: from weights (r, n) to values (r,).
        weights: of the resamples.

    Returns:
        ``value`` (all rows once), ``low`` and ``high``; None instead of NaN. Resamples in which it is not
        defined are left out.
    """
    value = float(statistic(np.ones((1, weights.shape[1])))[0])
    drawn = statistic(weights)
    drawn = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or not len(drawn):
        return {"value": None, "low": None, "high": None}
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return {"value": value, "low": float(low), "high": float(high)}


def summary(
    measured: Array, predictions: Sequence[Mapping[str, Array]], weights: Array, groups: NDArray[np.int64]
) -> Metrics:
    """Return Kendall tau, Spearman, RMSE and coverage, each with its interval.

    Args:
        measured: n values.
        predictions: one mapping for each repetition of the cross-validation, with ``score`` (ranks),
            ``value``, ``low`` and ``high``, n values each; metrics are averaged over repetitions.
        weights: resamples of ``bootstrap_weights``.
        groups: numbers of the architectures.
    """

    def mean(metric: Callable[[Mapping[str, Array], Array], Array]) -> Estimate:
        return with_interval(lambda w: np.mean([metric(prediction, w) for prediction in predictions], axis=0), weights)

    def average(values: Array, w: Array) -> Array:
        # Not `w @ values`: the order of BLAS's sums depends on its threads.
        return np.asarray(np.einsum("rn,n->r", w, values) / w.sum(axis=1))

    return {
        "kendall_tau": mean(lambda prediction, w: weighted_kendall_tau(measured, prediction["score"], w, groups)),
        "spearman": mean(lambda prediction, w: weighted_spearman(measured, prediction["score"], w)),
        "rmse": mean(lambda prediction, w: np.sqrt(average((measured - prediction["value"]) ** 2, w))),
        "coverage": mean(
            lambda prediction, w: average(
                ((prediction["low"] <= measured) & (measured <= prediction["high"])).astype(np.float64), w
            )
        ),
    }


def _constant(values: Array) -> bool:
    return len(values) < 2 or bool(np.all(values == values[0]))


def _ratio(numerator: Array, denominator: Array) -> Array:
    result = np.full_like(numerator, np.nan)
    # Rounding leaves a constant with a spread of 1e-13 instead of none.
    np.divide(numerator, denominator, out=result, where=denominator > 1e-9)
    return result


def _weighted_ranks(values: Array, weights: Array) -> Array:
    """Return the mid-ranks (r, n) of values (n,) that occur as often as the weights (r, n) say."""
    distinct, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]]) if len(distinct) else np.zeros(0, dtype=int)
    per_value = np.add.reduceat(weights[:, np.argsort(values, kind="stable")], starts, axis=1)
    ranks = np.cumsum(per_value, axis=1) - per_value / 2
    return np.asarray(ranks[:, which])
