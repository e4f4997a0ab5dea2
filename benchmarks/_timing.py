"""Interleaved timing: every round runs each variant once, so the machine's moods meet all of them alike."""

from __future__ import annotations

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

# glibc returns large buffers to the system after every use and fetches them anew, which makes whatever needs many
# of them (aihwkit above all) up to twice as slow. The same for all variants.
_ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "1073741824", "MALLOC_TRIM_THRESHOLD_": "4294967296"}


def fix_process(threads: int) -> None:
    """Start this program anew with the allocator's and the threads' settings, unless it has them."""
    wanted = _ALLOCATOR | {"OMP_NUM_THREADS": str(threads)}
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        module = sys.modules["__main__"].__spec__
        assert module is not None
        os.execve(sys.executable, [sys.executable, "-m", module.name, *sys.argv[1:]], os.environ | wanted)


def medians(
    variants: Mapping[str, Callable[[], Any]], rounds: int, warm_up: int = 2,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:  # fmt: skip
    """Return the median time of each variant, seconds by a clock."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(warm_up + rounds):
        for name, run in variants.items():
            start = clock()
            run()
            if number >= warm_up:
                times[name].append(clock() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def machine() -> dict[str, Any]:
    """Return what the figures were measured on."""
    import torch

    lines = Path("/proc/cpuinfo").read_text().splitlines() if platform.system() == "Linux" else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return {"processor": model, "threads": torch.get_num_threads(), "torch": torch.__version__}
