"""What a dataset is: images, labels, a fixed split, and digests that say exactly which data they are."""

from __future__ import annotations

import hashlib
import json
import math
import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from analognas.datasets.levels import normalised
from analognas.errors import AnalogNASWarning, DatasetError
from analognas.progress import Progress

if TYPE_CHECKING:
    import torch

    from analognas.datasets.records import Description

PARTS = ("train", "validation", "test")
AUGMENTATIONS = ("crop", "flip", "cutout", "shift", "noise")
"""What may happen to training images, see ``analognas.training.augmentation``."""
SPLIT_SEED = 0
"""Seed of every split that analognas makes itself; ``base.seed`` never moves an image to another part."""
_UNLIKE = 10
"""Parts whose spans of values differ by this factor are hardly on one scale."""
_UNPRINTABLE = ("Cc", "Cs", "Zl", "Zp")
"""Unicode categories of what no class name may hold: controls, halves of characters, line and paragraph ends."""

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Options:
    """What a loader is given: the ``dataset`` section of ``params.yaml``, a split seed, a progress callback.

    ``image_size`` is the side of the square images in pixels, ``channels`` 1 (grey) or 3 (RGB); ``features``
    (``mfcc`` or ``log-mel``) and ``seconds`` say what becomes of a recording, ``classes`` which task is meant where a
    dataset has several. ``None`` leaves the choice to the dataset.
    """

    path: str | None = None
    image_size: int | None = None
    channels: int | None = None
    features: str | None = None
    seconds: float | None = None
    classes: int | None = None
    split_seed: int = SPLIT_SEED
    progress: Progress | None = None


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a dataset: ``x`` images, uint8 (N, C, H, W), ``y`` class indices, int64 (N,); read-only.

    ``names`` are the files the images came from, where there is one for each (N,), for messages.
    """

    x: Bytes
    y: Integers
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.x.setflags(write=False)
        self.y.setflags(write=False)

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Reading:
    """How files of one's own became a dataset: what ``analognas datasets check`` tells of it; it decides nothing.

    ``read`` counts files by ending, ``passed_over`` files that were not read, by ending or place, and ``leftovers``
    what systems left there, by name; ``sizes`` says what images or recordings were before and are now; ``ranges`` are
    the least and greatest value of each part before they became bytes, where they were something else; ``speakers``
    are those of each part; ``given`` says which folder or array each part that was there came from, and the other
    parts were split off here.
    """

    read: Mapping[str, int] = field(default_factory=dict)
    passed_over: Mapping[str, int] = field(default_factory=dict)
    leftovers: Mapping[str, int] = field(default_factory=dict)
    sizes: str = ""
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    speakers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    given: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Origin:
    """How what a user has became levels: a winner does the same with what is to be classified.

    ``files`` says which files were read: ``images``, ``recordings``, ``arrays`` (``.npy``), or ``None`` if no file
    alone is an input. ``sound`` are features, seconds and image size of recordings (``audio.Features``). ``numbers``
    is what arrays of one's own held instead of bytes (``integers``, ``floating-point numbers``, ``truth values``), and
    ``span`` which of them became the lowest and the highest level; without ``numbers``, floating-point numbers are 0
    to 1. It changes no digest.
    """

    files: str | None = None
    sound: tuple[str, float, int | None] | None = None
    numbers: str | None = None
    span: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True, eq=False)
class Dataset:
    """An image classification dataset in memory.

    ``input_shape`` is (channels, height, width). ``scale`` is the largest raw value that the format allows
    (255, or 16 for the digits); ``mean`` and ``std`` (population) are per channel, of ``x / scale`` over the
    training part; the std of a constant channel is 1. ``digest`` identifies images and labels, whatever files
    they came from; ``split_digest`` says which of them are in which part. ``augment`` names what happens to the
    images of the training part while a network is trained. ``notes`` are sentences for whoever looks at it, and
    ``reading`` says how one's own files were read; neither decides anything. ``origin`` says how files and numbers of
    the user's become images like these. Make one with ``assemble``.
    """

    name: str
    input_shape: tuple[int, int, int]
    classes: int
    class_names: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float
    licence: str
    digest: str
    split_digest: str
    augment: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    reading: Reading | None = None
    origin: Origin = Origin()

    def part(self, name: str) -> Split:
        """Return the part ``train``, ``validation`` or ``test``; ``DatasetError`` for any other name."""
        if name not in PARTS:
            raise DatasetError(f"A dataset has no part {name!r}; the parts are {', '.join(PARTS)}.")
        split: Split = getattr(self, name)
        return split

    def tensors(self, part: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the images of a part, float32 (N, C, H, W), normalised per channel, and labels, int64 (N,).

        A fresh copy at each call; the images take four bytes per pixel and channel.
        Raises ``DatasetError`` for a dataset that is only described.
        """
        import torch

        split = self.part(part)
        if not len(split):
            raise DatasetError(
                f"Dataset {self.name} has no images, only published results: set dataset.name to train networks."
            )
        images = normalised(split.x, self.scale, self.mean, self.std)
        return torch.from_numpy(images), torch.from_numpy(split.y.copy())


