"""Fashion-MNIST (Xiao et al., arXiv 1708.07747): 70,000 grey images of 28x28 pixels in 10 classes, as IDX files."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

from analognas.causes import wrong
from analognas.datasets.base import Bytes, Dataset, Integers, Options, Origin, assemble
from analognas.datasets.download import fetch
from analognas.datasets.published import FASHION_MNIST as FILES
from analognas.datasets.splits import stratified_order
from analognas.errors import DatasetError

LICENCE = "MIT"
CLASS_NAMES = (
    "t-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
VALIDATION_SHARE = 0.1
"""Share of the training images that becomes the validation part: 6,000 of 60,000."""

_UNSIGNED_BYTE = 0x08
# images and labels of the training part, then of the test part; the name in front of .gz
_NAMES = tuple(file.name.removesuffix(".gz") for file in FILES)


def load(options: Options) -> Dataset:
    """Return 54,000 images for training, 6,000 for validation (stratified), 10,000 for test, shape (1, 28, 28).

    ``options.path`` is a folder with the four IDX files, compressed (``.gz``) or not; the digests do not depend on
    which. Without it they are downloaded once into the cache folder.
    Raises ``DatasetError`` that names the file which cannot be used.
    """
    if options.path is None:
        paths = [fetch(file, what="Fashion-MNIST", progress=options.progress) for file in FILES]
    else:
        paths = _find(Path(options.path).expanduser())
    (train_x, train_y), (test_x, test_y) = (_pair(*paths[start : start + 2]) for start in (0, 2))
    trains = len(train_y)
    order = stratified_order(train_y, seed=options.split_seed, purpose="fashion-mnist")
    cut = trains - round(trains * VALIDATION_SHARE)
    return assemble(
        "fashion-mnist",
        np.concatenate([train_x, test_x])[:, np.newaxis],
        np.concatenate([train_y, test_y]),
        {"train": order[:cut], "validation": order[cut:], "test": np.arange(trains, trains + len(test_y))},
        class_names=CLASS_NAMES,
        licence=LICENCE,
        augment=("crop", "flip"),
        origin=Origin(files="images"),
    )


def _find(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DatasetError(f"There is no folder {folder}; name the one with Fashion-MNIST's IDX files with --path.")
    paths = []
    for name in _NAMES:
        path = next((folder / f"{name}{end}" for end in ("", ".gz") if (folder / f"{name}{end}").is_file()), None)
        if path is None:
            raise DatasetError(f"{folder} lacks {name} (or {name}.gz); Fashion-MNIST has it, so get it again.")
        paths.append(path)
    return paths


def _pair(images: Path, labels: Path) -> tuple[Bytes, Integers]:
    """Return images (N, 28, 28) and labels (N,)."""
    x = _read(images, dimensions=3)
    y = _read(labels, dimensions=1)
    if x.shape[1:] != (28, 28):
        raise DatasetError(f"{images} has images of {x.shape[1]}x{x.shape[2]}, not 28x28: it is not Fashion-MNIST.")
    if len(x) != len(y):
        raise DatasetError(f"{images} has {len(x)} images but {labels} {len(y)} labels; get both again.")
    if y.max() >= len(CLASS_NAMES):
        raise DatasetError(f"{labels} has labels up to {y.max()}; there are 0 to 9: it is not Fashion-MNIST.")
    return x, y.astype(np.int64)


def _read(path: Path, dimensions: int) -> Bytes:
    """Return the array in an IDX file: two zero bytes, type, number of dimensions, big-endian sizes, data."""
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DatasetError(f"{path} cannot be read ({wrong(error)}); get it again.") from error
    header = 4 + 4 * dimensions
    if len(data) < header or data[:4] != bytes([0, 0, _UNSIGNED_BYTE, dimensions]):
        raise DatasetError(f"{path} is not an IDX file of unsigned bytes in {dimensions} dimensions; get it again.")
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", dimensions, offset=4))
    size = int(np.prod(shape, dtype=object))
    if not size or len(data) != header + size:
        raise DatasetError(
            f"{path} holds {len(data) - header} bytes where {'x'.join(map(str, shape))} are announced; get it again."
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)
