"""What results depend on besides parameters, as it is recorded in the workspace: the data and the versions.

A stage refuses to run against other data or versions than the recorded ones.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast

from analognas.errors import AnalogNASWarning, CorruptFileError, MismatchError
from analognas.files import read_sealed
from analognas.progress import Progress
from analognas.stages.protocols import PROTOCOLS

if TYPE_CHECKING:
    from analognas.datasets import Dataset
    from analognas.datasets.records import Description
    from analognas.params import Params
    from analognas.workspace import Paths

Versions = TypedDict("Versions", {"aihwkit": str, "scikit-learn": str, "torch": str, "xgboost": str})


class Environment(Versions):
    """What ``data/environment.json`` records besides: protocols of stages, ``identity.chip``, ``identity.prior``."""

    protocol: dict[str, int]
    hardware: str
    prior: str


_PACKAGES: tuple[Literal["aihwkit", "scikit-learn", "torch", "xgboost"], ...] = (
    "aihwkit", "scikit-learn", "torch", "xgboost",
)  # fmt: skip
#: What stands for no prior.
NO_PRIOR = "none"
_REMEDY = "`analognas doctor --update` records it anew, and the stages that depend on it run again"


def package_versions() -> Versions:
    """Return the versions of the packages that decide results."""
    return cast("Versions", {package: version(package) for package in _PACKAGES})


def load_dataset(params: Params, paths: Paths, progress: Progress | None = None) -> Dataset:
    """Return the dataset that the parameters name; a relative path is relative to the workspace."""
    from analognas.datasets import load

    return load(**dataset_arguments(params, paths), progress=progress)


def dataset_arguments(params: Params, paths: Paths) -> dict[str, Any]:
    """Return the arguments of ``datasets.load`` that the parameters stand for."""
    if params.dataset.path is None:
        return params.dataset.model_dump()
    return params.dataset.model_dump() | {"path": str(place(params.dataset.path, paths))}


def place(named: str, paths: Paths) -> Path:
    """Return where something is that the parameters name; a relative path is relative to the workspace."""
    path = Path(named).expanduser()
    there = paths.root / path
    if not there.exists() and (paths.home / path).exists():  # git does not carry it into DVC's copy for an experiment
        return paths.home / path
    return there


def check_environment(paths: Paths, stage: str, chip: str, prior: str | None = None) -> None:
    """Refuse to run a stage with other versions, another chip, or another prior, than the recorded ones.

    Args:
        paths: of the workspace.
        stage: its name.
        chip: what ``identity.chip`` says of the chip just now.
        prior: what ``identity.prior`` says of the prior, where the stage starts from it.

    Raises:
        MismatchError: naming what differs.
    """
    recorded = read_sealed(paths.environment, remedy=_REMEDY)
    protocols = recorded.get("protocol")
    now = package_versions()
    names = [f"protocol of {stage}", *_PACKAGES, "hardware"]
    pairs = [
        (protocols.get(stage) if isinstance(protocols, dict) else None, PROTOCOLS[stage]),
        *((recorded.get(package), now[package]) for package in _PACKAGES),
        (recorded.get("hardware"), chip),
    ]
    if prior is not None:
        names.append("prior")
        pairs.append((recorded.get("prior", NO_PRIOR), prior))
    for name, (then, is_now) in zip(names, pairs, strict=True):
        if then != is_now:
            raise MismatchError(f"data/environment.json records {name} {then}, here it is {is_now}: {_REMEDY}.")


#: What was found of a dataset, by the arguments of its loading, while a run goes on.
_looked_at: ContextVar[dict[str, Description] | None] = ContextVar("analognas_dataset", default=None)


@contextmanager
def one_look() -> Iterator[None]:
    """Load a dataset once within this block to see what it is, however often that is asked.

    A run has one look at its data; the workers that train on them load them, too, and compare the digests.
    """
    outer = _looked_at.get()
    token = _looked_at.set({} if outer is None else outer)
    try:
        yield
    finally:
        _looked_at.reset(token)


def describe_dataset(params: Params, paths: Paths, progress: Progress | None = None) -> Description:
    """Return what the dataset is, as ``data/dataset.json`` says it; see ``one_look``.

    Raises:
        DatasetError: if it cannot be loaded.
    """
    from analognas.datasets import describe
    from analognas.datasets.looking import doubts, look, recorded

    known = _looked_at.get()
    key = json.dumps(dataset_arguments(params, paths), sort_keys=True)
    if known is not None and key in known:
        return known[key]
    dataset = load_dataset(params, paths, progress)
    looked = look(dataset)
    for doubt in doubts(looked):
        warnings.warn(f"dataset {dataset.name}: {doubt}", AnalogNASWarning, stacklevel=2)
    description: Description = {**describe(dataset), "looked": recorded(looked)}
    if known is not None:
        known[key] = description
    return description


def check_dataset(params: Params, paths: Paths) -> Description:
    """Return what the dataset is, after comparing it with ``data/dataset.json``.

    Raises:
        MismatchError: if it is not the recorded one.
    """
    recorded = read_sealed(paths.dataset, remedy=_REMEDY)
    now = describe_dataset(params, paths)
    for key, value in now.items():
        if key != "looked" and recorded.get(key) != value:
            raise MismatchError(
                f"data/dataset.json records {key} {recorded.get(key)!r}, the dataset has {value!r}: {_REMEDY}."
            )
    return now


_RECORDED = "`analognas run` writes it, or `analognas doctor --update`"


def recorded_dataset(paths: Paths) -> Description:
    """Return the recorded description of the dataset."""
    description = read_sealed(paths.dataset, remedy=_RECORDED)
    missing = [key for key in ("name", "input_shape", "classes", "digest", "split_digest") if key not in description]
    if missing:
        raise CorruptFileError(f"{paths.dataset} is damaged (no {missing[0]}): {_RECORDED}.")
    return cast("Description", description)
