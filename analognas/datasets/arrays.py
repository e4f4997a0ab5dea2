"""Arrays of your own: a NumPy archive (.npz) with images and labels."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from analognas.datasets.base import PARTS, Bytes, Dataset, Integers, Options, Origin, Reading, assemble, refuse_constant
from analognas.datasets.levels import LEVELS, to_levels
from analognas.datasets.splits import split_off, stratified_order
from analognas.errors import DatasetError

LICENCE = "that of the arrays"
_KINDS = {"u": "integers", "i": "integers", "f": "floating-point numbers", "b": "truth values"}
_CHANNELS = (1, 3)
"""How many channels images usually have, by which their axis is found."""
_SUFFIXES = {"train": ("", "_train"), "validation": ("_validation", "_val", "_valid"), "test": ("_test",)}
_FEW = 4
"""So few levels for 99 % of the values are told."""
_LOOKED_AT = 100_000
"""Values of each part by which that is judged."""
_SINGLE = "a single array"
_LARGE = {"f": 2, "u": 127, "i": 127}
"""What values beyond are not on the scale of a part that stays within 1: floats may overshoot, integers may count."""

Array = np.ndarray[Any, Any]


def load(options: Options) -> Dataset:
    """Return the images and labels in an ``.npz`` file, or in the only one of a folder.

    ``x`` and ``y`` (or ``x_train`` and ``y_train``) and, if wanted, ``x_validation`` (also ``x_val``),
    ``y_validation``, ``x_test``, ``y_test``; parts that are missing are split off, stratified, as from an image
    folder. ``x`` is (N, H, W), (N, C, H, W) or (N, H, W, C): the axis with 1 or 3 is that of the channels, and where
    none or both have so many, the images are square. Bytes are taken as they are; other numbers are spread
    over 256 levels, from 0 to 1 if they are within, else from their least to their greatest. ``y`` holds integers or
    text, which sorted are the classes; ``class_names`` may name the integers, or order the text. Each part has every
    class. Nothing is unpickled.
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
    spans = {part: _span(path, part, x) for part, x in zip(parts, images, strict=True)}
    x = _bytes(path, dict(zip(parts, images, strict=True)), spans)
    refuse_constant(path, x)
    y, class_names = _labels(path, stored, [labels for _, labels in parts.values()])
    given = {}
    start = 0
    for part, part_x in zip(parts, images, strict=True):
        stop = start + len(part_x)
        given[part] = stratified_order(y[start:stop], seed=options.split_seed, purpose=f"arrays {part}") + start
        start = stop
    _refuse_missing(path, {part: y[index] for part, index in given.items()}, class_names)
    return assemble(
        "arrays",
        x,
        y,
        split_off(given, y, class_names),
        class_names=class_names,
        licence=LICENCE,
        doubts=_squeezed(images, spans),
        reading=_reading(stored, parts, images, spans),
        origin=_origin(images, spans),
    )


def _find(path: Path) -> Path:
    if path.is_dir():
        files = sorted(path.glob("*.npz"))
        if len(files) != 1:
            raise DatasetError(f"{path} holds {len(files)} .npz files; give the one with x and y with --path FILE.")
        return files[0]
    if not path.is_file():
        raise DatasetError(f"There is no {path}; give the .npz file with x and y with --path FILE.")
    return path


def _read(path: Path) -> dict[str, Array]:
    try:
        with path.open("rb") as file:
            stored = np.load(file, allow_pickle=False)
            if not hasattr(stored, "files"):
                raise ValueError(_SINGLE)
            with stored:
                return {name: stored[name] for name in stored.files}
    except Exception as error:  # a damaged archive may raise nearly anything
        raise DatasetError(
            f"{path} cannot be read as an .npz file of numbers ({_reason(path, error)}); write it with numpy.savez."
        ) from error


def _reason(path: Path, error: Exception) -> str:
    """Return what is wrong with a file in plain words."""
    if "allow_pickle" in str(error):  # NumPy takes whatever it does not know for a pickle
        return "it holds Python objects" if zipfile.is_zipfile(path) else "it is not an .npz archive"
    if isinstance(error, MemoryError):
        return "it holds more than fits into memory"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return _SINGLE if str(error) == _SINGLE else "it is damaged or cut short"


