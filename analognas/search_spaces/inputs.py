"""Input shapes and numbers of classes: those of datasets known by name, and those that are given."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Any

from analognas.errors import SpaceError
from analognas.search_spaces.family import Shape

# (channels, height, width), classes. KWS: 10 MFCC coefficients of 49 windows of a second of speech, 12 words
# (Warden, arXiv 1804.03209); VWW: person or not (Chowdhery et al., arXiv 1906.05721); both as in MLPerf Tiny.
DATASETS: dict[str, tuple[Shape, int]] = {
    "cifar10": ((3, 32, 32), 10),
    "cifar100": ((3, 32, 32), 100),
    "fashionmnist": ((1, 28, 28), 10),
    "vww": ((3, 96, 96), 2),
    "kws": ((1, 49, 10), 12),
    "digits": ((1, 8, 8), 10),
}


def canonical_dataset(name: str) -> str:
    """Return the name that is compared: lower case, without hyphens, underscores and blanks."""
    return re.sub(r"[-_\s]", "", name).lower()


def positive(value: Any, what: str) -> int:
    """Return ``value`` as an int of at least 1, SpaceError if it is none."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < 1:
        raise SpaceError(f"{what} is {value!r}: give a whole number of at least 1.")
    return int(value)


def nearest(name: str, known: list[str]) -> str:
    """Return a hint for a name that is unknown."""
    near = difflib.get_close_matches(name, known, n=1)
    return f": did you mean {near[0]!r}?" if near else f": there are {', '.join(known)}"


def resolve(
    dataset: str | None, input_shape: Sequence[int] | None, classes: int | None
) -> tuple[str | None, Shape, int, str]:
    """Return the dataset's canonical name, the shape, the classes and the label for the space's name.

    The shape is part of the label wherever the dataset does not determine it, so that architectures of
    different shapes never share an identity.
    """
    if not isinstance(dataset, str | None):
        raise SpaceError(f"Dataset {dataset!r} is not a name: use one of {', '.join(DATASETS)}.")
    key = None if dataset is None else canonical_dataset(dataset)
    known = DATASETS.get(key) if key is not None else None
    if known is None and (input_shape is None or classes is None):
        if dataset is None:
            raise SpaceError("A space needs a dataset, or input_shape=(channels, height, width) and classes.")
        raise SpaceError(
            f"Dataset {dataset!r} has no known input shape{nearest(str(key), list(DATASETS))}; for your "
            "own, give input_shape=(channels, height, width) and classes."
        )
    default_shape, default_classes = known if known is not None else ((1, 1, 1), 1)
    given = default_shape if input_shape is None else input_shape
    if not isinstance(given, Sequence) or len(given) != 3:
        raise SpaceError(f"input_shape is {given!r}: give three numbers (channels, height, width).")
    channels, height, width = (positive(side, "A side of input_shape") for side in given)
    count = default_classes if classes is None else positive(classes, "classes")
    if count < 2:
        raise SpaceError(f"classes is {count}: a classifier needs at least 2.")
    shape = (channels, height, width)
    text = f"{channels}x{height}x{width}-{count}"
    if known is not None:
        return key, shape, count, str(key) if (shape, count) == known else f"{key}-{text}"
    if dataset is None:
        return None, shape, count, text
    slug = re.sub(r"[^a-z0-9]+", "-", dataset.lower()).strip("-")
    return dataset, shape, count, f"{slug}-{text}"
