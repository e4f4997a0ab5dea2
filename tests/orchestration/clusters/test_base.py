from __future__ import annotations

from typing import Any

import pytest

from analognas.errors import StageError
from analognas.orchestration.clusters import base
from analognas.params import Params, RunParams


def run(**given: Any) -> RunParams:
    return Params.validated({"run": given}).run


def test_workers_that_lack_nothing_are_taken():
    assert base.refuse("Dask", {}) is None
    assert base.refuse("Dask", {"tcp://a:1": None, "tcp://b:1": ""}) is None


def test_the_first_worker_that_lacks_something_is_named():
    answers = {"tcp://c:1": "has no dataset", "tcp://b:1": "has torch 1: install 2 there", "tcp://a:1": None}
    with pytest.raises(StageError) as caught:
        base.refuse("Dask", answers)
    assert str(caught.value) == "Dask worker tcp://b:1 has torch 1: install 2 there."


def test_a_worker_that_could_not_answer_is_to_be_installed():
    with pytest.raises(StageError) as caught:
        base.refuse("Ray", {"of the first task": ModuleNotFoundError("No module named 'analognas'")})
    assert str(caught.value) == (
        "Ray worker of the first task cannot load analognas (it says \"No module named 'analognas'\"): "
        "install the same version there."
    )


def test_workers_that_cannot_be_had_are_one_sentence_with_the_address():
    error = OSError("timed out\nafter 5 s")
    told = base.unreachable(run(runner="dask", address="tcp://host:8786"), error)
    assert str(told) == (
        'No Dask cluster can be reached at run.address tcp://host:8786 ("timed out"): start it, or set run.runner to '
        "processes."
    )
    assert str(base.unreachable(run(runner="ray"), error)) == (
        'Ray cannot start workers on this machine ("timed out"): set run.runner to processes.'
    )
    assert "(it does not answer)" in str(base.unreachable(run(runner="ray"), TimeoutError()))


def test_how_often_workers_were_ended_is_told_with_the_first_time():
    assert f"ended its workers {1 + base.RETRIES} times" in base.KEEPS_DYING
