"""The real CIFAR-10 (Krizhevsky 2009): 60,000 RGB images of 32x32 pixels in 10 classes."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from analognas.datasets import cache, restricted_pickle
from analognas.datasets.base import Bytes, Dataset, Integers, Options, assemble
from analognas.datasets.download import fetch
from analognas.datasets.splits import stratified_order
from analognas.errors import DatasetError

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
LICENCE = "none stated"
CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
VALIDATION_SHARE = 0.1
"""Share of the training images that becomes the validation part: 5,000 of 50,000."""

_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32
_BATCHES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")
_FOLDERS = ("cifar-10-batches-bin", "cifar-10-batches-py")
_ARCHIVES = ("cifar-10-binary.tar.gz", "cifar-10-python.tar.gz")


def load(options: Options) -> Dataset:
    """Return CIFAR-10: 45,000 images for training, 5,000 for validation (stratified), 10,000 for test.

    ``options.path`` is the folder of the binary or the python version, its parent, or the ``.tar.gz``; the
    digests do not depend on which. Without it the binary version is downloaded once into the cache folder.
    """
    if options.path is None:
        source = fetch(URL, MD5, what="CIFAR-10", progress=options.progress)
    else:
        source = _find(Path(options.path).expanduser())
    x, y, tests = _from_archive(source) if source.is_file() else _decode(_read_folder(source), source)
    trains = len(y) - tests
    order = stratified_order(y[:trains], seed=options.split_seed, purpose="cifar10")
    cut = trains - round(trains * VALIDATION_SHARE)
    return assemble(
        "cifar10",
        x,
        y,
        {"train": order[:cut], "validation": order[cut:], "test": np.arange(trains, len(y))},
        class_names=CLASS_NAMES,
        licence=LICENCE,
    )


def available() -> bool:
    """Tell whether the archive was downloaded already."""
    return (cache.folder() / URL.rsplit("/", 1)[-1]).is_file()


def _find(path: Path) -> Path:
    """Return the folder or archive that ``path`` means: itself or what stands directly in it."""
    if not path.exists():
        raise DatasetError(f"There is no {path}; name the folder or the archive of CIFAR-10 with --path.")
    if path.is_file():
        return path
    for folder in (path, *(path / name for name in _FOLDERS)):
        if any((folder / name).is_file() or (folder / f"{name}.bin").is_file() for name in _BATCHES):
            return folder
    for name in _ARCHIVES:
        if (path / name).is_file():
            return path / name
    raise DatasetError(
        f"{path} holds neither CIFAR-10's files (data_batch_1.bin or data_batch_1) nor its archive; "
        "name the right folder with --path, or use image-folder if it holds images."
    )


def _read_folder(folder: Path) -> dict[str, bytes]:
    """Return the contents of CIFAR-10's files in a folder, by name."""
    try:
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if _wanted(path.name)}
    except OSError as error:
        raise DatasetError(f"{folder} cannot be read ({error.strerror}); check its permissions.") from error


def _from_archive(archive: Path) -> tuple[Bytes, Integers, int]:
    """Return what ``_decode`` finds in a ``.tar.gz``; decoded once, then from the cache."""
    key = cache.fingerprint("cifar10", str(archive.resolve()), cache.file_state(archive.stat()))
    stored = cache.read(key)
    if stored is not None:
        return stored["x"], stored["y"], int(stored["tests"])
    try:
        with tarfile.open(archive) as tar:
            files = dict(_members(tar))
            while tar.fileobj and tar.fileobj.read(1 << 20):  # gzip's checksum stands at the very end
                pass
    except (OSError, tarfile.TarError, EOFError, zlib.error) as error:
        raise DatasetError(f"{archive} is not a whole tar archive ({error}); remove it and get it again.") from error
    x, y, tests = _decode(files, archive)
    cache.write(key, {"x": x, "y": y, "tests": np.asarray(tests)})
    return x, y, tests


