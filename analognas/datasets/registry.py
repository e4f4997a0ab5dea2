"""Datasets by name.

A dataset is a function from ``Options`` to ``Dataset``. ``register`` gives it a name in this process; as
``module:function`` it can be named in ``params.yaml`` without registration, which worker processes understand
too.
"""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from analognas.datasets.base import SPLIT_SEED, Dataset, Options, Progress
from analognas.errors import DatasetError

Loader = Callable[[Options], Dataset]


def _always() -> bool:
    return True


@dataclass(frozen=True)
class Entry:
    """A dataset that can be loaded by name, and what is known of it before it is.

    ``loader`` may be given as ``module:function``, imported when it is first needed. ``input_shape`` is
    (channels, height, width); it and ``classes`` are ``None`` where the data decide. ``accepts`` names the
    fields of ``Options`` that the dataset reads; ``available`` tells, without reading the data, whether it
    can be loaded without a download; ``note`` is one line on how to get it.
    """

    name: str
    loader: Loader | str
    licence: str
    source: str
    input_shape: tuple[int, int, int] | None = None
    classes: int | None = None
    accepts: frozenset[str] = frozenset()
    available: Callable[[], bool] = _always
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable description; ``available`` as it is now."""
        return {
            "name": self.name,
            "input_shape": None if self.input_shape is None else list(self.input_shape),
            "classes": self.classes,
            "licence": self.licence,
            "source": self.source,
            "available": self.available(),
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
    """Return the names of all datasets, in the order of registration."""
    return [entry.name for entry in _entries.values()]


def catalogue() -> list[Entry]:
    """Return what is known of all datasets, in the order of registration."""
    return list(_entries.values())


def load(
    name: str,
    *,
    path: str | None = None,
    image_size: int | None = None,
    channels: int | None = None,
    split_seed: int = SPLIT_SEED,
    progress: Progress | None = None,
) -> Dataset:
    """Return a dataset by name (case and ``-``, ``_`` are ignored) or by ``module:function``.

    ``path`` is the folder of its files, ``image_size`` the side of the images in pixels, ``channels`` 1 or 3;
    a dataset that does not read one of these refuses it. Raises ``DatasetError`` with the remedy for an
    unknown name, missing or damaged files and options that do not fit.
    """
    options = Options(path, image_size, channels, split_seed, progress)
    if ":" in name:
        return _call(_imported(name), options, name)
    entry = _entries.get(_key(name))
    if entry is None:
        nearest = difflib.get_close_matches(_key(name), _entries, n=1, cutoff=0.5)
        hint = f"did you mean {_entries[nearest[0]].name!r}? " if nearest else ""
        raise DatasetError(f"There is no dataset {name!r}; {hint}there are {', '.join(names())}.")
    for option in ("path", "image_size", "channels"):
        value = getattr(options, option)
        if value is not None and option not in entry.accepts:
            raise DatasetError(
                f"Dataset {entry.name} takes no {option} (it was {value!r}); leave dataset.{option} out, "
                "or use image-folder for images of your own."
            )
    loader = _imported(entry.loader) if isinstance(entry.loader, str) else entry.loader
    return _call(loader, options, entry.name)


def _key(name: str) -> str:
    return re.sub(r"[-_\s]", "", name).casefold()


def _imported(target: str) -> Loader:
    """Return the function that ``module:function`` names."""
    module, _, function = target.partition(":")
    try:
        loader: Loader = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise DatasetError(
            f"Dataset {target!r} cannot be imported ({error}); give module:function of an installed module."
        ) from error
    return loader


def _call(loader: Loader, options: Options, name: str) -> Dataset:
    dataset = loader(options)
    if not isinstance(dataset, Dataset):
        raise DatasetError(f"The loader of dataset {name!r} returned {type(dataset).__name__}, not a Dataset.")
    return dataset


def _cifar10_available() -> bool:
    from analognas.datasets import cifar10

    return cifar10.available()


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
        available=_cifar10_available,
        note="downloaded at first use (170 MB), or --path to its folder or archive",
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
