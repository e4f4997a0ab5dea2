"""Handwritten digits: 1,797 grey images of 8x8 pixels that come with scikit-learn."""

from __future__ import annotations

import numpy as np

from analognas.datasets.base import Dataset, Options, Origin, assemble
from analognas.datasets.splits import stratified_order

LICENCE = "CC BY 4.0"
SIZES = {"train": 1000, "validation": 397, "test": 400}


def load(options: Options) -> Dataset:
    """Return the digits, input shape (1, 8, 8), raw values 0 to 16, split 1000 / 397 / 400, stratified.

    The split seed is ``options.split_seed`` (``SPLIT_SEED``, 0, unless the caller says otherwise).
    """
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    y = labels.astype(np.int64)
    order = stratified_order(y, seed=options.split_seed, purpose="digits")
    cuts = np.cumsum(list(SIZES.values()))[:-1]
    return assemble(
        "digits",
        images.astype(np.uint8).reshape(-1, 1, 8, 8),
        y,
        dict(zip(SIZES, np.split(order, cuts), strict=True)),
        class_names=[str(digit) for digit in range(10)],
        scale=16.0,
        licence=LICENCE,
        origin=Origin(files="images"),
    )
