"""The files of CIFAR-10 and CIFAR-100: binary and python version, folder and archive."""

from __future__ import annotations

import lzma
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analognas.causes import wrong
from analognas.datasets import cache, restricted_pickle
from analognas.datasets.base import Bytes, Dataset, Integers, Options, Origin, assemble
from analognas.datasets.download import fetch
from analognas.datasets.published import Published
from analognas.datasets.splits import stratified_order
from analognas.errors import ContentError, DatasetError

LICENCE = "none stated"
VALIDATION_SHARE = 0.1
"""Share of the training images that becomes the validation part: 5,000 of 50,000."""
AUGMENT = ("crop", "flip")

_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class Format:
    """What tells the two sets apart.

    ``batches`` are the names of the files without ``.bin``, the test images last; ``label_bytes`` is how many label
    bytes a record begins with, of which the last one counts; ``labels`` is the key of the labels in the python
    version; ``metas`` are the files that name the classes (text, pickle) and ``names`` is their key in the pickle.
    """

    name: str
    title: str
    class_names: tuple[str, ...]
    batches: tuple[str, ...]
    label_bytes: int
    labels: str
    metas: tuple[str, str]
    names: str
    folders: tuple[str, ...]
    archives: tuple[str, ...]

    def wanted(self, name: str) -> bool:
        """Return whether a file of this name belongs to the set."""
        return name.removesuffix(".bin") in self.batches or name in self.metas


def load(form: Format, file: Published, options: Options) -> Dataset:
    """Return 45,000 images for training, 5,000 for validation (stratified), 10,000 for test.

    ``options.path`` is the folder of the binary or the python version, its parent, or the ``.tar.gz``; the
    digests do not depend on which. Without it the binary version is downloaded once into the cache folder.
    Raises ``DatasetError`` that names the file which cannot be used.
    """
    if options.path is None:
        source = fetch(file, what=form.title, progress=options.progress)
    else:
        source = _find(form, Path(options.path).expanduser())
    x, y, tests = _from_archive(form, source) if source.is_file() else _decode(form, _read_folder(form, source), source)
    trains = len(y) - tests
    order = stratified_order(y[:trains], seed=options.split_seed, purpose=form.name)
    cut = trains - round(trains * VALIDATION_SHARE)
    return assemble(
        form.name,
        x,
        y,
        {"train": order[:cut], "validation": order[cut:], "test": np.arange(trains, len(y))},
        class_names=form.class_names,
        licence=LICENCE,
        augment=AUGMENT,
        origin=Origin(files="images"),
    )


def _find(form: Format, path: Path) -> Path:
    """Return the folder or archive that ``path`` means: itself or what stands directly in it."""
    if not path.exists():
        raise DatasetError(f"There is no {path}; name the folder or the archive of {form.title} with --path.")
    if path.is_file():
        return path
    for folder in (path, *(path / name for name in form.folders)):
        if any((folder / name).is_file() or (folder / f"{name}.bin").is_file() for name in form.batches):
            return folder
    for name in form.archives:
        if (path / name).is_file():
            return path / name
    raise DatasetError(
        f"{path} holds neither {form.title}'s files ({form.batches[0]}.bin or {form.batches[0]}) nor its archive; "
        "name the right folder with --path, or use image-folder if it holds images."
    )


def _read_folder(form: Format, folder: Path) -> dict[str, bytes]:
    """Return the contents of the set's files in a folder, by name."""
    try:
        return {
            path.name: path.read_bytes()
            for path in sorted(folder.iterdir())
            if form.wanted(path.name) and path.is_file()
        }
    except OSError as error:
        raise DatasetError(f"{folder} cannot be read ({error.strerror}); check its permissions.") from error


