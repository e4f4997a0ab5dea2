"""A part of a dataset, to try things out on a machine for which the whole is too much."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from analognas.datasets.base import PARTS, SPLIT_SEED, Dataset, Integers, Split, digest_of, moments
from analognas.errors import DatasetError
from analognas.seeds import numpy_generator

#: What is kept of the other parts for every image of a class that is kept for training.
_SHARES = {"train": 1.0, "validation": 0.25, "test": 0.5}


def reduced(dataset: Dataset, per_class: int) -> Dataset:
    """Return a dataset with at most ``per_class`` training images of each class.

    For validation at most a quarter as many are kept, for test at most half as many (rounded up). Which ones does not
    depend on ``base.seed``, and of two sizes the smaller keeps a part of what the larger keeps. Normalisation is that
    of the training images that are kept. ``digest`` stays, ``split_digest`` tells the parts apart.

    Raises:
        DatasetError: if ``per_class`` is less than 1, or the dataset has no images.
    """
    if per_class < 1:
        raise DatasetError(f"dataset.per_class is {per_class}: keep at least 1 image of each class.")
    if not len(dataset.train):
        raise DatasetError(f"Dataset {dataset.name} has no images, so none can be left out: remove dataset.per_class.")
    indices = {part: _first(dataset.part(part).y, kept(part, per_class), part) for part in _SHARES}
    parts = {part: _taken(dataset.part(part), index) for part, index in indices.items()}
    if all(len(parts[part]) == len(dataset.part(part)) for part in PARTS):
        return dataset
    mean, std = moments(parts["train"].x, dataset.scale)
    whole = np.frombuffer(bytes.fromhex(dataset.split_digest), dtype=np.uint8)
    return replace(
        dataset, train=parts["train"], validation=parts["validation"], test=parts["test"], mean=mean, std=std,
        split_digest=digest_of(("whole", whole), *indices.items()),
    )  # fmt: skip


def _taken(split: Split, index: Integers) -> Split:
    names = tuple(split.names[place] for place in index.tolist()) if split.names else ()
    return Split(split.x[index], split.y[index], names)


def kept(part: str, per_class: int) -> int:
    """Return how many images of a class are kept of a part, at most."""
    return int(np.ceil(_SHARES[part] * per_class))


def _first(labels: Integers, most: int, part: str) -> Integers:
    """Return the indices, in order, of at most ``most`` images of each class."""
    order = numpy_generator(SPLIT_SEED, "reduced", part).permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    _, first, counts = np.unique(labels[by_class], return_index=True, return_counts=True)
    rank = np.arange(len(labels)) - np.repeat(first, counts)
    return np.sort(by_class[rank < most]).astype(np.int64)
