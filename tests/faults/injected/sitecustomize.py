"""What the fault tests put into the processes that they start: Python imports this module of PYTHONPATH at once.

FAULTS_TRAININGS  a file that gets a line for every characterization that begins: seconds on the machine's monotonic
                  clock, process, architecture
FAULTS_ORDER      a file that gets a line for everything that is forced to the disk, renamed or linked
FAULTS_CLOCK      seconds that the clock jumps back by, as soon as it has been asked 50 times
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def _append(path: str, *values: object) -> None:
    """Add one line; lines of several processes do not mix."""
    line = (json.dumps(values) + "\n").encode()
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, line)
    finally:
        os.close(handle)


class _Trainings(importlib.abc.MetaPathFinder):
    """Notes every characterization when its module is loaded, in whichever process."""

    _module = "analognas.training.protocol"

    def __init__(self, path: str) -> None:
        self._path = path

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != self._module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        load = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            load(module)
            original = module.characterize

            def characterize(architecture: Any, *arguments: Any, **options: Any) -> Any:
                _append(self._path, time.monotonic(), os.getpid(), architecture.id)
                return original(architecture, *arguments, **options)

            module.characterize = characterize

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


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
    sys.meta_path.insert(0, _Trainings(os.environ["FAULTS_TRAININGS"]))
if "FAULTS_ORDER" in os.environ:
    _note_order(os.environ["FAULTS_ORDER"])
if "FAULTS_CLOCK" in os.environ:
    _jump_back(float(os.environ["FAULTS_CLOCK"]))
