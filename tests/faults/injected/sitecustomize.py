"""What the fault tests put into the processes that they start: Python imports this module of PYTHONPATH at once.

FAULTS_TRAININGS  a file that gets a line for every characterization that begins: seconds on the machine's monotonic
                  clock, process, architecture
FAULTS_ORDER      a file that gets a line for everything that is forced to the disk, renamed or linked
FAULTS_CLOCK      seconds that the clock jumps back by, as soon as it has been asked 50 times
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from replaced import replace_when_loaded


def _append(path: str, *values: object) -> None:
    """Add one line; lines of several processes do not mix."""
    line = (json.dumps(values) + "\n").encode()
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, line)
    finally:
        os.close(handle)


def _noted(path: str) -> Callable[[Any], Any]:
    """Return what makes of ``characterize`` one that notes every characterization that begins."""

    def noting(original: Any) -> Any:
        def characterize(architecture: Any, *arguments: Any, **options: Any) -> Any:
            _append(path, time.monotonic(), os.getpid(), architecture.id)
            return original(architecture, *arguments, **options)

        return characterize

    return noting


def _note_order(path: str) -> None:
    fsync = os.fsync

    def noted_fsync(handle: int) -> None:
        fsync(handle)
        _append(path, "sync", str(Path(f"/proc/self/fd/{handle}").readlink()))

    os.fsync = noted_fsync

    def note(name: str, do: Any) -> None:
        def noted(source: Any, target: Any, **options: Any) -> None:
            do(source, target, **options)
            _append(path, name, str(Path(source).absolute()), str(Path(target).absolute()))

        setattr(os, name, noted)

    for name in ("rename", "replace", "link"):
        note(name, getattr(os, name))


def _jump_back(seconds: float) -> None:
    asked, now, now_ns = [0], time.time, time.time_ns

    def jumped() -> bool:
        asked[0] += 1
        return asked[0] > 50

    time.time = lambda: now() - (seconds if jumped() else 0)
    time.time_ns = lambda: now_ns() - (int(seconds * 1e9) if jumped() else 0)


if "FAULTS_TRAININGS" in os.environ:
    replace_when_loaded("analognas.training.protocol", "characterize", _noted(os.environ["FAULTS_TRAININGS"]))
if "FAULTS_ORDER" in os.environ:
    _note_order(os.environ["FAULTS_ORDER"])
if "FAULTS_CLOCK" in os.environ:
    _jump_back(float(os.environ["FAULTS_CLOCK"]))
