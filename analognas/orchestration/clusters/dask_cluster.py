"""Dask: a cluster of this machine, or the one at ``run.address``."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any

from analognas.errors import StageError
from analognas.orchestration.clusters.base import (
    ANOTHER_FAILED,
    CONNECT_SECONDS,
    FIRST_WORKER_SECONDS,
    KEEPS_DYING,
    NO_WORKER_SECONDS,
    Result,
    refuse,
    unreachable,
)
from analognas.orchestration.clusters.worker import checked, examine, wanted_of

if TYPE_CHECKING:
    from analognas.params import RunParams
    from analognas.stages.characterize import Job


class DaskCluster:
    """A Dask cluster: of this machine, one process per worker, or the one at an address."""

    def __init__(self, run: RunParams, jobs: Sequence[Job]) -> None:
        from prefect_dask import DaskTaskRunner

        from analognas.stages.processes import workers

        self._run, self._closed, self._seen = run, threading.Event(), time.monotonic()
        options: dict[str, Any] = {"address": run.address, "client_kwargs": {"timeout": CONNECT_SECONDS}}
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
                raise unreachable(run, error) from error
            self.workers = self._ready(wanted_of(jobs))
            self._executor = self._client.get_executor(pure=False)
            self._stack = stack.pop_all()

    def submit(self, function: Callable[[Job], Result], item: Job) -> Future[Result]:
        """Call ``function`` with ``item`` in a worker."""
        if self._closed.is_set():
            raise StageError(ANOTHER_FAILED)
        future: Future[Result] = self._executor.submit(checked, function, item)
        future.add_done_callback(self._saw_a_worker)
        return future

    def check(self) -> None:
        """Raise StageError if nothing can come back any more."""
        try:
            there = bool(self._client.nthreads())
        except OSError:
            there = False
        if there:
            self._saw_a_worker()
        elif time.monotonic() - self._seen > NO_WORKER_SECONDS:
            raise StageError(
                f"The Dask cluster at {self._run.address or 'this machine'} has had no workers for "
                f"{NO_WORKER_SECONDS // 60} minutes. What was finished is kept: start workers, then run again."
            )

    def explain(self, error: BaseException) -> BaseException:
        """Return what to raise for an error of a future."""
        from distributed import KilledWorker

        if isinstance(error, CancelledError):
            if self._closed.is_set():
                return StageError(ANOTHER_FAILED)
            return StageError(
                f"The connection to the Dask scheduler at {self._run.address or 'this machine'} was lost. "
                "What was finished is kept: run again when it is back."
            )
        return StageError(KEEPS_DYING) if isinstance(error, KilledWorker) else error

    def close(self) -> None:
        """Take back what is not done and let go of the workers."""
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
            self._client.wait_for_workers(1, timeout=FIRST_WORKER_SECONDS)
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
        answers = self._client.run(examine, wanted, on_error="return")
        refuse("Dask", answers)
        return len(threads)
