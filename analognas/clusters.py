"""Characterizations by Dask or Ray, here or on other machines: ``run.runner`` and ``run.address``.

Prefect's task runners start the cluster or connect to it. What goes to its workers is a plain function of the installed
package: a task run there would need Prefect's API, so every worker would have to reach the server, and would start one
of its own where that is the driver's ephemeral one. Task runs stay in the driver, as with processes; there the engine's
futures come back one by one, and each result is stored at once.

Nothing here is loaded before it is asked for but the standard library: workers import this module.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from urllib.parse import urlsplit

from analognas.errors import MismatchError, ParamsError, StageError

if TYPE_CHECKING:
    from analognas.params import Params, RunParams
    from analognas.stages.characterize import Job

Result = TypeVar("Result")

#: The values of ``run.runner`` that are engines of their own, and what each needs.
RUNNERS = {"dask": ("distributed", "prefect_dask"), "ray": ("ray", "prefect_ray")}

#: Said of a characterization that was taken back.
ANOTHER_FAILED = "The characterization was ended because another one failed."

#: How often an engine tries again what ended its worker (Dask's default).
_RETRIES = 3
_CONNECT_SECONDS = 5
_FIRST_WORKER_SECONDS = 30
#: So long a cluster may be without workers in the middle of a run: they may be on their way back.
_NO_WORKER_SECONDS = 300
_PROBED = ("", "tcp", "tls", "ws", "wss", "ray")
_VERSIONS = ("analognas", "aihwkit", "torch")

# aihwkit draws from torch's global generator, so two characterizations in one process would spoil each other.
_turn = threading.Lock()


class Cluster(Protocol):
    """Workers of an engine, as a flow uses them."""

    workers: int
    """How many there were at the start."""

    def submit(self, function: Callable[[Job], Result], item: Job) -> Future[Result]:
        """Call ``function`` with ``item`` in a worker."""

    def check(self) -> None:
        """Raise StageError if nothing can come back any more."""

    def explain(self, error: BaseException) -> BaseException:
        """Return what to raise for an error of a future: one sentence for what the engine says."""

    def close(self) -> None:
        """Take back what is not done and let go of the workers; those of this machine end."""


def check(params: Params) -> None:
    """Refuse a runner that is not installed and an address where nobody answers, before anything else is begun.

    Raises:
        ParamsError: naming the extra that is missing.
        StageError: if nobody listens at the address.
    """
    run = params.run
    if run.runner not in RUNNERS or params.characterize.source != "training":  # what is looked up needs no workers
        return
    if any(importlib.util.find_spec(module) is None for module in RUNNERS[run.runner]):
        raise ParamsError(
            f"run.runner {run.runner} is not installed: pip install 'analognas[{run.runner}]', or set run.runner to "
            "processes."
        )
    address = urlsplit(run.address if "//" in (run.address or "") else f"//{run.address}")
    if run.address in (None, "auto") or address.scheme not in _PROBED:
        return
    try:
        with socket.create_connection((address.hostname, address.port), timeout=_CONNECT_SECONDS) as line:
            if run.runner == "dask" and address.scheme in ("", "tcp"):
                _greeted(line)
    except OSError as error:
        raise _unreachable(run, error) from error


def connect(params: Params, jobs: Sequence[Job]) -> Cluster:
    """Start the workers of ``run.runner``, or connect to those at ``run.address``, and look whether they will do.

    Raises:
        ParamsError: if the extra is not installed.
        StageError: if they cannot be reached, or one of them cannot do the work; it says why.
    """
    check(params)
    return _Dask(params.run, jobs) if params.run.runner == "dask" else _Ray(params.run, jobs)


def checked(function: Callable[[Job], Result], job: Job) -> Result:
    """Call a function in a worker: one at a time, whatever threads it has, and only if the key will be true of it.

    Raises:
        MismatchError: if versions or the hardware description are others than those that the job was made with.
    """
    from analognas.hardware import coverage
    from analognas.stages import PROTOCOLS, _inputs

    with _turn:
        inputs = job.inputs
        here = {"protocol": PROTOCOLS["characterize"], **{name: _version(name) for name in _VERSIONS if name in inputs}}
        differing = {name: value for name, value in here.items() if inputs.get(name) != value}
        if not differing and inputs.get("hardware") not in (None, _inputs.hardware_id(job.hardware)):
            differing = {"hardware": job.hardware.rpu_config}
        if differing:
            raise MismatchError(_differs(*next(iter(differing.items())), socket.gethostname()))
        with coverage.silent():  # the driver has told
            return function(job)


def look(wanted: Mapping[str, Any]) -> str:
    """Return what a worker lacks (empty: nothing), called on each before the work begins.

    Args:
        wanted: ``versions`` by package, ``modules`` that must be importable, and the ``path`` of the dataset or None.
    """
    for name, expected in wanted["versions"].items():
        found = _version(name)
        if found != expected:
            return f"has {name} {found} where the driver has {expected}: install the same version"
    for module in wanted["modules"]:
        if importlib.util.find_spec(module.partition(".")[0]) is None:
            return f"has no module {module}: install it there, or start the worker with its folder in PYTHONPATH"
    path = wanted["path"]
    if path is not None and not Path(path).exists():
        return f"does not see the dataset at {path}: mount it there at the same path"
    return ""


def wanted_of(jobs: Sequence[Job]) -> dict[str, Any]:
    """Return what ``look`` asks a worker for."""
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


class _Dask:
    """A Dask cluster: of this machine, one process per worker, or the one at an address."""

    def __init__(self, run: RunParams, jobs: Sequence[Job]) -> None:
        from prefect_dask import DaskTaskRunner

        from analognas.workers import workers

        self._run, self._closed, self._seen = run, threading.Event(), time.monotonic()
        options: dict[str, Any] = {"address": run.address, "client_kwargs": {"timeout": _CONNECT_SECONDS}}
        if run.address is None:
            options = {
                "cluster_kwargs": {
                    "n_workers": min(workers(run.workers), len(jobs)),
                    "threads_per_worker": 1,
                    "host": "127.0.0.1",
                    # The scheduler's page listens in any case: here only, where there is room, without the dashboard.
                    "dashboard_address": "127.0.0.1:0",
                    "scheduler_kwargs": {"dashboard": False},
                    "memory_limit": 0,  # the machine's own limit holds, as with processes
                    "silence_logs": logging.CRITICAL,
                }
            }
        with contextlib.ExitStack() as stack:
            runner = stack.enter_context(DaskTaskRunner(**options))
            try:
                self._client = runner.client
            except (OSError, ValueError) as error:
                raise _unreachable(run, error) from error
            self.workers = self._ready(wanted_of(jobs))
            self._executor = self._client.get_executor(pure=False)
            self._stack = stack.pop_all()

    def submit(self, function: Callable[[Job], Result], item: Job) -> Future[Result]:
        if self._closed.is_set():
            raise StageError(ANOTHER_FAILED)
        future: Future[Result] = self._executor.submit(checked, function, item)
        future.add_done_callback(self._saw_a_worker)
        return future

    def check(self) -> None:
        try:
            there = bool(self._client.nthreads())
        except OSError:
            there = False
        if there:
            self._saw_a_worker()
        elif time.monotonic() - self._seen > _NO_WORKER_SECONDS:
            raise StageError(
                f"The Dask cluster at {self._run.address or 'this machine'} has had no workers for "
                f"{_NO_WORKER_SECONDS // 60} minutes. What was finished is kept: start workers, then run again."
            )

    def explain(self, error: BaseException) -> BaseException:
        from distributed import KilledWorker

        if isinstance(error, CancelledError):
            if self._closed.is_set():
                return StageError(ANOTHER_FAILED)
            return StageError(
                f"The connection to the Dask scheduler at {self._run.address or 'this machine'} was lost. "
                "What was finished is kept: run again when it is back."
            )
        return StageError(_KEEPS_DYING) if isinstance(error, KilledWorker) else error

    def close(self) -> None:
        if not self._closed.is_set():
            self._closed.set()
            self._executor.shutdown(wait=False)  # cancels what is not done
            self._stack.close()

    def _saw_a_worker(self, _future: Future[Any] | None = None) -> None:
        self._seen = time.monotonic()

    def _ready(self, wanted: Mapping[str, Any]) -> int:
        """Return how many workers there are, all of them able to do the work."""
        where = f"The Dask scheduler at {self._run.address}"
        try:
            self._client.wait_for_workers(1, timeout=_FIRST_WORKER_SECONDS)
        except TimeoutError:
            raise StageError(
                f"{where} has no workers: start some with `dask worker {self._run.address} --nthreads 1`."
            ) from None
        threads: dict[str, int] = self._client.nthreads()
        several = sorted(address for address, count in threads.items() if count != 1)
        if several:
            raise StageError(
                f"{len(several)} of the {len(threads)} Dask workers have more than one thread ({several[0]}), but a "
                "process characterizes one architecture at a time: start them with `--nthreads 1 --nworkers N`."
            )
        answers = self._client.run(look, wanted, on_error="return")
        _refuse("Dask", answers)
        return len(threads)


class _Ray:
    """A Ray instance: of this machine, or the one at an address; each characterization takes one CPU."""

    def __init__(self, run: RunParams, jobs: Sequence[Job]) -> None:
        import ray
        from prefect_ray import RayTaskRunner

        from analognas.workers import workers

        self._run, self._closed = run, threading.Event()
        options: dict[str, Any] = {"log_to_driver": False}
        if run.address is None:
            options |= {
                "num_cpus": min(workers(run.workers), len(jobs)),
                "include_dashboard": False,
                "_node_ip_address": "127.0.0.1",
                "logging_level": logging.CRITICAL,
            }
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(RayTaskRunner(run.address, options))
            except (OSError, RuntimeError, ValueError) as error:
                raise _unreachable(run, error) from error
            self.workers = max(1, int(ray.cluster_resources().get("CPU", 1)))
            self._call = ray.remote(num_cpus=1, max_retries=_RETRIES)(checked)
            asked = ray.remote(num_cpus=1)(look).remote(wanted_of(jobs))
            try:
                answer = ray.get(asked, timeout=_NO_WORKER_SECONDS)
            except ray.exceptions.GetTimeoutError:
                raise StageError(
                    f"Ray at {run.address or 'this machine'} has had no free CPU for "
                    f"{_NO_WORKER_SECONDS // 60} minutes: add nodes, or wait until others are done; then run again."
                ) from None
            _refuse("Ray", {"of the first task": answer})
            self._stack = stack.pop_all()

    def submit(self, function: Callable[[Job], Result], item: Job) -> Future[Result]:
        if self._closed.is_set():
            raise StageError(ANOTHER_FAILED)
        future: Future[Result] = self._call.remote(function, item).future()
        return future

    def check(self) -> None:
        pass  # Ray tells by the futures

    def explain(self, error: BaseException) -> BaseException:
        from ray.exceptions import RayError, RayTaskError

        if isinstance(error, RayTaskError):
            cause = error.cause
            return cause if isinstance(cause, BaseException) else error
        if self._closed.is_set():
            return StageError(ANOTHER_FAILED)
        return StageError(_KEEPS_DYING) if isinstance(error, RayError) else error

    def close(self) -> None:
        if not self._closed.is_set():
            self._closed.set()
            self._stack.close()


_KEEPS_DYING = (
    f"The same characterization ended its workers {_RETRIES + 1} times; is there enough memory on them? "
    "What was finished is kept: run again."
)


def _greeted(line: socket.socket) -> None:
    """Raise OSError unless a Dask server answers: it speaks first, and its client would wait for that for ever."""
    try:
        size = line.recv(8)
    except TimeoutError:
        size = b""
    if len(size) < 8 or not 0 < int.from_bytes(size, "little") < 1 << 20:  # of a greeting, which is short
        raise ConnectionError("what listens there is no Dask scheduler")


def _refuse(engine: str, answers: Mapping[str, Any]) -> None:
    """Raise StageError for the first worker that lacks something."""
    for address, answer in sorted(answers.items()):
        if isinstance(answer, BaseException):
            answer = f"cannot load analognas ({type(answer).__name__}: {answer}): install the same version there"
        if answer:
            raise StageError(f"{engine} worker {address} {answer}.")


def _unreachable(run: RunParams, error: BaseException) -> StageError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    if run.address is None:
        return StageError(f"{run.runner.capitalize()} cannot start workers on this machine ({reason}).")
    return StageError(
        f"No {run.runner.capitalize()} cluster can be reached at run.address {run.address} ({reason}): start it, or "
        "set run.runner to processes."
    )


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