def _from_archive(form: Format, archive: Path) -> tuple[Bytes, Integers, int]:
    """Return what ``_decode`` finds in a ``.tar.gz``; decoded once, then from the cache."""
    key = cache.fingerprint(form.name, str(archive.resolve()), cache.file_state(archive.stat()))
    stored = cache.read(key)
    if stored is not None:
        return stored["x"], stored["y"], int(stored["tests"])
    try:
        with tarfile.open(archive) as tar:
            files = dict(_members(form, tar))
            while tar.fileobj and tar.fileobj.read(1 << 20):  # gzip's checksum stands at the very end
                pass
    except (OSError, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise DatasetError(f"{archive} is not a whole tar archive; remove it and get it again.") from error
    x, y, tests = _decode(form, files, archive)
    cache.write(key, {"x": x, "y": y, "tests": np.asarray(tests)})
    return x, y, tests


def _members(form: Format, tar: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the set's files; nothing is unpacked to disk."""
    for member in tar:
        name = member.name.rsplit("/", 1)[-1]
        if member.isfile() and form.wanted(name):
            file = tar.extractfile(member)
            if file is not None:
                yield name, file.read()


def _decode(form: Format, files: dict[str, bytes], where: Path) -> tuple[Bytes, Integers, int]:
    """Return images (N, 3, 32, 32) and labels (N,), the test batch last, and the number of test images."""
    suffix = ".bin" if any(name.endswith(".bin") for name in files) else ""
    _check_classes(form, files, where)
    images, labels = [], []
    for batch in form.batches:
        name = batch + suffix
        if name not in files:
            raise DatasetError(f"{where} lacks {name}; {form.title} has it, so get the whole set again.")
        try:  # popped: not to hold everything twice
            x, y = _binary(form, files.pop(name)) if suffix else _python(form, files.pop(name))
        except ValueError as error:
            raise DatasetError(
                f"{name} in {where} is not a {form.title} file: {wrong(error)}; get it again."
            ) from error
        images.append(x)
        labels.append(y)
    return np.concatenate(images).reshape(-1, *_SHAPE), np.concatenate(labels), len(labels[-1])


def _check_classes(form: Format, files: dict[str, bytes], where: Path) -> None:
    """Refuse another dataset in the same format, if there is a file that names the classes."""
    for name in form.metas:
        if name not in files:
            continue
        try:
            class_names = _class_names(form, files[name], pickled=name == form.metas[1])
        except ValueError as error:
            raise DatasetError(
                f"{name} in {where} is not a {form.title} file: {wrong(error)}; get it again."
            ) from error
        if class_names != form.class_names:
            raise DatasetError(
                f"{name} in {where} does not name {form.title}'s classes; turn these images into a folder tree "
                "and use image-folder."
            )


def _class_names(form: Format, meta: bytes, *, pickled: bool) -> tuple[str, ...]:
    if not pickled:
        return tuple(meta.decode("latin1").split())
    names = restricted_pickle.loads(meta).get(form.names)
    if not isinstance(names, list):
        raise ContentError(f"it holds no list under {form.names!r}")
    return tuple(name.decode("latin1") if isinstance(name, bytes) else str(name) for name in names)


def _binary(form: Format, data: bytes) -> tuple[Bytes, Integers]:
    """Decode records of label bytes and 3,072 pixel bytes: channel by channel, row by row."""
    record = form.label_bytes + _PIXELS
    if not data or len(data) % record:
        raise ContentError(f"its size, {len(data)} bytes, is not a multiple of {record}")
    records = np.frombuffer(data, dtype=np.uint8).reshape(-1, record)
    return records[:, form.label_bytes :], _labels(form, records[:, form.label_bytes - 1])


def _python(form: Format, data: bytes) -> tuple[Bytes, Integers]:
    """Decode a pickled dictionary with ``data``, uint8 (N, 3072), and the labels, a list of N integers."""
    batch = restricted_pickle.loads(data)
    x, labels = batch.get("data"), batch.get(form.labels)
    if not isinstance(x, np.ndarray) or x.ndim != 2 or x.shape[1] != _PIXELS or not len(x):
        raise ContentError(f"it holds no images of {_PIXELS} bytes each under 'data'")
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise ContentError(f"it holds no list of integers under {form.labels!r}")
    if len(labels) != len(x):
        raise ContentError(f"it holds {len(x)} images but {len(labels)} labels")
    return x, _labels(form, np.asarray(labels, dtype=object))


def _labels(form: Format, labels: np.ndarray[Any, Any]) -> Integers:
    if labels.min() < 0 or labels.max() >= len(form.class_names):
        raise ContentError(
            f"it has labels from {labels.min()} to {labels.max()}; there are 0 to {len(form.class_names) - 1}"
        )
    return labels.astype(np.int64)