def assemble(
    name: str,
    x: Bytes,
    y: npt.ArrayLike,
    split: Mapping[str, npt.ArrayLike],
    *,
    class_names: Sequence[str],
    scale: float = 255.0,
    licence: str = "unknown",
    augment: Sequence[str] = (),
    notes: Sequence[str] = (),
    doubts: Sequence[str] = (),
    names: Sequence[str] = (),
    reading: Reading | None = None,
    origin: Origin = Origin(),
) -> Dataset:
    """Return the dataset of all images ``x``, uint8 (N, C, H, W), and labels ``y`` (N,), split by index.

    The order of ``x`` has to be canonical (the same whatever files the images came from), because ``digest``
    depends on it. ``split`` maps each of train, validation and test to indices into ``x``. ``augment`` is what
    happens to training images unless the user says otherwise. ``doubts`` are notes of what may be a mistake: they are
    warned of (``AnalogNASWarning``). ``names`` are the files of ``x``, and
    ``origin`` says how other files become images like these.
    Raises ``DatasetError`` for wrong types or shapes, class names that are blank, alike or hold control characters,
    labels out of range, an empty or overlapping part, or a class that has no training image.
    """
    labels = np.ascontiguousarray(y, dtype=np.int64)
    if x.dtype != np.uint8 or x.ndim != 4 or 0 in x.shape:
        raise DatasetError(f"The images of dataset {name} have to be uint8 (N, C, H, W); they are {x.dtype} {x.shape}.")
    if labels.shape != (len(x),):
        raise DatasetError(
            f"Dataset {name} has {len(x)} images but labels of shape {labels.shape}; give one per image."
        )
    classes = len(class_names)
    if classes < 2:
        raise DatasetError(f"Dataset {name} needs at least 2 classes, not {list(class_names)}; add images of another.")
    _check_names(name, [str(class_name) for class_name in class_names])
    if labels.min() < 0 or labels.max() >= classes:
        raise DatasetError(
            f"The labels of dataset {name} span {labels.min()} to {labels.max()}; "
            f"{classes} classes allow 0 to {classes - 1}."
        )
    indices = _checked_split(name, split, len(labels))
    missing = set(range(classes)) - set(np.unique(labels[indices["train"]]).tolist())
    if missing:
        raise DatasetError(
            f"Class {class_names[min(missing)]!r} of dataset {name} has no training image; add images of it."
        )
    x = np.ascontiguousarray(x)
    parts = {
        part: Split(x[index], labels[index], tuple(names[place] for place in index.tolist()) if names else ())
        for part, index in indices.items()
    }
    doubts = [*doubts, *(_scale_doubts(parts, reading) if reading is not None else ())]
    for doubt in doubts:
        warnings.warn(f"dataset {name}: {doubt}", AnalogNASWarning, stacklevel=2)
    mean, std = moments(parts["train"].x, scale)
    return Dataset(
        name=name,
        input_shape=(x.shape[1], x.shape[2], x.shape[3]),
        classes=classes,
        class_names=tuple(class_names),
        **parts,
        mean=mean,
        std=std,
        scale=float(scale),
        licence=licence,
        digest=digest_of(("x", x), ("y", labels)),
        split_digest=digest_of(*indices.items()),
        augment=checked_augmentations(augment),
        notes=(*doubts, *notes),
        reading=reading,
        origin=origin,
    )


def checked_augmentations(names: Sequence[str]) -> tuple[str, ...]:
    """Return names of augmentations; ``DatasetError`` for one that is unknown or named twice."""
    for name in names:
        if name not in AUGMENTATIONS:
            raise DatasetError(f"There is no augmentation {name!r}; there are {', '.join(AUGMENTATIONS)}.")
    if len(set(names)) != len(names):
        raise DatasetError(f"dataset.augment is {list(names)}; name each augmentation once.")
    return tuple(names)


