from __future__ import annotations

import sys
import threading
from dataclasses import replace
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import pytest

from analognas.errors import MismatchError, StageError
from analognas.orchestration import clusters
from analognas.orchestration.clusters import ray_cluster
from analognas.params import Params
from analognas.stages import characterize


def with_run(**run: Any) -> Params:
    return Params.validated({"run": run})


@pytest.mark.slow
@pytest.mark.skipif(find_spec("prefect_ray") is None, reason="Ray is not installed")
def test_ray_gives_the_same_results(jobs: list[characterize.Job]):
    cluster = clusters.connect(with_run(runner="ray", workers=2), jobs)
    try:
        asked = [cluster.submit(characterize.measure, job) for job in jobs[:2]]
        assert [one.result(timeout=200) for one in asked] == [characterize.measure(job) for job in jobs[:2]]
        other: Any = replace(jobs[0], inputs=jobs[0].inputs | {"torch": "0.1"})
        error = cluster.submit(characterize.measure, other).exception(timeout=60)
        assert error is not None
        assert isinstance(cluster.explain(error), MismatchError)
    finally:
        cluster.close()


class RayError(Exception):
    """Stands for Ray's, which need not be installed."""


class RayTaskError(RayError):
    def __init__(self, cause: object) -> None:
        self.cause = cause


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a cluster without Ray: what it would call is noted."""
    found = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(exceptions=found))
    monkeypatch.setitem(sys.modules, "ray.exceptions", found)
    made: Any = ray_cluster.RayCluster.__new__(ray_cluster.RayCluster)
    made._closed, made.ended = threading.Event(), []
    made._stack = SimpleNamespace(close=lambda: made.ended.append("ended"))
    made._call = SimpleNamespace(remote=lambda *what: SimpleNamespace(future=lambda: what))
    return made


def test_what_a_task_raised_comes_through_as_it_was(cluster: Any):
    cause = MismatchError("torch differs.")
    assert cluster.explain(RayTaskError(cause)) is cause
    unknown = RayTaskError("text")
    assert cluster.explain(unknown) is unknown
    error = ValueError("a defect")
    assert cluster.explain(error) is error


def test_a_worker_that_keeps_dying_is_told_with_the_remedy(cluster: Any):
    told = cluster.explain(RayError("worker died"))
    assert isinstance(told, StageError)
    assert "is there enough memory on them?" in str(told)


def test_after_the_end_nothing_is_submitted_and_all_was_taken_back(cluster: Any):
    assert cluster.submit(characterize.measure, "job") == (characterize.measure, "job")
    cluster.close()
    cluster.close()
    assert cluster.ended == ["ended"]
    with pytest.raises(StageError, match="another one failed"):
        cluster.submit(characterize.measure, "job")
    assert "another one failed" in str(cluster.explain(RayError("cancelled")))
