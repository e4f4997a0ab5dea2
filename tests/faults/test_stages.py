"""Stages that are killed at any moment and go on: what they had stored is kept, and the bytes are the same."""

from __future__ import annotations

import json
import random
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from analognas.results import ResultStore
from analognas.stages import STAGES
from analognas.workspace import Paths

pytestmark = pytest.mark.timeout(900)

#: How often each stage is killed by the whole suite: at moments in time, and before one of its writes.
MOMENTS, WRITES = 20, 5
CHARACTERIZE = "characterize"


def moment(faults: Any, stage: str, number: int) -> dict[str, Any]:
    """Return when to kill a stage: somewhere in the time it takes undisturbed, or before one of its writes."""
    draw = random.Random(f"{faults.seed} {stage} {number}")
    undisturbed = faults.undisturbed(stage)
    if number < MOMENTS:
        return {"after": draw.uniform(0.0, undisturbed.seconds)}
    return {"at": draw.randint(1, undisturbed.writes)}


@pytest.mark.long
def test_a_stage_that_was_killed_twice_goes_on(faults: Any, tmp_path: Path):
    killed_and_run_again(faults, CHARACTERIZE, [0, MOMENTS], tmp_path)


@pytest.mark.faults
@pytest.mark.parametrize("number", range(MOMENTS + WRITES))
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_goes_on_whenever_it_is_killed(faults: Any, stage: str, number: int, tmp_path: Path):
    killed_and_run_again(faults, stage, [number], tmp_path)


def killed_and_run_again(faults: Any, stage: str, numbers: list[int], folder: Path) -> None:
    paths = faults.before(stage, folder / "workspace")
    what = f"FAULTS_SEED={faults.seed}: {stage} killed"
    stored: dict[tuple[str, str], tuple[int, int]] = {}
    for number in numbers:
        when = moment(faults, stage, number)
        what += f" {when}"
        killed = faults.attempt(paths, "stage", stage, **when)
        assert killed.code == (0 if killed.killed is None else -9), (what, killed)
        assert not killed.left, (what, killed.left)
        faults.whole(paths)
        now = results(paths)
        assert stored.items() <= now.items(), what
        stored = now

    trainings = folder / "trainings"
    again = faults.attempt(paths, "stage", stage, environment={"FAULTS_TRAININGS": str(trainings)})
    assert again.code == 0, (what, again.said)
    assert "Traceback" not in again.said, (what, again.said)
    faults.same(paths, stage)
    now = results(paths)
    assert stored.items() <= now.items(), what  # not one of them was written again
    if stage == "characterize":  # and none was trained again
        begun = [json.loads(line)[-1] for line in trainings.read_text().splitlines()] if trainings.exists() else []
        assert sorted(begun) == sorted(name for name, _ in now.keys() - stored.keys()), what
    shutil.rmtree(paths.root)


@pytest.mark.faults
@pytest.mark.parametrize("number", range(5))
def test_a_killed_worker_is_replaced_and_costs_only_what_was_in_flight(faults: Any, number: int, tmp_path: Path):
    after = random.Random(f"{faults.seed} worker {number}").uniform(0.2, 1.0) * faults.undisturbed(CHARACTERIZE).seconds
    what = f"FAULTS_SEED={faults.seed}: a worker killed after {after:.3f} s"
    paths = faults.before(CHARACTERIZE, tmp_path / "workspace")
    trainings = tmp_path / "trainings"
    done = faults.attempt(
        paths, "stage", CHARACTERIZE, environment={"FAULTS_TRAININGS": str(trainings)}, kill="worker", after=after
    )
    assert done.code == 0, (what, done.said)
    assert not done.left, (what, done.left)
    faults.same(paths, CHARACTERIZE)
    begun = [json.loads(line) for line in trainings.read_text().splitlines()]
    written = {name: at for (name, _), (_, at) in results(paths).items()}
    again = [name for at, _, name in begun if done.killed is not None and at > done.killed]
    # Monotonic and file times differ by a constant.
    offset = time.time_ns() - time.monotonic_ns()
    late = {name for name, at in written.items() if done.killed and at - offset > done.killed * 1e9}
    assert set(again) <= late, what
    assert len(begun) <= len(written) + 2, what  # two workers: no more can have been in flight


def results(paths: Paths) -> dict[tuple[str, str], tuple[int, int]]:
    """Return the stored results: architecture and key, and which file that is and when it was written."""
    store = ResultStore.of(paths.root)
    found = {}
    for key in store.keys():  # noqa: SIM118
        there = store.path(key).stat()
        found[store.get(key).id, key] = (there.st_ino, there.st_mtime_ns)
    return found
