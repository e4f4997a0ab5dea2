"""Whole runs, with DVC, Prefect and MLflow, that are killed, started twice, or lose the time."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from analognas.stages import STAGES
from analognas.workspace import Paths

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

#: How often a run is killed in each stage.
KILLS = 2


def test_a_run_that_is_killed_in_every_stage_goes_on(faults: Any, versioned: Paths, tmp_path: Path):
    draw = random.Random(f"{faults.seed} runs")
    trainings = tmp_path / "trainings"
    what, kept = f"FAULTS_SEED={faults.seed}", {}
    for stage in STAGES:
        for _ in range(KILLS):
            after = draw.uniform(0, faults.undisturbed(stage).seconds + 2)  # DVC takes it down afterwards
            what += f", {stage} after {after:.2f} s"
            run = faults.run(versioned, ephemeral=stage == STAGES[0], FAULTS_TRAININGS=str(trainings))
            run.until(stage)
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.process.wait(after)
            killed = run.kill()
            assert "Traceback" not in run.said, (what, run.said)
            assert not run.left(), (what, run.left())
            faults.whole(versioned)
            begun = [json.loads(line) for line in trainings.read_text().splitlines()] if trainings.exists() else []
            # Later `train` trains candidates by its own protocol, among them what was characterized.
            again = {name for at, _, name in begun if name in kept and at > kept[name]}
            assert not again or stage in ("search", "train"), what
            now = {
                json.loads(path.read_text())["result"]["id"] for path in (versioned.data / "results").glob("*/*.json")
            }
            kept |= dict.fromkeys(now - kept.keys(), killed or time.monotonic())
    code, said = faults.run(versioned, FAULTS_TRAININGS=str(trainings)).finish()
    assert code == 0, (what, said)
    faults.complete(versioned)


def test_of_two_runs_started_at_once_one_is_refused_and_changes_nothing(faults: Any, versioned: Paths):
    params = versioned.params.read_bytes()
    first = faults.run(versioned)
    first.until("characterize")
    second = faults.run(versioned, "--set", "search.k=0.25")
    code, said = second.finish()
    assert (code, said.count("\n")) == (2, 1), said
    assert said == f"analognas: Another run works in {versioned.root}: wait for its end, then run again.\n"
    assert versioned.params.read_bytes() == params
    code, said = first.finish()
    assert code == 0, said
    faults.complete(versioned)


def test_the_clock_jumps_back(faults: Any, versioned: Paths):
    """By a day in the middle of a run; then every file is from the future."""
    code, said = faults.run(versioned, FAULTS_CLOCK="86400").finish()
    assert code == 0, said
    faults.complete(versioned)
    tomorrow = time.time() + 86_400
    for path in versioned.root.rglob("*"):
        if path.is_file() and ".git" not in path.parts:
            os.utime(path, (tomorrow, tomorrow))
    code, said = faults.run(versioned).finish()
    assert code == 0, said
    assert "nothing to do" in said
    shutil.rmtree(versioned.evaluator)
    code, said = faults.run(versioned).finish()
    assert code == 0, said
    faults.complete(versioned)