def _parts(path: Path, stored: dict[str, Array]) -> dict[str, tuple[Array, Array]]:
    """Return images and labels of each part that the file has; ``x`` and ``y`` are ``train``."""
    by_part: dict[str, tuple[Array, Array]] = {}
    known = set()
    for part in PARTS:
        pairs = [(f"x{end}", f"y{end}") for end in _SUFFIXES[part]]
        known |= {name for pair in pairs for name in pair}
        pairs = [pair for pair in pairs if set(pair) & set(stored)]
        if len(pairs) > 1:
            names = [name for pair in pairs for name in pair if name in stored]
            raise DatasetError(
                f"{path} holds {', '.join(names)} for the {part} part; keep one pair, as {' and '.join(pairs[-1])}."
            )
        for x_name, y_name in pairs:
            if x_name not in stored or y_name not in stored:
                raise DatasetError(f"{path} holds {sorted(stored)}; it needs both {x_name} and {y_name}.")
            by_part[part] = stored[x_name], stored[y_name]
    for name in sorted(stored):
        if name.casefold().startswith(("x_", "y_")) and name not in known:
            raise DatasetError(
                f"{path} holds {name}, which names no part; remove it or rename it: {', '.join(sorted(known))}."
            )
    if "train" not in by_part:
        raise DatasetError(f"{path} holds {sorted(stored) or 'nothing'}; it needs x and y, or x_train and y_train.")
    for part, (x, y) in by_part.items():
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        if y.ndim != 1 or x.ndim < 1 or len(x) != len(y):
            raise DatasetError(f"{path}: {part} has images {x.shape} but labels {y.shape}; give one label per image.")
        if not len(y):
            remedy = "add some" if part == "train" else "add some, or leave the part out"
            raise DatasetError(f"{path}: {part} has no images; {remedy}.")
        by_part[part] = x, y
    return by_part


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


def _bytes(path: Path, images: Mapping[str, Array], spans: Mapping[str, tuple[float, float]]) -> Bytes:
    """Return all images as bytes; the range is that of all parts together, which have to be on one scale."""
    kind = next(iter(images.values())).dtype.kind
    if kind in _LARGE:
        small = [part for part, (low, high) in spans.items() if max(-low, high) <= 1]
        large = [part for part, (low, high) in spans.items() if max(-low, high) > _LARGE[kind]]
        if small and large:
            raise DatasetError(
                f"{path}: the values of {small[0]} are from {spans[small[0]][0]:g} to {spans[small[0]][1]:g}, those of "
                f"{large[0]} from {spans[large[0]][0]:g} to {spans[large[0]][1]:g}; give all parts in one range."
            )
    if all(x.dtype == np.uint8 for x in images.values()):
        return np.concatenate(list(images.values()))
    return to_levels(np.concatenate([x.astype(np.float64) for x in images.values()]), _scale(spans))


def _origin(images: list[Array], spans: Mapping[str, tuple[float, float]]) -> Origin:
    """Return how further arrays like these become bytes."""
    if all(x.dtype == np.uint8 for x in images):
        return Origin(files="arrays")
    return Origin(files="arrays", numbers=_KINDS[images[0].dtype.kind], span=_scale(spans))


def _scale(spans: Mapping[str, tuple[float, float]]) -> tuple[float, float]:
    """Return which values become 0 and 255."""
    low, high = min(low for low, _ in spans.values()), max(high for _, high in spans.values())
    return (0.0, 1.0) if low >= 0 and high <= 1 else (low, high)


