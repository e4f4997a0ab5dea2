"""Worker processes that several task runs of a flow share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from analognas.errors import StageError
from analognas.orchestration import clusters
from analognas.stages.processes import end, start

Item = TypeVar("Item")


Result = TypeVar("Result")


class Pool:
    """Worker processes of one thread each that end with their parent; may be used from several threads.

    A worker that dies takes the work of the others with it (``BrokenProcessPool``); the next submission starts
    new workers.
    """

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._lock = threading.Lock()
        self._executor: ProcessPoolExecutor | None = start(self._processes)

    def submit(self, function: Callable[[Item], Result], item: Item) -> Future[Result]:
        """Call ``function`` with ``item`` in a worker, which imports it from the installed package.

        Raises:
            StageError: after :meth:`close`.
        """
        with self._lock:
            if self._executor is None:
                raise StageError("The workers have been ended because another characterization failed.")
            try:
                return self._executor.submit(function, item)
            except BrokenProcessPool:
                self._executor.shutdown()
                self._executor = start(self._processes)
                return self._executor.submit(function, item)

    def check(self) -> None:
        """Do nothing: a worker that died is told by its future."""

    def explain(self, error: BaseException) -> BaseException:
        """Return what to raise for an error of a future."""
        return StageError(clusters.ANOTHER_FAILED) if isinstance(error, CancelledError) else error

    def close(self) -> None:
        """End the workers, also in the middle of their work."""
        with self._lock:
            executor, self._executor = self._executor, None
        if executor is not None:
            end(executor)
