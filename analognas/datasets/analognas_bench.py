"""CIFAR-10 as AnalogNAS-Bench saw it: shape and classes, for results that are looked up; there are no images."""

from __future__ import annotations

import numpy as np

from analognas.datasets.base import Dataset, Options, Split

# As the images of CIFAR-10 are described where they are.
_SHAPE = (3, 32, 32)
_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def load(options: Options) -> Dataset:
    """Return the description; its digest is that of the table.

    Raises:
        DatasetError: if the table is not installed or damaged.
    """
    from analognas.search_spaces.nasbench201 import AnalogNASBench

    digest = AnalogNASBench().digest

    def nothing() -> Split:
        return Split(np.zeros((0, *_SHAPE), dtype=np.uint8), np.zeros(0, dtype=np.int64))

    return Dataset(
        name="analognas-bench",
        input_shape=_SHAPE,
        classes=len(_NAMES),
        class_names=_NAMES,
        train=nothing(),
        validation=nothing(),
        test=nothing(),
        mean=(0.0,) * 3,
        std=(1.0,) * 3,
        scale=255.0,
        licence="none stated",
        digest=digest,
        split_digest=digest,
    )
