from __future__ import annotations

import os
from typing import Any

import pytest

from analognas.errors import MismatchError, ParamsError
from analognas.files import read_sealed, write_sealed
from analognas.params import Params
from analognas.progress import silent
from analognas.stages import sample
from analognas.stages.running import run_stage
from analognas.workspace import Paths


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Let ``sample`` do nothing, and tell with what it was called."""
    found: list[Any] = []

    def run(*given: Any) -> dict[str, Any]:
        found.append(given)
        return {"architectures": 3}

    monkeypatch.setattr(sample, "run", run)
    return found


def test_a_stage_is_called_by_its_name_and_gives_its_summary(workspace: Paths, ran: list[Any]):
    params = Params.load(workspace.params)
    told: list[Any] = []
    assert run_stage("sample", params, workspace) == {"architectures": 3}
    assert run_stage("sample", params, workspace, lambda *step: told.append(step)) == {"architectures": 3}
    assert [given[:2] for given in ran] == [(params, workspace)] * 2
    assert ran[0][2] is silent
    ran[1][2](1, 2, "half of it")
    assert told == [(1, 2, "half of it")]


@pytest.mark.parametrize("name", ["smaple", "running", "protocols", ""])
def test_what_is_no_stage_is_refused_with_those_that_are(workspace: Paths, name: str):
    with pytest.raises(ParamsError) as caught:
        run_stage(name, Params(), workspace)
    assert str(caught.value) == (
        f"There is no stage {name!r}: the stages are sample, characterize, fit, search, train."
    )


def test_other_versions_than_the_recorded_ones_are_refused_before_anything_is_done(workspace: Paths, ran: list[Any]):
    recorded = read_sealed(workspace.environment, remedy="")
    write_sealed(workspace.environment, recorded | {"torch": "0.1"})
    with pytest.raises(MismatchError, match=r"records torch 0\.1"):
        run_stage("sample", Params.load(workspace.params), workspace)
    write_sealed(workspace.environment, recorded | {"protocol": recorded["protocol"] | {"sample": 0}})
    with pytest.raises(MismatchError, match="records protocol of sample 0"):
        run_stage("sample", Params.load(workspace.params), workspace)
    assert ran == []


@pytest.mark.parametrize(("before", "during"), [(None, "1"), ("", "1"), ("3", "3")])
def test_the_number_of_threads_is_that_of_the_parameters_unless_somebody_has_set_it(
    workspace: Paths, monkeypatch: pytest.MonkeyPatch, ran: list[Any], before: str | None, during: str
):
    monkeypatch.setenv("OMP_NUM_THREADS", before or "")
    if before is None:
        monkeypatch.delenv("OMP_NUM_THREADS")
    run_stage("sample", Params.load(workspace.params), workspace)
    assert os.environ["OMP_NUM_THREADS"] == during


def test_what_killed_writers_left_is_removed_first(workspace: Paths, ran: list[Any]):
    left = workspace.data / ".tmp-x.json-a1b2c3d4"
    left.write_text("half of it")
    run_stage("sample", Params.load(workspace.params), workspace)
    assert not left.exists()