def _squeezed(images: list[Array], spans: Mapping[str, tuple[float, float]]) -> list[str]:
    """Return a doubt if nearly all values share a few of the 256 levels, because some lie far away or all are small."""
    if images[0].dtype.kind == "b" or images[0].dtype == np.uint8:
        return []
    some = np.concatenate([x.reshape(-1)[:: max(1, x.size // _LOOKED_AT)] for x in images]).astype(np.float64)
    low, high = _scale(spans)
    inner = np.quantile(some, [0.005, 0.995])
    most = some[(some >= inner[0]) & (some <= inner[1])]
    levels = len(np.unique(np.round((most - low) * (LEVELS / ((high - low) or 1.0)))))
    if levels > _FEW or len(np.unique(most)) <= 4 * _FEW:
        return []
    return [
        f"99 % of the values are from {inner[0]:.4g} to {inner[1]:.4g}, but the levels of a byte are spread "
        f"from {low:.4g} to {high:.4g}, which leaves {levels} of 256 for them; clip or scale the values"
    ]


def _reading(
    stored: Mapping[str, Array],
    parts: Mapping[str, tuple[Array, Array]],
    images: list[Array],
    spans: Mapping[str, tuple[float, float]],
) -> Reading:
    """Return how the arrays were read."""
    given = {part: next(f"x{end}" for end in _SUFFIXES[part] if f"x{end}" in stored) for part in parts}
    used = {"class_names", *given.values(), *(f"y{name[1:]}" for name in given.values())}
    first = next(iter(parts.values()))[0]
    order = "(N, H, W)" if first.ndim == 3 else "(N, C, H, W)" if first.shape == images[0].shape else "(N, H, W, C)"
    height, width = images[0].shape[2:]
    return Reading(
        read={name: len(stored[name]) for name in given.values()},
        passed_over={f"array {name}": 1 for name in sorted(set(stored) - used)},
        sizes=f"all are {width}x{height}, {first.dtype} {order}",
        ranges=spans,
        given=given,
    )


def _span(path: Path, part: str, x: Array) -> tuple[float, float]:
    """Return the least and the greatest value of a part; ``DatasetError`` if one is not finite."""
    low, high = float(x.min()), float(x.max())
    if not np.isfinite([low, high]).all():  # what is not finite shows in the least or the greatest
        bad = np.flatnonzero(~np.isfinite(x.astype(np.float64)).all(axis=(1, 2, 3)))
        raise DatasetError(
            f"{path}: there are values that are not finite in {len(bad)} of {len(x)} images of {part}, the first at "
            f"index {bad[0]}; mend or remove them."
        )
    return low, high


def _labels(path: Path, stored: dict[str, Array], parts: list[Array]) -> tuple[Integers, list[str]]:
    """Return the class of every image, and the names of the classes that there are."""
    kinds = {part.dtype.kind for part in parts}
    if len(kinds) > 1 or not kinds <= set("uibU"):
        types = " and ".join(sorted({str(part.dtype) for part in parts}))
        raise DatasetError(f"{path}: labels have to be integers or text, in all parts the same; not {types}.")
    values, y = np.unique(np.concatenate(parts), return_inverse=True)
    y = y.astype(np.int64)
    if "class_names" not in stored:
        return y, [str(value) for value in values]
    given = stored["class_names"]
    if given.ndim != 1:
        raise DatasetError(f"{path}: class_names has shape {given.shape}; give one name per class, or leave it out.")
    if kinds == {"U"}:
        order = {name: place for place, name in reversed(list(enumerate(map(str, given))))}
        unknown = [value for value in values.tolist() if value not in order]
        if unknown:
            raise DatasetError(
                f"{path}: label {unknown[0]!r} is not one of class_names; add it there, or leave class_names out."
            )
        ranked = np.argsort([order[value] for value in values.tolist()])
        return np.argsort(ranked)[y].astype(np.int64), [str(value) for value in values[ranked]]
    if values.min() < 0 or values.max() >= len(given):
        raise DatasetError(
            f"{path}: class_names has {len(given)} names for the classes from 0 on, but labels are from "
            f"{int(values.min())} to {int(values.max())}; name all, or leave it out."
        )
    return y, [str(given[int(value)]) for value in values]


def _refuse_missing(path: Path, labels: Mapping[str, Integers], class_names: list[str]) -> None:
    """Refuse a part of the file that lacks a class."""
    for part, part_labels in labels.items():
        absent = np.setdiff1d(np.arange(len(class_names)), part_labels)
        if len(absent):
            remedy = "" if part == "train" else f", or leave the {part} part out, so that one is split off"
            raise DatasetError(f"{path}: class {class_names[absent[0]]!r} has no images in {part}; add some{remedy}.")
