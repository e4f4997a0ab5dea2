"""Datasets by name.

A dataset is a function from ``Options`` to ``Dataset``. ``register`` gives it a name in this process; as
``module:function`` it can be named in ``params.yaml`` without registration, which worker processes understand
too.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from analognas import plugins
from analognas.causes import own_code
from analognas.datasets import published
from analognas.datasets.base import SPLIT_SEED, Dataset, Options, checked_augmentations
from analognas.datasets.published import Published
from analognas.datasets.reduction import reduced
from analognas.errors import AnalogNASError, DatasetError
from analognas.progress import Progress

Loader = Callable[[Options], Dataset]
_OPTIONS = ("path", "image_size", "channels", "features", "seconds", "classes")


def _always() -> bool:
    return True


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Entry:
    """A dataset that can be loaded by name, and what is known of it before it is.

    ``loader`` may be given as ``module:function``, imported when it is first needed. ``input_shape`` is
    (channels, height, width); it and ``classes`` are ``None`` where the data decide. ``accepts`` names the
    fields of ``Options`` that the dataset reads; ``files`` are what ``analognas datasets fetch`` downloads;
    ``available`` tells, without reading the data, whether it can be loaded without a download; ``note`` is one line
    on how to get it.
    """

    name: str
    loader: Loader | str
    licence: str
    source: str
    input_shape: tuple[int, int, int] | None = None
    classes: int | None = None
    accepts: frozenset[str] = frozenset()
    files: tuple[Published, ...] = ()
    available: Callable[[], bool] = _always
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable description; ``available`` and the files in the cache as they are now."""
        return {
            "name": self.name,
            "input_shape": None if self.input_shape is None else list(self.input_shape),
            "classes": self.classes,
            "licence": self.licence,
            "source": self.source,
            "available": self.available() and all(file.path.is_file() for file in self.files),
            "download_bytes": sum(file.size for file in self.files),
            "note": self.note,
        }


_entries: dict[str, Entry] = {}


def register(entry: Entry) -> None:
    """Add a dataset; ``DatasetError`` if its name (without case, ``-`` and ``_``) is taken."""
    key = _key(entry.name)
    if key in _entries:
        raise DatasetError(f"There is a dataset {_entries[key].name!r} already; give yours another name.")
    _entries[key] = entry


def names() -> list[str]:
    """Return the names of all datasets, in the order of registration, then those of installed packages."""
    return [entry.name for entry in catalogue()]


def catalogue() -> list[Entry]:
    """Return what is known of all datasets, in the order of registration, then those of installed packages."""
    return [*_entries.values(), *_added()]


def problem(entry: Entry) -> str | None:
    """Return why a dataset that a package adds cannot be used, None if it can; imports the package's module."""
    if entry in _entries.values() or callable(entry.loader):
        return None
    try:
        find(entry.name)
        _imported(entry.loader)
    except DatasetError as error:
        return str(error)
    return None


def load(
    name: str,
    *,
    path: str | None = None,
    image_size: int | None = None,
    channels: int | None = None,
    features: str | None = None,
    seconds: float | None = None,
    classes: int | None = None,
    per_class: int | None = None,
    augment: Sequence[str] | None = None,
    split_seed: int = SPLIT_SEED,
    progress: Progress | None = None,
) -> Dataset:
    """Return a dataset by name (case and ``-``, ``_`` are ignored) or by ``module:function``.

    ``path`` is the folder of its files, ``image_size`` the side of the images in pixels, ``channels`` 1 or 3,
    ``features``, ``seconds`` and ``classes`` are those of ``kws``; a dataset that does not read one of these
    refuses it. ``per_class`` keeps some images only, see ``reduced``. ``augment`` names what happens to training
    images (``None``: the dataset's own choice). Raises ``DatasetError`` with the remedy for an unknown name,
    missing or damaged files and options that do not fit.
    """
    options = Options(path, image_size, channels, features, seconds, classes, split_seed, progress)
    chosen = None if augment is None else checked_augmentations(augment)
    dataset = _loaded(name, options)
    if per_class is not None:
        dataset = reduced(dataset, per_class)
    return dataset if chosen is None else replace(dataset, augment=chosen)


def find(name: str) -> Entry:
    """Return what is known of a dataset (case and ``-``, ``_`` are ignored); ``DatasetError`` if there is none."""
    entry = _entries.get(_key(name))
    if entry is None:
        added = [candidate for candidate in _added() if _key(candidate.name) == _key(name)]
        if len(added) > 1:
            packages = " and ".join(candidate.source for candidate in added)
            raise DatasetError(f"{packages} both add the dataset {name!r}: uninstall one, or write module:function.")
        entry = next(iter(added), None)
    if entry is None:
        known = {_key(known_name): known_name for known_name in names()}
        nearest = difflib.get_close_matches(_key(name), known, n=1, cutoff=0.5)
        if (Path(name).name != name or not nearest) and Path(name).expanduser().exists():
            raise DatasetError(
                f"{name} is a file or folder, not a dataset's name: name what reads it (image-folder for pictures, kws "
                f"for recordings, arrays for NumPy files), and give it as the path, as in `image-folder --path {name}`."
            )
        hint = f"did you mean {known[nearest[0]]!r}? " if nearest else ""
        raise DatasetError(f"There is no dataset {name!r}; {hint}there are {', '.join(names())}.")
    return entry


def canonical(name: str) -> str:
    """Return the name under which a dataset that ships is known, any other name as it is."""
    entry = _entries.get(_key(name))
    return name if entry is None else entry.name