def _members(tar: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of CIFAR-10's files; nothing is unpacked to disk."""
    for member in tar:
        name = member.name.rsplit("/", 1)[-1]
        if member.isfile() and _wanted(name):
            file = tar.extractfile(member)
            if file is not None:
                yield name, file.read()


def _wanted(name: str) -> bool:
    return name.removesuffix(".bin") in _BATCHES or name in ("batches.meta.txt", "batches.meta")


def _decode(files: dict[str, bytes], where: Path) -> tuple[Bytes, Integers, int]:
    """Return images (N, 3, 32, 32) and labels (N,), the test batch last, and the number of test images."""
    suffix = ".bin" if any(name.endswith(".bin") for name in files) else ""
    _check_classes(files, where)
    images, labels = [], []
    for batch in _BATCHES:
        name = batch + suffix
        if name not in files:
            raise DatasetError(f"{where} lacks {name}; CIFAR-10 has it, so get the whole set again.")
        try:  # popped: not to hold everything twice
            x, y = _binary(files.pop(name)) if suffix else _python(files.pop(name))
        except ValueError as error:
            raise DatasetError(f"{name} in {where} is not a CIFAR-10 file: {error}; get it again.") from error
        images.append(x)
        labels.append(y)
    return np.concatenate(images).reshape(-1, *_SHAPE), np.concatenate(labels), len(labels[-1])


def _check_classes(files: dict[str, bytes], where: Path) -> None:
    """Refuse another dataset in the same format, if there is a file that names the classes."""
    for name in ("batches.meta.txt", "batches.meta"):
        if name not in files:
            continue
        try:
            found = _class_names(files[name], pickled=name == "batches.meta")
        except ValueError as error:
            raise DatasetError(f"{name} in {where} is not a CIFAR-10 file: {error}; get it again.") from error
        if found != CLASS_NAMES:
            raise DatasetError(
                f"{name} in {where} does not name CIFAR-10's classes; turn these images into a folder tree "
                "and use image-folder."
            )


def _class_names(meta: bytes, *, pickled: bool) -> tuple[str, ...]:
    if not pickled:
        return tuple(meta.decode("latin1").split())
    names = restricted_pickle.loads(meta).get("label_names")
    if not isinstance(names, list):
        raise ValueError("it holds no list under 'label_names'")
    return tuple(name.decode("latin1") if isinstance(name, bytes) else str(name) for name in names)


def _binary(data: bytes) -> tuple[Bytes, Integers]:
    """Decode records of one label byte and 3,072 pixel bytes: channel by channel, row by row."""
    record = 1 + _PIXELS
    if not data or len(data) % record:
        raise ValueError(f"its size, {len(data)} bytes, is not a multiple of {record}")
    records = np.frombuffer(data, dtype=np.uint8).reshape(-1, record)
    return records[:, 1:], _labels(records[:, 0])


def _python(data: bytes) -> tuple[Bytes, Integers]:
    """Decode a pickled dictionary with ``data``, uint8 (N, 3072), and ``labels``, a list of N integers."""
    batch = restricted_pickle.loads(data)
    x, labels = batch.get("data"), batch.get("labels")
    if not isinstance(x, np.ndarray) or x.ndim != 2 or x.shape[1] != _PIXELS or not len(x):
        raise ValueError(f"it holds no images of {_PIXELS} bytes each under 'data'")
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise ValueError("it holds no list of integers under 'labels'")
    if len(labels) != len(x):
        raise ValueError(f"it holds {len(x)} images but {len(labels)} labels")
    return x, _labels(np.asarray(labels, dtype=object))


def _labels(labels: np.ndarray[Any, Any]) -> Integers:
    if labels.min() < 0 or labels.max() >= len(CLASS_NAMES):
        raise ValueError(f"it has labels from {labels.min()} to {labels.max()}; there are 0 to 9")
    return labels.astype(np.int64)
