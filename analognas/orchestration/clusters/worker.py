"""What runs in the workers of a cluster: whether they will do, and the work itself.

Nothing here is loaded before it is asked for but the standard library: workers import this module.
"""

from __future__ import annotations

import importlib.util
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analognas.errors import MismatchError
from analognas.orchestration.clusters.base import Result

if TYPE_CHECKING:
    from analognas.stages.characterize import Job

_VERSIONS = ("analognas", "aihwkit", "torch")


# aihwkit draws from torch's global generator, so two characterizations in one process would spoil each other.
_turn = threading.Lock()


def checked(function: Callable[[Job], Result], job: Job) -> Result:
    """Call a function in a worker: one at a time, whatever threads it has, and only if the key will be true of it.

    Raises:
        MismatchError: if versions or the hardware description are others than those that the job was made with.
    """
    from analognas.hardware.silence import silent
    from analognas.stages import PROTOCOLS, identity

    with _turn:
        inputs = job.inputs
        actual = {
            "protocol": PROTOCOLS["characterize"],
            **{name: _version(name) for name in _VERSIONS if name in inputs},
        }
        differing = {name: value for name, value in actual.items() if inputs.get(name) != value}
        if not differing and inputs.get("hardware") not in (None, identity.hardware_id(job.hardware)):
            differing = {"hardware": job.hardware.rpu_config}
        if differing:
            raise MismatchError(_differs(*next(iter(differing.items())), socket.gethostname()))
        with silent():  # the driver has told
            return function(job)


def examine(wanted: Mapping[str, Any]) -> str:
    """Return what a worker lacks (empty: nothing), called on each before the work begins.

    Args:
        wanted: ``versions`` by package, ``modules`` that must be importable, and the ``path`` of the dataset or None.
    """
    for name, expected in wanted["versions"].items():
        installed = _version(name)
        if installed != expected:
            return f"has {name} {installed} where the driver has {expected}: install the same version"
    for module in wanted["modules"]:
        if importlib.util.find_spec(module.partition(".")[0]) is None:
            return f"has no module {module}: install it there, or start the worker with its folder in PYTHONPATH"
    path = wanted["path"]
    if path is not None and not Path(path).exists():
        return f"does not see the dataset at {path}: mount it there at the same path"
    return ""


def wanted_of(jobs: Sequence[Job]) -> dict[str, Any]:
    """Return what ``examine`` asks a worker for."""
    named = {
        name
        for job in jobs
        for name in (job.architecture.space.family, job.hardware.rpu_config, str(dict(job.dataset.given)["name"]))
    }
    return {
        "versions": {name: _version(name) for name in _VERSIONS},
        "modules": sorted({name.partition(":")[0] for name in named if ":" in name}),
        "path": dict(jobs[0].dataset.given).get("path"),
    }


def _differs(name: str, value: Any, host: str) -> str:
    return (
        f"A worker on {host} has another {name} ({value}) than the driver, so its result would be another one: "
        "install the same there."
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
