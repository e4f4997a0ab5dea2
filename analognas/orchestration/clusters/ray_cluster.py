"""Ray: an instance of this machine, or the one at ``run.address``."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from analognas.errors import StageError
from analognas.orchestration.clusters.base import (
    ANOTHER_FAILED,
    KEEPS_DYING,
    NO_WORKER_SECONDS,
    RETRIES,
    Result,
    refuse,
    unreachable,
)
from analognas.orchestration.clusters.worker import checked, examine, wanted_of

if TYPE_CHECKING:
    from analognas.params import RunParams
    from analognas.stages.characterize import Job


class RayCluster:
    """A Ray instance: of this machine, or the one at an address; each characterization takes one CPU."""

    def __init__(self, run: RunParams, jobs: Sequence[Job]) -> None:
        import ray
        from prefect_ray import RayTaskRunner

        from analognas.stages.processes import workers

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
                raise unreachable(run, error) from error
            self.workers = max(1, int(ray.cluster_resources().get("CPU", 1)))
            self._call = ray.remote(num_cpus=1, max_retries=RETRIES)(checked)
            asked = ray.remote(num_cpus=1)(examine).remote(wanted_of(jobs))
            try:
                answer = ray.get(asked, timeout=NO_WORKER_SECONDS)
            except ray.exceptions.GetTimeoutError:
                raise StageError(
                    f"Ray at {run.address or 'this machine'} has had no free CPU for "
                    f"{NO_WORKER_SECONDS // 60} minutes: add nodes, or wait until others are done; then run again."
                ) from None
            refuse("Ray", {"of the first task": answer})
            self._stack = stack.pop_all()

    def submit(self, function: Callable[[Job], Result], item: Job) -> Future[Result]:
        """Call ``function`` with ``item`` in a worker."""
        if self._closed.is_set():
            raise StageError(ANOTHER_FAILED)
        future: Future[Result] = self._call.remote(function, item).future()
        return future

    def check(self) -> None:
        """Do nothing: Ray tells by the futures."""

    def explain(self, error: BaseException) -> BaseException:
        """Return what to raise for an error of a future."""
        from ray.exceptions import RayError, RayTaskError

        if isinstance(error, RayTaskError):
            cause = error.cause
            return cause if isinstance(cause, BaseException) else error
        if self._closed.is_set():
            return StageError(ANOTHER_FAILED)
        return StageError(KEEPS_DYING) if isinstance(error, RayError) else error

    def close(self) -> None:
        """Take back what is not done and let go of the workers."""
        if not self._closed.is_set():
            self._closed.set()
            self._stack.close()
