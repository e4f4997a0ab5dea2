"""What results depend on besides parameters: the data itself and the versions of what computed them.

The drivers write both as small JSON files into the workspace, DVC sees them as parameters of the stages, and a
stage refuses to run against other data or versions than the ones recorded.
"""

from __future__ import annotations

from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analognas.errors import MismatchError, ParamsError
from analognas.files import json_bytes, read_object, write_json
from analognas.stages import PROTOCOLS, Progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analognas.datasets import Dataset
    from analognas.params import HardwareParams, Params
    from analognas.params_file import Draft
    from analognas.workspace import Paths

_PACKAGES = ("aihwkit", "scikit-learn", "torch", "xgboost")
_REMEDY = "`analognas doctor --update` records it anew, and the stages that depend on it run again"


def current_environment(hardware: HardwareParams) -> dict[str, Any]:
    """Return the protocol version of each stage, the versions of the packages that decide results, and the chip.

    The chip is "preset", or the id of what a name of another kind stands for just now: who edits the function of a chip
    of her own has another chip, though no parameter changed.
    """
    from analognas.hardware.presets import PRESETS

    chip = "preset"
    if hardware.rpu_config not in PRESETS:
        from analognas.stages._inputs import hardware_id

        chip = hardware_id(hardware)
    return {"protocol": dict(PROTOCOLS), **_versions(), "hardware": chip}


def _versions() -> dict[str, str]:
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


def prepare(
    paths: Paths, assignments: Sequence[str] = (), progress: Progress | None = None, *, held: bool = False
) -> Params:
    """Make a workspace ready to run and return its parameters.

    Writes the assignments (``section.key=value``) into ``params.yaml``; the rest is as for ``adopt``.
    """
    from analognas.params_file import Draft

    draft = Draft(paths.params)
    draft.assign(assignments)
    return adopt(draft, paths, progress, held=held)


def adopt(draft: Draft, paths: Paths, progress: Progress | None = None, *, held: bool = False) -> Params:
    """Make a workspace ready to run with new parameters and return them.

    Writes ``params.yaml``, and ``data/environment.json`` and ``data/dataset.json`` where they do not say what is true.
    Everything is looked at before anything is written.

    Args:
        draft: of the parameters.
        paths: the workspace.
        progress: called while the dataset is read.
        held: whether the caller holds the lock of the workspace, or nobody else knows the folder.

    Raises:
        InputError: if parameters, dataset or space are not valid; nothing is written then.
        WorkspaceError: if another run works in the workspace, or it cannot be written.
    """
    from analognas.datasets import describe
    from analognas.hardware import coverage
    from analognas.stages._inputs import space_of
    from analognas.workspace import alone

    coverage.begin()
    truth: dict[Path, dict[str, Any]] = {}
    lock = ExitStack()

    def accept(params: Params) -> None:
        truth[paths.dataset] = describe(load_dataset(params, paths, progress))
        space_of(params, truth[paths.dataset])
        check_parts(params)
        truth[paths.environment] = current_environment(params.hardware)
        if not held:  # a run that goes on keeps its parameters, and the files that it is about to finish
            lock.enter_context(alone(paths))
        paths.clean()  # the last look: whether the folder can be written

    with lock:
        params = draft.save(accept)
        for path, content in truth.items():
            if not path.exists() or path.read_bytes() != json_bytes(content):
                write_json(path, content)
    return params


def check_parts(params: Params) -> None:
    """Refuse optimizers, evaluators, chips and devices that are not there.

    Raises:
        InputError: with the remedy.
    """
    from analognas.evaluators.registry import EVALUATORS, evaluator_class
    from analognas.hardware import coverage
    from analognas.hardware.presets import PRESETS
    from analognas.hardware.rpu_config import overrides, rpu_config
    from analognas.search_algorithms.registry import optimizer_class

    optimizer_class(params.search.optimizer)
    if params.fit.evaluator not in EVALUATORS:  # those that ship need no look, and take long to load
        evaluator_class(params.fit.evaluator)
    if params.hardware.rpu_config not in PRESETS:
        coverage.check(params.hardware)
    elif overrides(params.hardware):
        rpu_config(params.hardware)
    if params.base.device != "cpu" and params.run.runner in ("processes", "serial"):  # workers elsewhere may have one
        import torch

        if not torch.cuda.is_available():
            raise ParamsError(f"base.device is {params.base.device}: torch finds no such device here; use cpu.")


def check_environment(paths: Paths, stage: str) -> None:
    """Refuse to run a stage with other versions than the recorded ones.

    Raises:
        MismatchError: naming what differs.
    """
    recorded = read_object(paths.environment, remedy=_REMEDY)
    protocols = recorded.get("protocol")
    now = _versions()
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
