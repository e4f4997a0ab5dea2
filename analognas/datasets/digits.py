"""Handwritten digits: 1,797 grey images of 8x8 pixels that come with scikit-learn."""

from __future__ import annotations

import gzip
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analognas.datasets.base import Dataset, Options, Origin, assemble
from analognas.datasets.splits import stratified_order

if TYPE_CHECKING:
    from numpy.typing import NDArray

LICENCE = "CC BY 4.0"
SIZES = {"train": 1000, "validation": 397, "test": 400}


def load(options: Options) -> Dataset:
    """Return the digits, input shape (1, 8, 8), raw values 0 to 16, split 1000 / 397 / 400, stratified.

    The split seed is ``options.split_seed`` (``SPLIT_SEED``, 0, unless the caller says otherwise).
    """
    images, labels = _read()
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


def _read() -> tuple[NDArray[Any], NDArray[Any]]:
    """Return images (N, 64) and digits (N,) as ``sklearn.datasets.load_digits`` does, without importing scikit-learn.

    Each process that characterizes reads them, and scikit-learn brings pandas: 100 MB and a second for one small file.
    """
    package = find_spec("sklearn")
    for folder in package.submodule_search_locations or () if package else ():
        file = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if file.is_file():
            with gzip.open(file, "rt") as lines:
                table = np.loadtxt(lines, delimiter=",")
            return table[:, :-1], table[:, -1]
    from sklearn.datasets import load_digits  # whose file has another place in this version

    images, labels = load_digits(return_X_y=True)
    return images, labels
