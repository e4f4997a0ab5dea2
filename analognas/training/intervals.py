"""Intervals of a mean over programmings and images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray


class CurvePoint(TypedDict):
    """Accuracy after a time, percent: its mean, spread over programmings, and 90 % interval; ``seconds`` after
    programming."""

    seconds: float
    accuracy: float
    std: float
    low: float
    high: float


def of_images(values: NDArray[np.float64]) -> float:
    """Return the variance of the mean over images (N,)."""
    return float(np.var(values, ddof=1)) / len(values) if len(values) > 1 else 0.0


def half_width(variances: Sequence[float], freedom: Sequence[int], level: float) -> float:
    """Return the half width of an interval from variances that add up, with Welch's and Satterthwaite's degrees.

    Args:
        variances: of the means whose errors add up.
        freedom: the degrees of freedom of each.
        level: of Student's quantile: 0.95 for a two-sided interval of 90 %.
    """
    from scipy.stats import t as student  # slow to import

    parts, total = np.array(variances), float(sum(variances))
    if total == 0:
        return 0.0
    degrees = total**2 / float((parts**2 / np.array(freedom)).sum())
    return float(student.ppf(level, degrees)) * math.sqrt(total)


def curve(right: NDArray[np.bool_], times: Sequence[float]) -> list[CurvePoint]:
    """Return the accuracy after each time, percent, with its 90 % interval over programmings and images.

    Args:
        right: which images were classified rightly, (repeats, times, images).
        times: seconds after programming.
    """
    repeats, _, images = right.shape
    points: list[CurvePoint] = []
    for index, seconds in enumerate(times):
        accuracy = 100.0 * right[:, index].sum(axis=1) / images
        by_image = 100.0 * right[:, index].mean(axis=0)
        std = float(np.std(accuracy, ddof=1)) if repeats > 1 else 0.0
        half = half_width([std**2 / repeats, of_images(by_image)], [max(1, repeats - 1), max(1, images - 1)], 0.95)
        mean = float(np.mean(accuracy))
        # Rounded: the last digits are SciPy's, and a winner's bytes are to hang on its figures alone.
        low, high = max(0.0, mean - half), min(100.0, mean + half)
        points.append(
            {
                "seconds": float(seconds),
                "accuracy": round(mean, 4),
                "std": round(std, 4),
                "low": round(low, 4),
                "high": round(high, 4),
            }
        )
    return points
