"""Estimators of what programmings of a network are worth on average, for ``benchmarks.programmings``.

All begin with margins, by how much the right class is ahead of the next: (programmings, times, images), above 0 where
an image is classified rightly. Quantities are the accuracies after 1 day and 30 days, percent, and the AVM.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Array = NDArray[Any]

QUANTITIES = ("acc_1d", "acc_30d", "avm")
#: By how many of its standard deviations a mean margin may be from 0 for its image to say how margins are spread.
_NEAR = 3.0


def quantities(accuracy: Array) -> Array:
    """Return the quantities (..., 3) of accuracies (..., times), percent."""
    return np.stack([accuracy[..., 1], accuracy[..., 2], accuracy[..., 0] - accuracy[..., 2]], axis=-1)


def counted(margins: Array) -> Array:
    """Return the quantities of each programming, (programmings, 3): the share of images that are right."""
    return quantities(100.0 * (margins > 0).mean(axis=-1))


def normal(margins: Array) -> Array:
    """Return the quantities (3,) of a set of programmings if the margins of an image are normal.

    An image is right with the probability Phi(mean / sigma). The mean of a set varies itself, by v sigma^2, and around
    it the set varies by (1 - v) sigma^2: divided by the root of that, with which Phi(mean / ...) is without bias
    where the spread is known, whatever v is. What few programmings say of the spread of an image is drawn half the way
    to what all images say.
    """
    return _smoothed(margins, lambda ratio, _: special.ndtr(ratio))


def empirical(margins: Array) -> Array:
    """Return the quantities (3,) of a set as ``normal`` does, with the distribution that the margins near 0 have."""

    def right(ratio: Array, residuals: Array) -> Array:
        return np.asarray(1 - np.searchsorted(np.sort(residuals), -ratio, side="right") / len(residuals))

    return _smoothed(margins, right)


def _smoothed(margins: Array, right: Callable[[Array, Array], Array]) -> Array:
    accuracy = []
    for own in margins.transpose(1, 0, 2).astype(np.float64):
        mean = own.mean(axis=0)
        within = ((own - mean) ** 2).mean(axis=0)
        spread = np.sqrt(np.maximum((within + within.mean()) / 2, 1e-12))
        ratio = mean / spread
        residuals = ((own - mean) / spread)[:, np.abs(ratio) < _NEAR].ravel()
        scale = float(np.sqrt(np.mean(residuals**2))) if residuals.any() else 0.0
        accuracy.append(100 * right(ratio, residuals / scale if scale else np.zeros(1)).mean())
    return quantities(np.array(accuracy))


def sets(margins: Array, size: int) -> Array:
    """Return the margins by sets of programmings in a row, (sets, size, times, images); what is left over is not."""
    count = len(margins) // size
    return margins[: count * size].reshape(count, size, *margins.shape[1:])


def paired(margins: Array, mirrored: Array, size: int) -> Array:
    """Return sets whose second halves are the mirror images of the first, (sets, size, times, images)."""
    return np.concatenate([sets(margins[: len(mirrored)], size // 2), sets(mirrored, size // 2)], axis=1)


def controlled(values: Array, controls: Array, slope: float, first: int, total: float) -> tuple[float, float]:
    """Return mean and variance of an estimator with a control variate.

    The control is known of ``total`` programmings, the value itself of the ``first`` of them:
    mean(value) + slope * (mean of the control over all - over the first).

    Args:
        values, controls: of many programmings, which say how they vary together.
        slope: that of the estimator.
        first: programmings with both.
        total: programmings with the control, infinite where its expectation is known.
    """
    covariance = np.cov(values, controls)
    saved = (1 / first - 1 / total) * (2 * slope * covariance[0, 1] - slope**2 * covariance[1, 1])
    return float(values.mean()), float(covariance[0, 0] / first - saved)


def slopes(pairs: Sequence[tuple[Array, Array]]) -> list[float]:
    """Return for each network the slope of values on controls, pooled over all other networks."""
    moments = np.array([np.cov(*pair)[:, 1] for pair in pairs])
    left = moments.sum(axis=0) - moments
    return [float(both / own) if own > 0 else 0.0 for both, own in left]
