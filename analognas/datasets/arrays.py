"""Arrays of your own: a NumPy archive (.npz) with images and labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from analognas.datasets.base import PARTS, Bytes, Dataset, Integers, Options, assemble
from analognas.datasets.splits import split_off, stratified_order
from analognas.errors import DatasetError

LICENCE = "that of the arrays"
_LEVELS = 255
_KINDS = {"u": "integers", "i": "integers", "f": "floating-point numbers", "b": "truth values"}
_CHANNELS = (1, 3)
"""How many channels images usually have, by which their axis is found."""
_SUFFIXES = {"train": ("train",), "validation": ("validation", "val", "valid"), "test": ("test",)}

Array = np.ndarray[Any, Any]


def load(options: Options) -> Dataset:
    """Return the images and labels in an ``.npz`` file, or in the only one of a folder.

    Either ``x`` and ``y``, or ``x_train``, ``y_train`` and, if wanted, ``x_validation`` (also ``x_val``),
    ``y_validation``, ``x_test``, ``y_test``; parts that are missing are split off, stratified, as from an image
    folder. ``x`` is (N, H, W), (N, C, H, W) or (N, H, W, C): the axis with 1 or 3 is that of the channels, and where
    none or both have so many, the images are square. Bytes are taken as they are; other numbers are spread
    over 256 levels, from 0 to 1 if they are within, else from their least to their greatest. ``y`` holds integers or
    text, which sorted are the classes; ``class_names`` may name them. Nothing is unpickled.
    Raises ``DatasetError`` that names the file and what is wrong.
    """
    if options.path is None:
        raise DatasetError("Dataset arrays needs an .npz file with x and y; give it with --path FILE.")
    path = _find(Path(options.path).expanduser())
    stored = _read(path)
    parts = _parts(path, stored)
    images = [_channels_first(path, f"x of {part}", x) for part, (x, _) in parts.items()]
    kinds = {_KINDS[x.dtype.kind] for x in images}
    if len(kinds) > 1:
        raise DatasetError(
            f"{path}: its parts hold images of {' and of '.join(sorted(kinds))}; give all parts in one type and range."
        )
    shape = images[0].shape[1:]
    for part, x in zip(parts, images, strict=True):
        if x.shape[1:] != shape:
            raise DatasetError(f"{path}: the images of {part} are {x.shape[1:]}, those of the first part {shape}.")
    x = _bytes(path, images)
    y, class_names = _labels(path, stored, [labels for _, labels in parts.values()])
    given = {}
    start = 0
    for part, part_x in zip(parts, images, strict=True):
        stop = start + len(part_x)
        given[part] = stratified_order(y[start:stop], seed=options.split_seed, purpose=f"arrays {part}") + start
        start = stop
    return assemble("arrays", x, y, split_off(given, y, class_names), class_names=class_names, licence=LICENCE)


def _find(path: Path) -> Path:
    if path.is_dir():
        found = sorted(path.glob("*.npz"))
        if len(found) != 1:
            raise DatasetError(f"{path} holds {len(found)} .npz files; give the one with x and y with --path FILE.")
        return found[0]
    if not path.is_file():
        raise DatasetError(f"There is no {path}; give the .npz file with x and y with --path FILE.")
    return path


def _read(path: Path) -> dict[str, Array]:
    try:
        with path.open("rb") as file:
            stored = np.load(file, allow_pickle=False)
            if not hasattr(stored, "files"):
                raise ValueError("a single array")
            with stored:
                return {name: stored[name] for name in stored.files}
    except Exception as error:  # a damaged archive may raise nearly anything
        reason = "it holds Python objects" if "allow_pickle" in str(error) else str(error) or type(error).__name__
        raise DatasetError(
            f"{path} cannot be read as an .npz file of numbers ({reason}); write it with numpy.savez."
        ) from error


def _parts(path: Path, stored: dict[str, Array]) -> dict[str, tuple[Array, Array]]:
    """Return images and labels of each part that the file has; ``train`` is all if it has no parts."""
    if "x" in stored and "y" in stored:
        found = {"train": (stored["x"], stored["y"])}
    else:
        found = {}
        for part in PARTS:
            pairs = [(f"x_{end}", f"y_{end}") for end in _SUFFIXES[part] if {f"x_{end}", f"y_{end}"} & set(stored)]
            for x_name, y_name in pairs:
                if x_name not in stored or y_name not in stored or part in found:
                    raise DatasetError(f"{path} holds {sorted(stored)}; it needs one x and one y for {part}.")
                found[part] = stored[x_name], stored[y_name]
    if "train" not in found:
        raise DatasetError(f"{path} holds {sorted(stored) or 'nothing'}; it needs x and y, or x_train and y_train.")
    for part, (x, y) in found.items():
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        if y.ndim != 1 or x.ndim < 1 or len(x) != len(y) or not len(y):
            raise DatasetError(f"{path}: {part} has images {x.shape} but labels {y.shape}; give one label per image.")
        found[part] = x, y
    return found


def _channels_first(path: Path, what: str, x: Array) -> Array:
    """Return images as (N, C, H, W), of whatever type."""
    if x.dtype.kind not in _KINDS:
        raise DatasetError(f"{path}: {what} is of type {x.dtype}; images are numbers.")
    if x.ndim not in (3, 4) or 0 in x.shape:
        raise DatasetError(f"{path}: {what} has shape {x.shape}; it has to be (N, H, W), (N, C, H, W) or (N, H, W, C).")
    if x.ndim == 3:
        return x[:, np.newaxis]
    _, second, third, last = x.shape
    # what speaks for (C, H, W) and what for (H, W, C): usual channels, else square images
    for first, final in ((second in _CHANNELS, last in _CHANNELS), (third == last, second == third)):
        if first != final:
            return x if first else x.transpose(0, 3, 1, 2)
    raise DatasetError(
        f"{path}: {what} has shape {x.shape}, which does not tell the axis of the channels; give (N, C, H, W) or "
        "(N, H, W, C) with 1 or 3 channels, or square images."
    )


def _bytes(path: Path, images: list[Array]) -> Bytes:
    """Return all images as bytes; the range is that of all parts together."""
    if all(x.dtype == np.uint8 for x in images):
        return np.concatenate(images)
    joined = np.concatenate([x.astype(np.float64) for x in images])
    if not np.isfinite(joined).all():
        raise DatasetError(f"{path}: an image has a value that is not finite; mend or remove it.")
    low, high = float(joined.min()), float(joined.max())
    low, high = (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)
    return np.round((joined - low) * (_LEVELS / ((high - low) or 1.0))).astype(np.uint8)


def _labels(path: Path, stored: dict[str, Array], parts: list[Array]) -> tuple[Integers, list[str]]:
    labels = np.concatenate(parts) if len({part.dtype.kind for part in parts}) == 1 else np.empty(0)
    if labels.dtype.kind not in "uibU":
        raise DatasetError(f"{path}: labels have to be integers or text, in all parts the same; not {labels.dtype}.")
    values, y = np.unique(labels, return_inverse=True)
    names = [str(value) for value in values]
    if "class_names" in stored:
        given = stored["class_names"]
        if given.ndim != 1 or labels.dtype.kind == "U" or values.min() < 0 or values.max() >= len(given):
            raise DatasetError(f"{path}: class_names has to name the classes 0 to {values.max()}; leave it out if not.")
        names = [str(given[int(value)]) for value in values]
    return y.astype(np.int64), names
