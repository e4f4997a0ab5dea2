"""Dask for real: a scheduler in this process for what is refused, two worker processes for the run itself."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from analognas.errors import DatasetError, StageError
from analognas.files import file_digest
from analognas.orchestration import clusters
from analognas.orchestration.clusters import dask_cluster
from analognas.orchestration.clusters.worker import checked
from analognas.params import Params
from analognas.params.file import override
from analognas.stages import characterize
from analognas.workspace import Paths


def with_run(**run: Any) -> Params:
    return Params.validated({"run": run})


def test_dask_is_sent_functions_of_the_package_only():
    sent: list[Any] = []
    cluster = dask_cluster.DaskCluster.__new__(dask_cluster.DaskCluster)
    cluster._closed = threading.Event()
    cluster._executor = SimpleNamespace(submit=lambda *call: sent.extend(call) or Future())
    job: Any = "job"
    cluster.submit(characterize.measure, job)
    assert sent == [checked, characterize.measure, "job"]


@contextlib.contextmanager
def scheduler(workers: int, threads: int = 1) -> Iterator[str]:
    """A Dask scheduler with workers that are threads of this process."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=workers, threads_per_worker=threads, processes=False, protocol="tcp", host="127.0.0.1",
        dashboard_address="127.0.0.1:0", memory_limit=0,
    ) as cluster:  # fmt: skip
        yield cluster.scheduler_address


needs_dask = pytest.mark.skipif(find_spec("prefect_dask") is None, reason="Dask is not installed")


@needs_dask
def test_workers_with_several_threads_are_refused(jobs: list[characterize.Job]):
    with scheduler(1, threads=2) as address, pytest.raises(StageError, match=r"1 of the 1 Dask .* `--nthreads 1 "):
        clusters.connect(with_run(runner="dask", address=address), jobs)


@needs_dask
def test_a_scheduler_without_workers_is_refused(jobs: list[characterize.Job], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dask_cluster, "FIRST_WORKER_SECONDS", 0.1)
    with scheduler(0) as address, pytest.raises(StageError, match=f"`dask worker {address} --nthreads 1`"):
        clusters.connect(with_run(runner="dask", address=address), jobs)


@needs_dask
def test_a_worker_that_lacks_something_is_named(jobs: list[characterize.Job], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dask_cluster, "wanted_of", lambda jobs: {"versions": {}, "modules": [], "path": "/nowhere"})
    with scheduler(1) as address, pytest.raises(StageError, match=r"Dask worker tcp://.* does not see the dataset"):
        clusters.connect(with_run(runner="dask", address=address), jobs)


@needs_dask
def test_results_errors_and_what_is_taken_back(jobs: list[characterize.Job]):
    with scheduler(1) as address:
        cluster = clusters.connect(with_run(runner="dask", address=address), jobs)
        assert cluster.workers == 1
        assert cluster.submit(_key, jobs[0]).result(timeout=30) == jobs[0].key
        with pytest.raises(DatasetError, match="gone"):
            cluster.submit(_fails, jobs[0]).result(timeout=30)
        cluster.check()
        waiting = [cluster.submit(_waits, job) for job in jobs[:2]]
        cluster.close()
        with pytest.raises(CancelledError) as taken_back:
            waiting[1].result(timeout=30)
        assert "another one failed" in str(cluster.explain(taken_back.value))
        with pytest.raises(StageError, match="another one failed"):
            cluster.submit(_key, jobs[0])
        cluster.close()


@needs_dask
def test_the_end_of_the_scheduler_is_told(jobs: list[characterize.Job]):
    from distributed import KilledWorker

    with scheduler(1) as address:
        cluster = clusters.connect(with_run(runner="dask", address=address), jobs)
    try:
        assert "connection to the Dask scheduler" in str(cluster.explain(CancelledError()))
        killed = KilledWorker.__new__(KilledWorker)
        assert "enough memory" in str(cluster.explain(killed))
        error = ValueError("a defect")
        assert cluster.explain(error) is error
    finally:
        cluster.close()


def test_a_cluster_without_workers_is_given_up_after_a_while(monkeypatch: pytest.MonkeyPatch):
    cluster = dask_cluster.DaskCluster.__new__(dask_cluster.DaskCluster)
    cluster._run, cluster._seen = with_run(runner="dask", address="tcp://somewhere:8786").run, time.monotonic()
    cluster._client = SimpleNamespace(nthreads=dict)
    cluster.check()
    monkeypatch.setattr(dask_cluster, "NO_WORKER_SECONDS", -1)
    with pytest.raises(StageError, match="has had no workers"):
        cluster.check()
    cluster._client = SimpleNamespace(nthreads=lambda: {"tcp://somewhere:1": 1})
    cluster.check()


def _key(job: Any) -> str:
    return str(job.key)


def _fails(job: Any) -> None:
    raise DatasetError("gone.")


def _waits(job: Any) -> None:
    time.sleep(0.3)


@needs_dask
@pytest.mark.faults
@pytest.mark.timeout(900)
def test_a_run_on_two_workers_of_which_one_is_killed_gives_the_bytes_of_a_serial_one(
    finished: Paths, workspace: Paths, tmp_path: Path, closed_port: int
):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    address = f"tcp://127.0.0.1:{closed_port}"
    override(workspace.params, ["run.runner=dask", f"run.address={address}"])
    with contextlib.ExitStack() as ending:
        scheduler_options = ("--host", "127.0.0.1", "--port", address.rpartition(":")[2], "--no-dashboard", "--no-show")
        ending.callback(_end, _dask("scheduler", *scheduler_options, folder=elsewhere))
        options = ("--nthreads", "1", "--no-nanny", "--host", "127.0.0.1", "--no-dashboard", "--memory-limit", "0")
        pair = [_dask("worker", address, *options, folder=elsewhere) for _ in range(2)]
        for worker in pair:
            ending.callback(_end, worker)
        _workers_at(address, 2)
        run = subprocess.Popen(
            [sys.executable, "-m", "analognas", "run"], cwd=workspace.root, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE, text=True, env=os.environ | {"PREFECT_HOME": str(tmp_path / "prefect")},
        )  # fmt: skip
        ending.callback(_end, run)
        while not list(workspace.data.glob("results/*/*.json")):
            assert run.poll() is None, run.communicate()[1]
            time.sleep(0.05)
        pair[0].send_signal(signal.SIGKILL)
        assert len(list(workspace.data.glob("results/*/*.json"))) < 9  # so it had one in hand, and others to come
        told = run.communicate()[1]
        assert run.returncode == 0, told
        assert "Traceback" not in told
        assert pair[0].wait() == -signal.SIGKILL
        assert pair[1].poll() is None
    for name in ("surrogate.parquet", "evaluator", "search", "winner", "metrics"):
        assert file_digest(workspace.data / name) == file_digest(finished.data / name), name
    assert file_digest(workspace.data / "results") == file_digest(finished.data / "results")


def _dask(*arguments: str, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "distributed.cli.dask_" + arguments[0], *arguments[1:]], cwd=folder, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    if process.stderr is not None:
        process.stderr.close()


def _workers_at(address: str, count: int) -> None:
    from distributed import Client

    with Client(address, timeout=60, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=60)
