"""The most that an evaluator can reach: how far the luck of a training lets anybody rank.

An architecture that is characterized again with another seed gets other figures. Even what knew every architecture's
expected figures could not rank the measured ones better than this noise allows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

import numpy as np
from scipy import stats

from analognas.evaluators.calibration import Scale
from analognas.evaluators.columns import TARGETS
from analognas.evaluators.metrics import CONFIDENCE, kendall_tau
from analognas.seeds import numpy_generator

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_DRAWS = 200


class Ceiling(TypedDict):
    """The highest Kendall tau of one target with its interval, and from how many pairs; None if these are too few."""

    value: float | None
    low: float | None
    high: float | None
    pairs: int


def ceilings(results: pd.DataFrame, again: pd.DataFrame, seed: int) -> dict[str, Ceiling]:
    """Return the highest Kendall tau that can be expected, for each target.

    Args:
        results: one row per architecture, ``id`` and the targets.
        again: rows of some of them, characterized with another seed.
        seed: of the simulation.

    Returns:
        For each target ``value``, ``low`` and ``high`` (95 % interval, from the number of pairs alone) and ``pairs``;
        None instead of numbers where there are no two pairs.
    """
    pairs = results.merge(again, on="id", suffixes=("", "_again"))
    by_target: dict[str, Ceiling] = {}
    for target in TARGETS:
        both = pairs[[target, f"{target}_again"]].dropna().to_numpy(dtype=np.float64)
        measured = results[target].dropna().to_numpy(dtype=np.float64)
        if len(both) < 2 or len(measured) < 3:
            by_target[target] = {"value": None, "low": None, "high": None, "pairs": len(both)}
            continue
        scale = Scale.fit(target, measured)
        first, second = scale.forward(both[:, 0]), scale.forward(both[:, 1])
        noise = float(np.mean((first - second) ** 2) / 2)
        # The variance of n pairs' noise is spread as chi squared with n degrees of freedom.
        low, high = (
            len(both) * noise / stats.chi2.ppf(level, len(both))
            for level in ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
        )
        values = scale.forward(measured)
        by_target[target] = {
            "value": _ceiling(values, noise, seed),
            "low": _ceiling(values, low, seed),
            "high": _ceiling(values, high, seed),
            "pairs": len(both),
        }
    return by_target


def _ceiling(measured: Array, noise: float, seed: int) -> float:
    """Return the mean tau between expected values and noisy ones, both as spread as the measured ones are.

    Expected values are the measured ones, drawn together until the noise makes up for it.
    """
    variance = float(measured.var())
    share = max(variance - noise, 0.0) / variance if variance > 0 else 0.0
    expected = measured.mean() + np.sqrt(share) * (measured - measured.mean())
    rng = numpy_generator(seed, "ceiling")
    drawn = [
        kendall_tau(expected + np.sqrt(noise) * rng.standard_normal(len(expected)), expected) for _ in range(_DRAWS)
    ]
    return float(np.nanmean(drawn)) if share > 0 else 0.0
