"""Worker processes: one characterization per process, one thread each, and none outlives its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, TypeVar

from analognas.errors import StageError
from analognas.hardware.silence import silence

Item = TypeVar("Item")
Result = TypeVar("Result")

_PR_SET_PDEATHSIG = 1
#: How often workers may end without a result in between.
ATTEMPTS = 3
KEEPS_ENDING = (
    f"Worker processes ended {ATTEMPTS} times without a result; is there enough memory? "
    "What was finished is kept: run again, with a smaller run.workers. (A script of your own has to begin its work "
    'below `if __name__ == "__main__":`, since each worker reads it first; or set run.runner to serial.)'
)


def _initialise(parent: int) -> None:
    """Prepare a worker process: one thread, silent of what its parent says, and an end when that ends."""
    silence()
    os.environ["OMP_NUM_THREADS"] = "1"
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # PR_SET_PDEATHSIG follows the thread that forked; the watch also covers other platforms and the moment before.
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def workers(requested: int | None) -> int:
    """Return how many processes to use: what was asked for, or one per CPU this process may use."""
    return requested or len(os.sched_getaffinity(0))


def start(processes: int) -> ProcessPoolExecutor:
    """Return worker processes of one thread each that end with this one."""
    context = get_context("spawn")
    return ProcessPoolExecutor(processes, context, initializer=_initialise, initargs=(os.getpid(),))


def end(pool: ProcessPoolExecutor) -> None:
    """End worker processes, also in the middle of their work: it is cheap to lose, and long to wait for."""
    results: Any = pool._result_queue
    for process in list((pool._processes or {}).values()):
        process.terminate()
    # A worker may have been writing: with this end open the pool would wait for the rest of what it wrote, for ever.
    results._writer.close()
    # Not `cancel_futures`: what is cancelled so never wakes those that wait for it, and whether that or the breaking of
    # the pool comes first is a matter of luck. A broken pool tells all.
    pool.shutdown(wait=True)


class Pool:
    """Worker processes of one thread each that end with this one; may be used from several threads.

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

    def close(self) -> None:
        """End the workers, also in the middle of their work."""
        with self._lock:
            executor, self._executor = self._executor, None
        if executor is not None:
            end(executor)


def each(
    function: Callable[[Item], Result], items: Sequence[Item], processes: int | Pool
) -> Iterator[tuple[int, Result]]:
    """Yield the index of every item with its result as they are finished, computed in worker processes.

    A worker that is ended from outside (out of memory, say) is replaced, and what it was doing is tried again.
    ``processes`` says how many there are, or is a pool of the caller's, which stays as it is: to start a worker, which
    loads torch, takes seconds.

    Raises:
        StageError: if workers end three times without a result in between.
    """
    if not items:
        return
    todo, failures = list(range(len(items))), 0
    pool = processes if isinstance(processes, Pool) else Pool(min(processes, len(items)))
    try:
        while todo and failures < ATTEMPTS:
            waiting: dict[Future[Any], int] = {pool.submit(function, items[index]): index for index in todo}
            failures += 1
            while waiting:
                finished, _ = wait(waiting, return_when=FIRST_COMPLETED)
                # Results first: when a worker dies, what others had finished at that moment is not done again.
                for future in sorted(finished, key=lambda future: future.exception() is not None):
                    index = waiting.pop(future)
                    if isinstance(future.exception(), BrokenProcessPool):
                        continue  # it is tried again
                    yield index, future.result()
                    todo.remove(index)
                    failures = 0
    finally:
        if pool is not processes:
            pool.close()
    if todo:
        raise StageError(KEEPS_ENDING)
