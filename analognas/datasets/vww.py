"""Visual Wake Words (Chowdhery et al., arXiv 1906.05721): is there a person in a photograph of COCO?"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analognas.causes import wrong
from analognas.datasets import cache
from analognas.datasets.base import Bytes, Dataset, Integers, Options, Origin, assemble
from analognas.datasets.images import decode
from analognas.datasets.splits import split_off, stratified_order
from analognas.errors import ContentError, DatasetError

LICENCE = "annotations CC BY 4.0; photographs by the terms of Flickr"
CLASS_NAMES = ("no person", "person")
SIZE = 96
"""Side in pixels of the images, as published, unless ``image_size`` says otherwise."""
THRESHOLD = 0.005
"""A person counts whose box covers more than this share of the photograph."""
MAX_BYTES = 8 << 30
"""Images that would take more memory than this are refused, with the advice to set ``image_size``."""

_CATEGORY = "person"
_PREFIX = "instances_"
_REPORT_EVERY = 500


@dataclass(frozen=True)
class _Set:
    """One set of COCO, such as train2017: its annotations and its photographs."""

    name: str
    annotations: Path
    folder: Path


def load(options: Options) -> Dataset:
    """Return the photographs of a COCO folder, squeezed to 96x96 pixels, classes ``no person`` and ``person``.

    ``options.path`` holds ``annotations/instances_train2017.json`` with ``train2017/*.jpg`` and the same for
    ``val2017`` (or 2014, or both sets in ``images/``). 10 % of the training photographs become the validation part
    (stratified); COCO's validation set is the test part. With one set alone, it is split 60 / 20 / 20.
    ``image_size`` and ``channels`` (1 grey, 3 RGB) change the images.
    Raises ``DatasetError`` that names the file which cannot be used.
    """
    if options.path is None:
        raise DatasetError(
            "Dataset vww is made from COCO, which is not downloaded (20 GB); get it from https://cocodataset.org and "
            "give its folder with --path DIR."
        )
    root = Path(options.path).expanduser()
    sets = _sets(root)
    x, y, sizes = _decoded(sets, options)
    parts: dict[str, Integers] = {}
    start = 0
    for part, size in zip(("train", "test"), sizes, strict=False):
        order = stratified_order(y[start : start + size], seed=options.split_seed, purpose=f"vww {part}")
        parts[part] = order + start
        start += size
    split = split_off(parts, y, CLASS_NAMES, "photographs")
    return assemble(
        "vww", x, y, split,
        class_names=CLASS_NAMES, licence=LICENCE, augment=("crop", "flip"), origin=Origin(files="images"),
    )  # fmt: skip


def _sets(root: Path) -> list[_Set]:
    """Return the training and the validation set, or the only one."""
    places = [folder for folder in (root / "annotations", root) if folder.is_dir()]
    files = next((paths for folder in places if (paths := sorted(folder.glob(f"{_PREFIX}*.json")))), [])
    sets: dict[str, _Set] = {}
    for file in files:
        name = file.stem.removeprefix(_PREFIX)
        kind = next((kind for kind in ("train", "val") if name.startswith(kind)), None)
        if kind is None:
            continue
        if kind in sets:
            raise DatasetError(f"{root} holds annotations of {sets[kind].name} and {name}; move one of them away.")
        folder = next((place for place in (root / name, root / "images" / name) if place.is_dir()), None)
        if folder is None:
            raise DatasetError(f"{root} holds {file.name} but no folder {name} with its photographs; add it.")
        sets[kind] = _Set(name, file, folder)
    if len({image_set.name.removeprefix(kind) for kind, image_set in sets.items()}) > 1:
        # 35,000 photographs of val2014 are in train2017
        raise DatasetError(
            f"{root} holds {' and '.join(image_set.name for image_set in sets.values())}, which share photographs; "
            "use the two sets of one year."
        )
    if not sets:
        raise DatasetError(
            f"{root} holds no annotations/{_PREFIX}train2017.json (or val2017, or 2014); give the folder of COCO "
            "with --path DIR."
        )
    return [sets[kind] for kind in ("train", "val") if kind in sets]


def _decoded(sets: list[_Set], options: Options) -> tuple[Bytes, Integers, list[int]]:
    """Return images, labels and the sizes of the sets, from the cache if no file changed since they were made."""
    side, channels = options.image_size or SIZE, options.channels or 3
    states = [[cache.file_state(image_set.annotations.stat()), *_states(image_set.folder)] for image_set in sets]
    places = [str(image_set.folder.resolve()) for image_set in sets]
    key = cache.fingerprint("vww", places, states, side, channels, THRESHOLD)
    stored = cache.read(key)
    if stored is not None:
        return stored["x"], stored["y"], stored["sizes"].tolist()
    labelled = [_labelled(image_set) for image_set in sets]
    files = [
        (image_set.folder / name, label)
        for image_set, names in zip(sets, labelled, strict=True)
        for name, label in names
    ]
    if len(files) * channels * side * side > MAX_BYTES:
        raise DatasetError(
            f"{len(files)} photographs of {side}x{side} pixels would take more than {MAX_BYTES >> 30} GiB of memory; "
            "set a smaller dataset.image_size, in params.yaml or by --set of init and run."
        )
    x = np.empty((len(files), channels, side, side), dtype=np.uint8)
    for index, (path, _) in enumerate(files):
        x[index] = decode(path, channels, side, side).pixels
        if options.progress is not None and ((index + 1) % _REPORT_EVERY == 0 or index + 1 == len(files)):
            options.progress(index + 1, len(files), "decoding photographs")
    y = np.asarray([label for _, label in files], dtype=np.int64)
    sizes = [len(names) for names in labelled]
    cache.write(key, {"x": x, "y": y, "sizes": np.asarray(sizes)})
    return x, y, sizes


def _states(folder: Path) -> list[tuple[str, tuple[int, int, int]]]:
    try:
        with os.scandir(folder) as entries:
            return sorted((entry.name, cache.file_state(entry.stat())) for entry in entries)
    except OSError as error:
        raise DatasetError(f"{error.filename} cannot be read ({error.strerror}); mend or remove it.") from error


def _labelled(photographs: _Set) -> list[tuple[str, int]]:
    """Return name and label of every photograph, sorted by name."""
    try:
        with photographs.annotations.open(encoding="utf-8") as file:
            content = json.load(file, object_hook=_without_outlines)
        people = {category["id"] for category in content["categories"] if category["name"] == _CATEGORY}
        if not people:
            raise ContentError(f"it has no category {_CATEGORY!r}")
        areas = {image["id"]: float(image["width"]) * float(image["height"]) for image in content["images"]}
        seen = {
            box["image_id"]
            for box in content["annotations"]
            if box["category_id"] in people and _area(box) > THRESHOLD * areas[box["image_id"]]
        }
        labelled = sorted((str(image["file_name"]), int(image["id"] in seen)) for image in content["images"])
        if not labelled:
            raise ContentError("it names no photographs")
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DatasetError(
            f"{photographs.annotations} is not a file of COCO's annotations: {wrong(error)}; get it again."
        ) from error
    for name, _ in labelled:
        if Path(name).name != name:
            raise DatasetError(
                f"{photographs.annotations} names a photograph {name!r} outside {photographs.folder}; get it again."
            )
        if not (photographs.folder / name).is_file():
            raise DatasetError(
                f"{photographs.folder} lacks {name}, which {photographs.annotations.name} names; get the set again."
            )
    return labelled


def _area(box: Mapping[str, Any]) -> float:
    _, _, width, height = box["bbox"]
    return float(width) * float(height)


def _without_outlines(value: dict[str, Any]) -> dict[str, Any]:
    """Drop the outlines of objects while the file is read: they are nearly all of it."""
    value.pop("segmentation", None)
    return value
