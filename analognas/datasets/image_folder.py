"""Any folder tree of images as a dataset.

Either ``CLASS/*``, or parts with class folders: ``train/CLASS/*`` with ``validation`` and ``test`` beside it, under
these or similar names (``parts.parts_of``), or ``CLASS/train/*``. Parts that are missing are split off, stratified:
60 / 20 / 20 of everything, or 10 % of the training images for validation, or 20 % of them for test.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from analognas.datasets import cache
from analognas.datasets.base import PARTS, Bytes, Dataset, Integers, Options, Origin, Reading, assemble, refuse_constant
from analognas.datasets.images import EXTENSIONS, UnreadableImageError, decode, inspect
from analognas.datasets.leftovers import OUTSIDE, PassedOver, ending, is_leftover, told
from analognas.datasets.parts import folds, levels, listed, parts_of
from analognas.datasets.pictures import Pictures
from analognas.datasets.splits import split_off, stratified_order
from analognas.errors import DatasetError

LICENCE = "that of the images"
DEFAULT_SIZE = 32
"""Side in pixels of the images if they differ in size and no ``image_size`` is given."""
MAX_BYTES = 8 << 30
"""Images that would take more memory than this are refused, with the advice to set ``image_size``."""

_NAMED = 3
"""Damaged files that are named; the others are counted."""
_THUMBNAILS = ("thumb", "thumbs", "thumbnail", "thumbnails")
"""Folders of smaller copies, if they stand inside a class folder."""


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
    given: dict[str, str]
    passed_over: PassedOver = field(default_factory=PassedOver)

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
    images = tree.images
    labels = np.asarray([image.label for image in images], dtype=np.int64)
    split = _split(tree, labels, options.split_seed)  # before the long part: a mistake shows at once
    x, pictures = _decoded(root, images, options)
    pictures.refuse_collapsed(root)
    refuse_constant(root, x)
    missed = tree.passed_over.missed
    doubts = pictures.doubts(x.shape[2:], chosen=options.image_size is not None)
    if missed:
        doubts.insert(0, f"{told(missed)} passed over, which are not read as images; convert or move them")
    return assemble(
        "image-folder",
        x,
        labels,
        split,
        class_names=tree.class_names,
        licence=LICENCE,
        doubts=doubts,
        notes=pictures.notes(),
        names=[image.relative for image in images],
        reading=Reading(
            read=Counter(ending(image.relative.rpartition("/")[2]) for image in images),
            passed_over=tree.passed_over.files,
            leftovers=tree.passed_over.leftovers,
            sizes=pictures.resized(x.shape[2:]),
            given=tree.given,
        ),
        origin=Origin(files="images"),
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
    passed_over = PassedOver()
    folders, given = _layout(root, passed_over)
    class_names: list[str] | None = None
    parts = {}
    for part, classes in folders.items():
        where = root / given.get(part, "")
        if len(classes) < 2:
            raise DatasetError(f"{where} holds {len(classes)} class folders; at least 2 are needed, one per class.")
        if class_names is None:
            class_names = list(classes)
        elif list(classes) != class_names:
            odd = sorted(set(classes) ^ set(class_names))[0]
            raise DatasetError(f"Class {odd!r} is not in all of {', '.join(given[name] for name in folders)}.")
        by_class = [_class_images(root, folder, label, passed_over) for label, folder in enumerate(classes.values())]
        _refuse_levels(root, list(classes.values()), by_class)
        parts[part] = [image for images in by_class for image in images]
    return _Tree(class_names or [], parts, given, passed_over)


def _layout(root: Path, passed_over: PassedOver) -> tuple[dict[str, dict[str, Path]], dict[str, str]]:
    """Return the class folders of each part (``all`` without parts), and what the folders of the parts are called."""
    children = _subfolders(root)
    names = [child.name for child in children]
    _outside(root, passed_over)
    if folds(names):
        raise DatasetError(
            f"{root} holds {listed(names)}, which are numbered pieces of the data and no classes: put the images into "
            "a folder per class, or into train, validation and test with class folders in each (if they are classes, "
            "give them other names)."
        )
    parts = _part_folders(root, children)
    if parts:
        for folder in parts.values():
            _outside(folder, passed_over)
        classes = {part: {child.name: child for child in _subfolders(folder)} for part, folder in parts.items()}
        return classes, {part: folder.relative_to(root).as_posix() for part, folder in parts.items()}
    inside = _parts_in_classes(root, children)
    if inside:
        for child in children:
            _outside(child, passed_over)
        return inside, {part: f"CLASS/{next(iter(classes.values())).name}" for part, classes in inside.items()}
    return {"all": {child.name: child for child in children}}, {}


def _part_folders(root: Path, children: Sequence[Path]) -> dict[str, Path]:
    """Return the folders of the parts, or nothing if ``root`` holds the classes themselves."""
    told_parts = parts_of(child.name for child in children)
    parts: dict[str, Path] = {}
    others = []
    for child in children:
        part = told_parts.get(child.name)
        if part is None or not _subfolders(child):  # a class may be called "test"
            others.append(child)
        elif part in parts:
            raise DatasetError(f"{root} holds both {parts[part].name} and {child.name}; keep one of them.")
        else:
            parts[part] = _innermost(child)
    if not parts:
        if len(children) > 1 and len(told_parts) == len(children) and "train" in told_parts.values():
            raise DatasetError(
                f"{root} holds {listed(told_parts)}, which are parts of the data and no classes: put the images in "
                "each into a folder per class (if they are classes, give them other names)."
            )
        return {}
    if others and "train" not in parts:  # CLASS folders beside test: the training images are not in a folder
        classes = [child.name for child in others]
        own = {folder.name for part in parts.values() for folder in _subfolders(part)}
        if own & set(classes):
            beside = listed(folder.name for folder in parts.values())
            raise DatasetError(
                f"{root} holds {listed(classes)} beside {beside}, which has such folders, too: move {listed(classes)} "
                f"into {root / 'train'}."
            )
    if others:
        raise DatasetError(
            f"{others[0]} stands beside {next(iter(parts.values())).name}, where only train, validation and "
            "test belong, each with a folder per class; move it away."
        )
    if "train" not in parts:
        raise DatasetError(f"{root} holds {next(iter(parts.values())).name} but no train folder; add it.")
    return {part: parts[part] for part in PARTS if part in parts}


def _innermost(folder: Path) -> Path:
    """Return the folder with the classes, also of an archive unpacked into a folder of its own name: test/test."""
    inner = _subfolders(folder)
    while len(inner) == 1 and inner[0].name == folder.name:
        folder = inner[0]
        inner = _subfolders(folder)
    return folder


def _parts_in_classes(root: Path, children: Sequence[Path]) -> dict[str, dict[str, Path]]:
    """Return the class folders of each part for ``CLASS/train/*``, or nothing if no class has folders for parts."""
    inner = {child: _subfolders(child) for child in children}
    told_parts = {child: parts_of(folder.name for folder in folders) for child, folders in inner.items()}
    with_train = [child for child, known in told_parts.items() if "train" in known.values() and len(known) > 1]
    if not with_train:
        return {}
    wanted = set(told_parts[with_train[0]].values())
    for child in children:
        if sorted(told_parts[child].values()) != sorted(wanted) or len(inner[child]) != len(wanted):
            raise DatasetError(
                f"{with_train[0]} holds {listed(told_parts[with_train[0]])}, {child} does not: give every class the "
                f"same parts, or {root} itself train, validation and test with class folders in each."
            )
    return {
        part: {
            child.name: next(folder for folder in inner[child] if told_parts[child][folder.name] == part)
            for child in children
        }
        for part in PARTS
        if part in wanted
    }


def _refuse_levels(root: Path, folders: Sequence[Path], by_class: Sequence[Sequence[_Image]]) -> None:
    """Refuse folders inside of folders where the inner ones recur: who photographed may stand outside, what inside."""
    inner: dict[str, set[str]] = {}
    for folder, images in zip(folders, by_class, strict=True):
        start = len(folder.relative_to(root).as_posix()) + 1
        inside = (image.relative[start:] for image in images)
        inner[folder.name] = {name.partition("/")[0] for name in inside if "/" in name}
    again = levels(inner)
    if again:
        raise DatasetError(
            f"{root} holds {listed(inner)}, and in each of them stand {listed(again)}: which of the two are the "
            "classes cannot be told; leave one level of folders, that of the classes."
        )


def _outside(folder: Path, passed_over: PassedOver) -> None:
    """Count what stands in a folder that should hold folders only."""
    for child in _entries(folder):
        if is_leftover(child.name):
            passed_over.add(child.name)
        elif not child.is_dir():
            if child.name.lower().endswith(EXTENSIONS):
                passed_over.files[OUTSIDE] += 1
            else:
                passed_over.add(child.name)


def _subfolders(folder: Path) -> list[Path]:
    """Return the folders (and links to folders) in a folder that are no leftovers, sorted by name."""
    return sorted(child for child in _entries(folder) if not is_leftover(child.name) and child.is_dir())


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as error:
        raise DatasetError(f"{folder} cannot be read ({error.strerror}); check its permissions.") from error


def _class_images(root: Path, folder: Path, label: int, passed_over: PassedOver) -> list[_Image]:
    """Return the images anywhere below a class folder, sorted by path; links are followed."""
    images = []
    missed = PassedOver()
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
                    relative = f"{current}/{entry.name}"
                    if is_leftover(entry.name):
                        missed.add(entry.name)
                    elif entry.is_dir():
                        if entry.name.casefold() in _THUMBNAILS:
                            missed.leftovers[entry.name] += 1
                        else:
                            waiting.append(relative)
                    elif entry.name.lower().endswith(EXTENSIONS):
                        images.append(_Image(relative, label, cache.file_state(entry.stat())))
                    else:
                        missed.add(entry.name)
    except OSError as error:
        raise DatasetError(f"{error.filename} cannot be read ({error.strerror}); mend or remove it.") from error
    if not images:
        instead = f" that are read, but {told(missed.files)}" if missed.files else ""
        raise DatasetError(f"Class folder {folder} holds no images{instead}; add some or remove it.")
    passed_over.files.update(missed.files)
    passed_over.leftovers.update(missed.leftovers)
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


def _decoded(root: Path, images: list[_Image], options: Options) -> tuple[Bytes, Pictures]:
    """Return all images, uint8 (N, C, H, W), and what they were before, from the cache if no file changed since."""
    key = cache.fingerprint("image-folder", str(root.resolve()), options.image_size, options.channels, images)
    stored = cache.read(key)
    if stored is not None and stored["x"].dtype == np.uint8 and len(stored["x"]) == len(images):
        return stored["x"], Pictures(stored["pictures"])
    channels, height, width = shape = _shape(root, images, options)
    size = len(images) * channels * height * width
    if size > MAX_BYTES:
        raise DatasetError(
            f"{len(images)} images of {width}x{height} pixels would take {size / 2**30:.0f} GiB of memory; "
            "set a smaller dataset.image_size, in params.yaml or by --set of init and run."
        )
    x = np.empty((len(images), *shape), dtype=np.uint8)
    pictures = Pictures.empty(len(images))
    damaged: list[tuple[str, UnreadableImageError]] = []
    for index, image in enumerate(images):
        try:
            picture = decode(root / image.relative, channels, height, width)
        except UnreadableImageError as error:
            damaged.append((image.relative, error))
        else:
            x[index] = picture.pixels
            pictures.put(index, picture)
        _report(options, index + 1, len(images), "decoding images")
    _refuse(damaged, root, len(images))
    cache.write(key, {"x": x, "pictures": pictures.facts})
    return x, pictures


def _shape(root: Path, images: list[_Image], options: Options) -> tuple[int, int, int]:
    """Return the (channels, height, width) that all images get; reads the files' headers if need be."""
    sizes = set()
    grey = True
    if options.image_size is None or options.channels is None:
        damaged: list[tuple[str, UnreadableImageError]] = []
        for index, image in enumerate(images):
            try:
                size, is_grey = inspect(root / image.relative)
            except UnreadableImageError as error:
                damaged.append((image.relative, error))
            else:
                sizes.add(size)
                grey = grey and is_grey
            _report(options, index + 1, len(images), "looking at images")
        _refuse(damaged, root, len(images))
    channels = options.channels or (1 if grey else 3)
    if options.image_size is not None:
        return channels, options.image_size, options.image_size
    width, height = sizes.pop() if len(sizes) == 1 else (DEFAULT_SIZE, DEFAULT_SIZE)
    return channels, height, width


def _refuse(damaged: list[tuple[str, UnreadableImageError]], root: Path, count: int) -> None:
    """Refuse files that cannot be read, all at once: who mends one after the other starts as often."""
    if not damaged:
        return
    if len(damaged) == 1:
        raise damaged[0][1]
    named = "; ".join(f"{name} ({error.reason})" for name, error in damaged[:_NAMED])
    more = f"; and {len(damaged) - _NAMED:,} more" if len(damaged) > _NAMED else ""
    raise DatasetError(
        f"{root}: {len(damaged):,} of {count:,} images cannot be read: {named}{more}; remove or replace them."
    )


def _report(options: Options, done: int, total: int, what: str) -> None:
    if options.progress is not None and (done % 500 == 0 or done == total):
        options.progress(done, total, what)