def describe(dataset: Dataset) -> Description:
    """Return what ``data/dataset.json`` records of what decides: JSON-serializable, the same for the same data."""
    return {
        "name": dataset.name,
        "input_shape": list(dataset.input_shape),
        "classes": dataset.classes,
        "digest": dataset.digest,
        "split_digest": dataset.split_digest,
        "sizes": {part: len(dataset.part(part)) for part in PARTS},
        "licence": dataset.licence,
        "augment": list(dataset.augment),
    }


def _scale_doubts(parts: Mapping[str, Split], reading: Reading) -> list[str]:
    """Return what may be a mistake of parts that were given: one that spans far fewer levels than another."""
    spans = {part: (int(parts[part].x.min()), int(parts[part].x.max())) for part in PARTS if part in reading.given}
    if len(spans) < 2:
        return []
    ranked = sorted(spans, key=lambda part: spans[part][1] - spans[part][0])
    (low, high), (least, greatest) = spans[ranked[0]], spans[ranked[-1]]
    if greatest - least < _UNLIKE * max(1, high - low):
        return []
    return [
        f"the images of {ranked[0]} span the levels {low} to {high} of 255, those of {ranked[-1]} {least} to "
        f"{greatest}; look whether all parts were written on one scale"
    ]


def refuse_constant(where: object, x: Bytes, what: str = "images") -> None:
    """Refuse data in which every value is the same, from which nothing can be learned; raises DatasetError."""
    if x.min() == x.max():
        raise DatasetError(
            f"{where}: every value of all {len(x):,} {what} is {x.flat[0]} of 255, so nothing can be learned; look at "
            "how they were written."
        )


def _check_names(name: str, class_names: Sequence[str]) -> None:
    """Refuse class names that could not be told apart, or would break a table or a line of text."""
    seen = set()
    for class_name in class_names:
        if not class_name.strip():
            raise DatasetError(f"Dataset {name} has a class whose name is blank ({class_name!r}); give it a name.")
        if any(unicodedata.category(character) in _UNPRINTABLE for character in class_name):
            raise DatasetError(
                f"The class name {class_name!r} of dataset {name} holds a line break or another control character; "
                "rename the class."
            )
        if class_name.strip() in seen:
            raise DatasetError(
                f"Dataset {name} has more than one class called {class_name.strip()!r}; give classes different names, "
                "not only in the spaces around them."
            )
        seen.add(class_name.strip())


def _checked_split(name: str, split: Mapping[str, npt.ArrayLike], size: int) -> dict[str, Integers]:
    """Return the indices of the three parts as int64, after checking that they are disjoint and not empty."""
    if set(split) != set(PARTS):
        raise DatasetError(f"Dataset {name} has the parts {sorted(split)}; it needs {', '.join(PARTS)}.")
    indices = {part: np.asarray(split[part], dtype=np.int64) for part in PARTS}
    used = np.zeros(size, dtype=bool)
    for part, index in indices.items():
        if len(index) == 0:
            raise DatasetError(f"The {part} part of dataset {name} would be empty; add images.")
        if index.min() < 0 or index.max() >= size:
            raise DatasetError(f"The {part} part of dataset {name} names images that are not there.")
        if used[index].any() or len(np.unique(index)) != len(index):
            raise DatasetError(f"The {part} part of dataset {name} holds an image that is already in use.")
        used[index] = True
    return indices


def moments(x: Bytes, scale: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and population std per channel of ``x / scale``.

    From histograms, in integers, so that they are the same on every platform and for any summation order.
    """
    channels = x.shape[1]
    counts = np.zeros((channels, 256), dtype=np.int64)
    for start in range(0, len(x), 1000):  # bincount works on 8-byte copies: keep them small
        for channel in range(channels):
            counts[channel] += np.bincount(x[start : start + 1000, channel].ravel(), minlength=256)
    means, stds = [], []
    for row in counts.tolist():
        n = sum(row)
        first = sum(value * count for value, count in enumerate(row))
        second = sum(value * value * count for value, count in enumerate(row))
        variance = (n * second - first * first) / (n * n)
        means.append(first / n / scale)
        stds.append(math.sqrt(variance) / scale if variance > 0 else 1.0)
    return tuple(means), tuple(stds)


def digest_of(*arrays: tuple[str, Bytes | Integers]) -> str:
    """Return the SHA-256 (hexadecimal) of names, shapes, types and little-endian C-order bytes of arrays."""
    digest = hashlib.sha256()
    for name, array in arrays:
        canonical = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        digest.update(json.dumps([name, list(array.shape), canonical.dtype.str]).encode() + b"\n")
        digest.update(canonical.data)
    return digest.hexdigest()