def _loaded(name: str, options: Options) -> Dataset:
    if ":" in name:
        return _call(_imported(name), options, name)
    entry = find(name)
    for option in _OPTIONS:
        value = getattr(options, option)
        if value is not None and option not in entry.accepts:
            raise DatasetError(
                f"Dataset {entry.name} takes no {option} (it was {value!r}); leave dataset.{option} out, "
                "or use image-folder for images of your own."
            )
    loader = _imported(entry.loader) if isinstance(entry.loader, str) else entry.loader
    return _call(loader, options, entry.name)


def _added() -> list[Entry]:
    """Return the datasets that installed packages add: a package's own name for a loader of its own."""
    return [
        Entry(
            plugin.name,
            plugin.target,
            f"see {plugin.package}",
            plugin.package,
            accepts=frozenset(_OPTIONS),
            note=f"from {plugin.package}",
        )
        for plugin in plugins.plugins("dataset")
    ]


def _key(name: str) -> str:
    return re.sub(r"[-_\s]", "", name).casefold()


def _imported(target: str) -> Loader:
    """Return the function that ``module:function`` names."""
    loader: Loader = plugins.load(target, f"Dataset {target!r}", DatasetError)
    if not callable(loader):
        raise DatasetError(f"Dataset {target!r} is no function but a {type(loader).__name__}: name its loader.")
    return loader


def _call(loader: Loader, options: Options, name: str) -> Dataset:
    try:
        dataset = loader(options)
    except AnalogNASError:
        raise
    except Exception as error:  # one of the user's own may fail in any way
        raise DatasetError(f"The loader of dataset {name!r} fails ({own_code(error)}): mend it.") from error
    if not isinstance(dataset, Dataset):
        raise DatasetError(f"The loader of dataset {name!r} returned {type(dataset).__name__}, not a Dataset.")
    return dataset


register(
    Entry(
        "digits",
        "analognas.datasets.digits:load",
        licence="CC BY 4.0",
        source="UCI Optical Recognition of Handwritten Digits, as it comes with scikit-learn",
        input_shape=(1, 8, 8),
        classes=10,
        note="embedded; nothing to download",
    )
)
register(
    Entry(
        "cifar10",
        "analognas.datasets.cifar10:load",
        licence="none stated; cite Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images",
        source="https://www.cs.toronto.edu/~kriz/cifar.html",
        input_shape=(3, 32, 32),
        classes=10,
        accepts=frozenset({"path"}),
        files=published.CIFAR10,
        note="downloaded at first use (170 MB), or --path to its folder or archive",
    )
)
register(
    Entry(
        "cifar100",
        "analognas.datasets.cifar100:load",
        licence="none stated; cite Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images",
        source="https://www.cs.toronto.edu/~kriz/cifar.html",
        input_shape=(3, 32, 32),
        classes=100,
        accepts=frozenset({"path"}),
        files=published.CIFAR100,
        note="downloaded at first use (169 MB), or --path to its folder or archive",
    )
)
register(
    Entry(
        "fashion-mnist",
        "analognas.datasets.fashion_mnist:load",
        licence="MIT",
        source="https://github.com/zalandoresearch/fashion-mnist",
        input_shape=(1, 28, 28),
        classes=10,
        accepts=frozenset({"path"}),
        files=published.FASHION_MNIST,
        note="downloaded at first use (31 MB), or --path to the folder of its four IDX files",
    )
)
register(
    Entry(
        "kws",
        "analognas.datasets.kws:load",
        licence="CC BY 4.0 (Speech Commands v2), or that of your recordings",
        source="https://arxiv.org/abs/1804.03209, or your own folder of WAV files",
        input_shape=(1, 49, 10),
        classes=12,
        accepts=frozenset({"path", "image_size", "features", "seconds", "classes"}),
        files=published.SPEECH_COMMANDS,
        note="downloaded at first use (2.4 GB), or --path to its folder or archive, or to recordings of your own",
    )
)
register(
    Entry(
        "vww",
        "analognas.datasets.vww:load",
        licence="annotations CC BY 4.0; photographs by the terms of Flickr",
        source="https://cocodataset.org, labelled as in https://arxiv.org/abs/1906.05721",
        input_shape=(3, 96, 96),
        classes=2,
        accepts=frozenset({"path", "image_size", "channels"}),
        available=_never,
        note="needs --path DIR, the folder of COCO 2017 or 2014",
    )
)


def _bench_available() -> bool:
    from importlib.util import find_spec

    return find_spec("analognasbench") is not None


register(
    Entry(
        "analognas-bench",
        "analognas.datasets.analognas_bench:load",
        licence="none stated; cite arXiv 2506.18495",
        source="the package analog-nasbench: published results on CIFAR-10, no images",
        input_shape=(3, 32, 32),
        classes=10,
        available=_bench_available,
        note="for characterize.source analognas-bench; pip install 'analognas[bench]'",
    )
)
register(
    Entry(
        "image-folder",
        "analognas.datasets.image_folder:load",
        licence="that of your images",
        source="your own folder: CLASS/*.jpg, or train/, validation/, test/ with CLASS/*.jpg each",
        accepts=frozenset({"path", "image_size", "channels"}),
        note="needs --path DIR",
    )
)
register(
    Entry(
        "arrays",
        "analognas.datasets.arrays:load",
        licence="that of your arrays",
        source="your own .npz file: x and y, or x_train, y_train, x_test, ...",
        accepts=frozenset({"path"}),
        note="needs --path FILE",
    )
)
