"""What results depend on besides parameters, as it is recorded in the workspace: the data and the versions.

A stage refuses to run against other data or versions than the recorded ones.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analognas.errors import CorruptFileError, MismatchError
from analognas.files import read_object
from analognas.progress import Progress
from analognas.stages.protocols import PROTOCOLS

if TYPE_CHECKING:
    from analognas.datasets import Dataset
    from analognas.params import Params
    from analognas.workspace import Paths

_PACKAGES = ("aihwkit", "scikit-learn", "torch", "xgboost")
_REMEDY = "`analognas doctor --update` records it anew, and the stages that depend on it run again"


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that decide results."""
    return {package: version(package) for package in _PACKAGES}


def load_dataset(params: Params, paths: Paths, progress: Progress | None = None) -> Dataset:
    """Return the dataset that the parameters name; a relative path is relative to the workspace."""
    from analognas.datasets import load

    return load(**dataset_arguments(params, paths), progress=progress)


def dataset_arguments(params: Params, paths: Paths) -> dict[str, Any]:
    """Return the arguments of ``datasets.load`` that the parameters stand for."""
    path = params.dataset.path
    place = None if path is None else str(paths.root / Path(path).expanduser())
    return params.dataset.model_dump() | {"path": place}


def check_environment(paths: Paths, stage: str) -> None:
    """Refuse to run a stage with other versions than the recorded ones.

    Raises:
        MismatchError: naming what differs.
    """
    recorded = read_object(paths.environment, remedy=_REMEDY)
    protocols = recorded.get("protocol")
    now = package_versions()
    names = [f"protocol of {stage}", *_PACKAGES]
    pairs = [
        (protocols.get(stage) if isinstance(protocols, dict) else None, PROTOCOLS[stage]),
        *((recorded.get(package), now[package]) for package in _PACKAGES),
    ]
    for name, (then, is_now) in zip(names, pairs, strict=True):
        if then != is_now:
            raise MismatchError(f"data/environment.json records {name} {then}, here it is {is_now}: {_REMEDY}.")


def check_dataset(params: Params, paths: Paths) -> Dataset:
    """Return the dataset after comparing it with ``data/dataset.json``.

    Raises:
        MismatchError: if it is not the recorded one.
    """
    from analognas.datasets import describe

    dataset = load_dataset(params, paths)
    recorded = read_object(paths.dataset, remedy=_REMEDY)
    now = describe(dataset)
    for key, value in now.items():
        if recorded.get(key) != value:
            raise MismatchError(
                f"data/dataset.json records {key} {recorded.get(key)!r}, the dataset has {value!r}: {_REMEDY}."
            )
    return dataset


_RECORDED = "`analognas run` writes it, or `analognas doctor --update`"


def recorded_dataset(paths: Paths) -> dict[str, Any]:
    """Return the recorded description of the dataset."""
    description = read_object(paths.dataset, remedy=_RECORDED)
    missing = [key for key in ("name", "input_shape", "classes", "digest", "split_digest") if key not in description]
    if missing:
        raise CorruptFileError(f"{paths.dataset} is damaged (no {missing[0]}): {_RECORDED}.")
    return description
