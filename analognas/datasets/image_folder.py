"""Any folder tree of images as a dataset.

Either ``CLASS/*`` or ``train/CLASS/*`` with ``validation`` (also ``val``, ``valid``) and ``test`` beside it.
Parts that are missing are split off, stratified: 60 / 20 / 20 of everything, or 10 % of the training images
for validation, or 20 % of them for test.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from analognas.datasets import cache
from analognas.datasets.base import PARTS, Bytes, Dataset, Integers, Options, assemble
from analognas.datasets.images import EXTENSIONS, decode, inspect
from analognas.datasets.splits import split_off, stratified_order
from analognas.errors import DatasetError

LICENCE = "that of the images"
DEFAULT_SIZE = 32
"""Side in pixels of the images if they differ in size and no ``image_size`` is given."""
MAX_BYTES = 8 << 30
"""Images that would take more memory than this are refused, with the advice to set ``image_size``."""

_FOLDER_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid"),
    "test": ("test",),
}
_IGNORED = ("__MACOSX",)


class _Image(NamedTuple):
    """One file: path relative to the root (POSIX), class index, what tells that it was changed."""

    relative: str
    label: int
    state: tuple[int, int, int]


@dataclass(frozen=True)
class _Tree:
    """What stands in a folder: class names, and the images of each part that has a folder of its own."""

    class_names: list[str]
    parts: dict[str, list[_Image]]

    @property
    def images(self) -> list[_Image]:
        return [image for images in self.parts.values() for image in images]


def load(options: Options) -> Dataset:
    """Return the images under ``options.path``, resized to one size, uint8, in RGB or grey.

    ``image_size``: by default the size of the images if all have the same, else 32; another aspect ratio is
    squeezed (bilinear, antialiased). ``channels``: by default 3, unless all images are grey. Transparent
    pixels become white; EXIF orientation is applied; of an animation the first frame counts. Images are taken
    in the order of their paths, and the digest depends on the decoded pixels, not on the place or the times.
    Raises ``DatasetError`` that names the file or folder which cannot be used.
    """
    if options.path is None:
        raise DatasetError("Dataset image-folder needs the folder of your images; give it with --path DIR.")
    if options.channels not in (None, 1, 3):
        raise DatasetError(f"dataset.channels is {options.channels}; images have 1 (grey) or 3 (RGB).")
    if options.image_size is not None and not 4 <= options.image_size <= 512:
        raise DatasetError(f"dataset.image_size is {options.image_size}; it has to be 4 to 512 pixels.")
    root = Path(options.path).expanduser()
    tree = _scan(root)
    labels = np.asarray([image.label for image in tree.images], dtype=np.int64)
    split = _split(tree, labels, options.split_seed)  # before the long part: a mistake shows at once
    return assemble(
        "image-folder",
        _decoded(root, tree.images, options),
        labels,
        split,
        class_names=tree.class_names,
        licence=LICENCE,
    )


def image_files(folder: Path) -> list[Path]:
    """Return the images under a folder as ``load`` finds them, none of them opened; ``DatasetError`` as there."""
    return [folder / image.relative for image in _scan(folder).images]


def _scan(root: Path) -> _Tree:
    """Return the images under ``root``, sorted by part, class and path."""
    if root.is_file():
        raise DatasetError(f"{root} is a file; unpack it and give the folder with --path DIR.")
    if not root.is_dir():
        raise DatasetError(f"There is no folder {root}; give the folder of your images with --path DIR.")
    folders = _part_folders(root) or {"all": root}
    class_names: list[str] | None = None
    parts = {}
    for part, folder in folders.items():
        folder_names = [child.name for child in _subfolders(folder)]
        if len(folder_names) < 2:
            raise DatasetError(
                f"{folder} holds {len(folder_names)} class folders; at least 2 are needed, one per class."
            )
        if class_names is None:
            class_names = folder_names
        elif folder_names != class_names:
            odd = sorted(set(folder_names) ^ set(class_names))[0]
            raise DatasetError(f"Class {odd!r} is not in all of {', '.join(f.name for f in folders.values())}.")
        parts[part] = [
            image for label, name in enumerate(folder_names) for image in _class_images(root, folder / name, label)
        ]
    return _Tree(class_names or [], parts)


def _part_folders(root: Path) -> dict[str, Path]:
    """Return the folders of the parts, or nothing if ``root`` holds the classes themselves."""
    parts: dict[str, Path] = {}
    others = []
    for child in _subfolders(root):
        part = next((part for part in PARTS if child.name.casefold() in _FOLDER_NAMES[part]), None)
        if part is None or not _subfolders(child):  # a class may be called "test"
            others.append(child)
        elif part in parts:
            raise DatasetError(f"{root} holds both {parts[part].name} and {child.name}; keep one of them.")
        else:
            parts[part] = child
    if not parts:
        return {}
    if others:
        raise DatasetError(
            f"{others[0]} stands beside {next(iter(parts.values())).name}, where only train, validation and "
            "test belong, each with a folder per class; move it away."
        )
    if "train" not in parts:
        raise DatasetError(f"{root} holds {next(iter(parts.values())).name} but no train folder; add it.")
    return {part: parts[part] for part in PARTS if part in parts}


def _subfolders(folder: Path) -> list[Path]:
    """Return the folders (and links to folders) in a folder that are not hidden, sorted by name."""
    try:
        return sorted(
            child
            for child in folder.iterdir()
            if child.is_dir() and not child.name.startswith(".") and child.name not in _IGNORED
        )
    except OSError as error:
        raise DatasetError(f"{folder} cannot be read ({error.strerror}); check its permissions.") from error


def _class_images(root: Path, folder: Path, label: int) -> list[_Image]:
    """Return the images anywhere below a class folder, sorted by path; links are followed."""
    images = []
    seen = set()  # links may lead in circles
    waiting = [folder.relative_to(root).as_posix()]
    try:
        while waiting:
            current = waiting.pop()
            real = (root / current).resolve()
            if real in seen:
                continue
            seen.add(real)
            with os.scandir(real) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    relative = f"{current}/{entry.name}"
                    if entry.is_dir():
                        waiting.append(relative)
                    elif entry.name.lower().endswith(EXTENSIONS):
                        images.append(_Image(relative, label, cache.file_state(entry.stat())))
    except OSError as error:
        raise DatasetError(f"{error.filename} cannot be read ({error.strerror}); mend or remove it.") from error
    if not images:
        raise DatasetError(f"Class folder {folder} holds no images; add some or remove it.")
    return sorted(images)


def _split(tree: _Tree, labels: Integers, seed: int) -> dict[str, Integers]:
    """Return indices into all images for each part; what has no folder is split off the training images."""
    given = {}
    start = 0
    for part, images in tree.parts.items():
        stop = start + len(images)
        order = stratified_order(labels[start:stop], seed=seed, purpose=f"image-folder {part}")
        given["train" if part == "all" else part] = order + start
        start = stop
    return split_off(given, labels, tree.class_names)


def _decoded(root: Path, images: list[_Image], options: Options) -> Bytes:
    """Return all images, uint8 (N, C, H, W), from the cache if no file changed since they were decoded."""
    key = cache.fingerprint("image-folder", str(root.resolve()), options.image_size, options.channels, images)
    stored = cache.read(key)
    if stored is not None and stored["x"].dtype == np.uint8 and len(stored["x"]) == len(images):
        return stored["x"]
    channels, height, width = shape = _shape(root, images, options)
    size = len(images) * channels * height * width
    if size > MAX_BYTES:
        raise DatasetError(
            f"{len(images)} images of {width}x{height} pixels would take {size / 2**30:.0f} GiB of memory; "
            "set a smaller dataset.image_size, in params.yaml or by --set of init and run."
        )
    x = np.empty((len(images), *shape), dtype=np.uint8)
    for index, image in enumerate(images):
        x[index] = decode(root / image.relative, channels, height, width)
        _report(options, index + 1, len(images), "decoding images")
    cache.write(key, {"x": x})
    return x


def _shape(root: Path, images: list[_Image], options: Options) -> tuple[int, int, int]:
    """Return the (channels, height, width) that all images get; reads the files' headers if need be."""
    sizes = set()
    grey = True
    if options.image_size is None or options.channels is None:
        for index, image in enumerate(images):
            size, is_grey = inspect(root / image.relative)
            sizes.add(size)
            grey = grey and is_grey
            _report(options, index + 1, len(images), "looking at images")
    channels = options.channels or (1 if grey else 3)
    if options.image_size is not None:
        return channels, options.image_size, options.image_size
    width, height = sizes.pop() if len(sizes) == 1 else (DEFAULT_SIZE, DEFAULT_SIZE)
    return channels, height, width


def _report(options: Options, done: int, total: int, what: str) -> None:
    if options.progress is not None and (done % 500 == 0 or done == total):
        options.progress(done, total, what)
