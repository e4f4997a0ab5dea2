"""How time and memory grow with the work: sampling, splits, fitting, searching, the result store, over three decades.

Each point is a process of its own on one thread: processor seconds of the work alone, and by how many MB (2^20 bytes)
the largest memory of the process grew while it went on. The slope is that of a straight line through the logarithms of
both ends: 1 is in proportion, 2 is quadratic; the part that any size costs makes it smaller.

    python -m benchmarks.growth --json
    python -m benchmarks.growth --tasks sample splits
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def _sample(size: int) -> Callable[[], Any]:
    from analognas.search_spaces import ConfigSpace

    space = ConfigSpace("digits", max_params=10_000)
    space.sample(10, seed=1)  # what it loads is not its work
    return lambda: space.sample(size, seed=0)


def _splits(classes: int) -> Callable[[], Any]:
    import numpy as np

    from analognas.datasets.splits import split_off, stratified_order

    labels = np.repeat(np.arange(classes), 10)
    names = [str(label) for label in range(classes)]

    def work() -> None:
        order = stratified_order(labels, seed=0, purpose="growth")
        split_off({"train": order}, labels, names)

    return work


def _known(rows: int) -> tuple[Any, list[Any], Any]:
    from analognas.search_spaces import ConfigSpace
    from analognas.testing import synthetic_results

    space = ConfigSpace("digits", max_params=20_000)
    known = space.sample(rows, seed=1)
    return space, known, synthetic_results(known)


def _fit(rows: int) -> Callable[[], Any]:
    from analognas.evaluators import XGBoostEvaluator

    _, known, results = _known(rows)
    XGBoostEvaluator(report=False).fit(known[:20], results[:20])
    return lambda: XGBoostEvaluator(report=False).fit(known, results)


def _search(evaluations: int) -> Callable[[], Any]:
    from analognas.evaluators import XGBoostEvaluator
    from analognas.search_algorithms import EAOptimizer

    space, known, results = _known(64)
    evaluator = XGBoostEvaluator(report=False).fit(known, results)
    evaluator.predict(known)
    side = max(4, math.isqrt(evaluations))
    return lambda: EAOptimizer(evaluator, population_size=side, nb_iter=side, min_acc_1d=0.0).run(space)


def _store(results: int) -> Callable[[], Any]:
    from analognas.results import ResultStore
    from analognas.testing import made_up_result

    def work() -> None:
        with tempfile.TemporaryDirectory() as folder:
            store = ResultStore(Path(folder))
            for number in range(results):
                store.put(*made_up_result(number))
            assert len(list(store.keys())) == results

    return work


#: By name: what prepares the work of a size, which is what is measured, its unit, and the sizes.
TASKS: dict[str, tuple[Callable[[int], Callable[[], Any]], str, tuple[int, ...]]] = {
    "sample": (_sample, "architectures", (100, 1_000, 10_000, 100_000)),
    "splits": (_splits, "classes of 10 images", (100, 1_000, 10_000, 100_000)),
    "fit": (_fit, "architectures", (32, 320, 3_200, 32_000)),
    "search": (_search, "architectures asked", (40, 400, 4_000, 40_000)),
    "store": (_store, "results", (10, 100, 1_000, 10_000)),
}


def measure(task: str, size: int) -> dict[str, float]:
    """Return processor seconds and the growth of the largest memory (MB) of a piece of work, in this process."""
    work = TASKS[task][0](size)
    before, start = _peak(), time.process_time()
    kept = work()
    seconds = time.process_time() - start
    del kept
    return {"size": size, "seconds": round(seconds, 4), "megabytes": round(_peak() - before, 1)}


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def slope(points: list[dict[str, float]], name: str) -> float | None:
    """Return the slope between the first and the last point in logarithms; None where the first is next to nothing."""
    first, last = points[0], points[-1]
    if first["size"] == last["size"] or min(first[name], last[name]) <= 0:
        return None
    return round(math.log(last[name] / first[name]) / math.log(last["size"] / first["size"]), 2)


def _elsewhere(task: str, size: int) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.growth", "--inner", task, str(size)],
        env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    point: dict[str, float] = json.loads(done.stdout)
    return point


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS), help="what is measured")
    parser.add_argument("--largest", type=int, help="leave out sizes above this")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--inner", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inner:
        print(json.dumps(measure(arguments.inner[0], int(arguments.inner[1]))))
        return
    report: dict[str, Any] = {}
    for task in arguments.tasks:
        _, unit, sizes = TASKS[task]
        points = [_elsewhere(task, size) for size in sizes if size <= (arguments.largest or size)]
        slopes = {name: slope(points, name) for name in ("seconds", "megabytes")}
        report[task] = {"unit": unit, "points": points, "slope": slopes}
        if not arguments.json:
            print(f"{task} ({unit}), slope of seconds {slopes['seconds']}, of memory {slopes['megabytes']}")
            for point in points:
                print(f"{point['size']:>10,}  {point['seconds']:>9.3f} s  {point['megabytes']:>8.1f} MB")
    if arguments.json:
        print(json.dumps(report))


if __name__ == "__main__":
    main()
