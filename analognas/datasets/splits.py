"""Stratified splits that do not depend on library versions."""

from __future__ import annotations

import numpy as np

from analognas.datasets.base import Integers
from analognas.seeds import numpy_generator


def stratified_order(labels: Integers, *, seed: int, purpose: str) -> Integers:
    """Return a random permutation of the indices of ``labels`` (N,) that is stratified throughout.

    In every prefix and in every stretch each class has its share of the whole to within one image or so, so a
    split is a cut of this order, and the sizes of its parts are exact. Only plain uniform draws are used: the
    shuffling of NumPy and scikit-learn may change with their versions, and the split must not.
    """
    draws = numpy_generator(seed, "split", purpose).random(len(labels))
    position = np.empty(len(labels))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        members = members[np.argsort(draws[members], kind="stable")]
        position[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.lexsort((draws, position)).astype(np.int64)
