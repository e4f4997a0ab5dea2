"""Characterizations side by side in a flow: one Prefect task run per chunk, the work itself in other processes.

They only fill the result store; the stage ``characterize`` then finds nothing left to measure.

Prefect's own process runner was tried and is not used: every worker of it starts an ephemeral server of its own
(28 to 41 s before the first result, on two cores) that outlives a killed worker, and one killed worker ends all
other task runs, because the pool is not renewed and its retries happen inside the worker. So task runs stay in
threads of the driver, and only ``analognas.stages.characterize.measure`` leaves the process. Dask and Ray
(:mod:`analognas.orchestration.clusters`) take the place of the pool, nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any

from analognas.errors import AnalogNASError, StageError
from analognas.hardware import coverage
from analognas.orchestration import clusters
from analognas.orchestration.artifacts import Characterizing
from analognas.orchestration.pool import Pool
from analognas.orchestration.sessions import current, going_on
from analognas.stages.processes import ATTEMPTS as ATTEMPTS
from analognas.stages.processes import KEEPS_ENDING, Item, workers

if TYPE_CHECKING:
    from analognas.orchestration.sessions import Session
    from analognas.rows import ResultRow
    from analognas.stages.characterize import Job


#: What is the machine's fault and not the architecture's.
_MACHINE = (BrokenProcessPool, MemoryError, ConnectionError)
#: More task runs than this tell nobody more.
_MOST_CHUNKS = 64
#: How long nothing may come back before a cluster is asked whether anything can.
_SILENT_SECONDS = 30.0


def measure_pending(chunk_task: Any) -> None:
    """Characterize what has no result yet, if that stage is not up to date, by a task that calls ``measure_chunk``.

    Raises StageError if workers keep dying or the cluster cannot be reached (what was finished is kept), and
    MismatchError if the data or the versions are not the recorded ones.
    """
    from analognas.stages import characterize as stage
    from analognas.stages import lookup

    run = current()
    if run.reasons("characterize"):
        with run.timed("characterize"):
            if lookup.is_table(run.params):  # that takes no worker's time
                stage.look_up(run.params, run.paths)
            else:
                measure_all(run, chunk_task)


def measure_chunk(chunk: int) -> int:
    """Characterize the architectures of one chunk and store each result at once: the body of a Prefect task.

    Returns:
        How many were characterized.
    """
    run = going_on()
    chunks = None if run is None else run.chunks
    if chunks is None:
        raise StageError("No characterization is going on: only `measure_pending` maps over chunks.")
    return chunks.measure(chunk)


def worth_another_attempt(_task: Any, _run: Any, state: Any) -> bool:
    """Return whether a task run failed because of the machine (for Prefect's ``retry_condition_fn``)."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, _MACHINE)


def chunked(jobs: Sequence[Item], processes: int) -> list[list[Item]]:
    """Return the jobs in at most 64 chunks of about equal size (more only if there are more processes)."""
    count = min(len(jobs), max(_MOST_CHUNKS, processes))
    return [list(jobs[start::count]) for start in range(count)]


Workers = Pool | clusters.Cluster


class _Work:
    """The characterizations that are going on."""

    def __init__(self, run: Session, jobs: Sequence[Job]) -> None:
        self._here = run
        self._lock = threading.Lock()
        self._number, self._done, self._cost = len(jobs), 0, 0.0
        self._total_cost = sum(job.cost for job in jobs)
        self._artifact = Characterizing(len(jobs))
        settings, place = run.params.run, ""
        self.pool: Workers
        if settings.runner in clusters.RUNNERS:
            self.pool = clusters.connect(run.params, jobs)
            self.processes, place = (
                self.pool.workers,
                f" by {self.pool.workers} workers of {settings.runner.capitalize()}",
            )
        else:
            self.processes = 1 if settings.runner == "serial" else workers(settings.workers)
            self.pool = Pool(min(self.processes, len(jobs)))
        # The largest first, so that no long one is left for the end.
        self.chunks = chunked(sorted(jobs, key=lambda job: -job.cost), self.processes)
        # A cluster is given all at once: it has a scheduler, and workers that come later find something to do.
        self.side_by_side = len(self.chunks) if place else self.processes
        run.progress("characterize", 0, self._total_cost, f"{len(jobs)} architectures to characterize{place}")

    def measure(self, number: int) -> int:
        from analognas.stages import characterize as stage

        todo = self.chunks[number]
        size = len(todo)
        futures = {self.pool.submit(stage.measure, job): job for job in todo}
        machine: BaseException | None = None
        for future in self._finished(futures):
            try:
                job, result = futures[future], future.result()
            except _MACHINE as error:
                machine = error  # the others of the chunk are finished and stored first
                continue
            except AnalogNASError:
                raise
            except Exception as error:
                explained = self.pool.explain(error)
                if explained is error:  # an error that is its own cause has no end for who follows the causes
                    raise
                raise explained from error
            stage.store(job, result, self._here.paths)
            todo.remove(job)  # another attempt leaves it out
            self._tell(job, result, stage.describe(result))
        if machine is not None:
            raise machine
        return size

    def _finished(self, futures: Iterable[Future[Any]]) -> Iterator[Future[Any]]:
        """Yield futures as they are finished, and look after the cluster while none is."""
        waiting = set(futures)
        while waiting:
            finished, waiting = wait(waiting, timeout=_SILENT_SECONDS, return_when=FIRST_COMPLETED)
            if not finished:
                self.pool.check()
            # Results first: what was finished when another one failed is stored.
            yield from sorted(finished, key=lambda future: future.cancelled() or future.exception() is not None)

    def _tell(self, job: Job, result: ResultRow, text: str) -> None:
        with self._lock:
            self._done += 1
            self._cost += job.cost
            text = f"{self._done} of {self._number}, {text}"
            self._here.progress("characterize", self._cost, self._total_cost, text)
            self._artifact.add(result)


def measure_all(run: Session, chunk_task: Any) -> None:
    """Characterize what has no result yet, whether or not the stage is up to date; see :func:`measure_pending`."""
    from prefect.futures import as_completed as prefect_as_completed
    from prefect.task_runners import ThreadPoolTaskRunner

    from analognas.stages import characterize as stage
    from analognas.stages.identity import chip
    from analognas.stages.recorded import check_environment

    check_environment(run.paths, "characterize", chip(run.params.hardware))
    jobs = stage.pending(run.params, run.paths)
    if not jobs:
        return
    coverage.tell(run.params.hardware)
    run.chunks = work = _Work(run, jobs)
    try:
        threads: ThreadPoolTaskRunner[int] = ThreadPoolTaskRunner(max_workers=work.side_by_side)
        with threads as runner:
            try:
                futures = runner.map(chunk_task, {"chunk": list(range(len(work.chunks)))})
                for future in prefect_as_completed(futures):
                    future.result()
            finally:
                work.pool.close()
    except BrokenProcessPool as error:
        raise StageError(KEEPS_ENDING) from error
    finally:
        run.chunks = None
