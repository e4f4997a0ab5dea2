import pickle
import subprocess
import sys
import threading
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from analognas.errors import CorruptFileError, StageError
from analognas.orchestration import characterizing
from analognas.orchestration.characterizing import chunked, worth_another_attempt
from analognas.params import Params, RunParams
from analognas.stages import characterize, run_stage
from analognas.workspace import Paths


@pytest.mark.parametrize(
    ("jobs", "processes", "count"), [(0, 2, 0), (3, 2, 3), (64, 2, 64), (1000, 2, 64), (300, 100, 100)]
)
def test_chunks_are_few_and_even_and_leave_nothing_out(jobs: int, processes: int, count: int):
    made = chunked(list(range(jobs)), processes)
    assert len(made) == count
    assert sorted(job for chunk in made for job in chunk) == list(range(jobs))
    assert not made or max(map(len, made)) - min(map(len, made)) <= 1


@pytest.mark.parametrize(("runner", "processes"), [("processes", 3), ("serial", 1)])
def test_the_longest_trainings_come_first(monkeypatch: pytest.MonkeyPatch, runner: Any, processes: int):
    monkeypatch.setattr(characterizing, "Pool", lambda processes: processes)
    monkeypatch.setattr(characterizing, "Characterizing", lambda total: None)
    jobs: Any = [SimpleNamespace(cost=cost) for cost in (3, 1, 6, 5, 2, 4)]
    params = Params(run=RunParams(workers=3, runner=runner))
    here: Any = SimpleNamespace(params=params, progress=lambda *_: None)
    work = characterizing._Work(here, jobs)
    assert [job.cost for chunk in work.chunks for job in chunk] == [6, 5, 4, 3, 2, 1]
    assert (work.processes, work.pool) == (processes, processes)


def test_a_cluster_is_given_everything_at_once(monkeypatch: pytest.MonkeyPatch):
    told: list[str] = []
    pool = SimpleNamespace(workers=2)
    monkeypatch.setattr(characterizing.clusters, "connect", lambda params, jobs: pool)
    monkeypatch.setattr(characterizing, "Characterizing", lambda total: None)
    jobs: Any = [SimpleNamespace(cost=1)] * 5
    here: Any = SimpleNamespace(params=Params(run=RunParams(runner="dask")), progress=lambda *now: told.append(now[-1]))
    work = characterizing._Work(here, jobs)
    assert (work.pool, work.processes, len(work.chunks), work.side_by_side) == (pool, 2, 5, 5)
    assert told == ["5 architectures to characterize by 2 workers of Dask"]


class Told:
    """A cluster that says nothing, then what it means by an error."""

    def __init__(self, future: Future[Any]) -> None:
        self.future, self.checks = future, 0

    def submit(self, function: Any, job: Any) -> Future[Any]:
        return self.future

    def check(self) -> None:
        self.checks += 1
        if self.checks == 2:
            self.future.set_exception(OSError("something of the engine"))

    def explain(self, error: BaseException) -> BaseException:
        return StageError(f"explained: {error}")


def test_a_silent_cluster_is_looked_after_and_its_errors_are_explained(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(characterizing, "_SILENT_SECONDS", 0.01)
    work: Any = characterizing._Work.__new__(characterizing._Work)
    work.chunks, work.pool = [["job"]], Told(Future())
    with pytest.raises(StageError, match="explained: something of the engine"):
        work.measure(0)
    assert work.pool.checks == 2


def _work_of(futures: dict[str, Future[Any]], stored: list[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the work of one chunk whose results are these."""
    monkeypatch.setattr(characterize, "store", lambda job, *_: stored.append(job))
    monkeypatch.setattr(characterize, "describe", lambda _: "")
    work: Any = characterizing._Work.__new__(characterizing._Work)
    work._here, work._tell = SimpleNamespace(paths=None), lambda *_: None
    work.chunks = [list(futures)]
    work.pool = SimpleNamespace(submit=lambda _, job: futures[job], explain=lambda one: one, check=lambda: None)
    return work


def test_what_was_finished_when_another_one_failed_comes_first_and_an_error_is_not_its_own_cause(
    monkeypatch: pytest.MonkeyPatch,
):
    futures: dict[str, Future[Any]] = {name: Future() for name in ("fails", "works")}
    error = ValueError("a defect")
    futures["fails"].set_exception(error)
    futures["works"].set_result({})
    stored: list[str] = []
    work = _work_of(futures, stored, monkeypatch)
    with pytest.raises(ValueError, match="a defect"):
        work.measure(0)
    assert stored == ["works"]
    assert error.__cause__ is None


@pytest.mark.parametrize("error", [MemoryError(), BrokenProcessPool(), ConnectionError()])
def test_the_others_of_a_chunk_are_waited_for_when_the_machine_failed_one(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
):
    futures: dict[str, Future[Any]] = {name: Future() for name in ("fails", "works")}
    futures["fails"].set_exception(error)
    threading.Timer(0.05, futures["works"].set_result, [{}]).start()
    stored: list[str] = []
    work = _work_of(futures, stored, monkeypatch)
    with pytest.raises(type(error)):
        work.measure(0)
    assert stored == ["works"]
    assert work.chunks == [["fails"]]  # another attempt is for this one alone


@pytest.mark.parametrize(
    ("error", "again"),
    [(BrokenProcessPool(), True), (MemoryError(), True), (CorruptFileError("x"), False), (ValueError(), False)],
)
def test_only_what_the_machine_did_is_tried_again(error: Exception, again: bool):
    state = SimpleNamespace(result=lambda raise_on_failure: error)
    assert worth_another_attempt(None, None, state) is again


def test_a_chunk_outside_of_a_run_is_refused():
    with pytest.raises(StageError, match="measure_pending"):
        characterizing.measure_chunk(0)


def test_what_leaves_the_process_needs_only_the_installed_package(workspace: Paths, tmp_path: Path):
    params = Params.load(workspace.params)
    run_stage("sample", params, workspace)
    job = characterize.pending(params, workspace)[0]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "sent").write_bytes(pickle.dumps((characterize.measure, job)))
    code = "import pickle; function, job = pickle.load(open('sent', 'rb')); print(function.__module__, job.key)"
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=elsewhere, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["analognas.stages.characterize", job.key]


def test_every_function_sent_to_workers_is_one_of_the_package(monkeypatch: pytest.MonkeyPatch):
    sent: list[Any] = []

    class Recorder:
        def submit(self, function: Any, job: Any) -> Any:
            sent.append(function)
            raise StageError("not sent")

    work: Any = characterizing._Work.__new__(characterizing._Work)
    work.chunks, work.pool = [["job"]], Recorder()
    with pytest.raises(StageError, match="not sent"):
        work.measure(0)
    assert [function.__module__ for function in sent] == ["analognas.stages.characterize"]
