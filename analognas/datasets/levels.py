"""From numbers to levels (the bytes that images are held as), and from levels to what a network takes.

Training, measuring and predicting go through these two functions and no others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

LEVELS = 255.0
"""The highest level, unless a dataset has fewer."""


def to_levels(
    values: np.ndarray[Any, Any], span: tuple[float, float], highest: float = LEVELS
) -> npt.NDArray[np.uint8]:
    """Return numbers as levels, uint8 of the same shape: the ends of ``span`` become 0 and ``highest``, rounded."""
    low, high = span
    levels: npt.NDArray[np.uint8] = np.round(
        (values.astype(np.float64) - low) * (highest / ((high - low) or 1.0))
    ).astype(np.uint8)
    return levels


def normalised(
    levels: npt.NDArray[np.uint8], scale: float, mean: Sequence[float], std: Sequence[float]
) -> npt.NDArray[np.float32]:
    """Return ``(levels / scale - mean) / std`` per channel, a new array, float32 (N, C, H, W)."""
    images = levels.astype(np.float32)
    shift, factor = constants(scale, mean, std)
    images -= shift
    images *= factor
    return images


def constants(
    scale: float, mean: Sequence[float], std: Sequence[float]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return what is subtracted from levels and what the rest is multiplied with, each (C, 1, 1)."""
    shift = np.array([np.float32(center * scale) for center in mean], dtype=np.float32)
    factor = np.array([np.float32(1 / (spread * scale)) for spread in std], dtype=np.float32)
    return shift.reshape(-1, 1, 1), factor.reshape(-1, 1, 1)
