"""How time and memory grow with the work: sampling, splits, fitting, searching, the result store, over three decades.

Each point is a process of its own on one thread: processor seconds of the work alone, and by how many MB (2^20 bytes)
the largest memory of the process grew while it went on. The slope is that of a straight line through the logarithms of
both ends: 1 is in proportion, 2 is quadratic; the part that any size costs makes it smaller.

With `--against` the code of an earlier commit does the same work in turn, with the same packages; of both the least of
some rounds counts. The search of 40,000 architectures is the published one of 200 x 200 (17 minutes, arXiv 2305.10459).

    python -m benchmarks.growth --json
    python -m benchmarks.growth --tasks sample splits
    python -m benchmarks.growth --tasks search --sizes 40000 --against 7a741ba
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
from contextlib import ExitStack
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
    """Return processor seconds, the growth of the largest memory and that memory (MB) of a piece of work here."""
    work = TASKS[task][0](size)
    before, start = _peak(), time.process_time()
    kept = work()
    seconds = time.process_time() - start
    del kept
    peak = _peak()
    return {"size": size, "seconds": round(seconds, 4), "megabytes": round(peak - before, 1), "whole": round(peak, 1)}


_ROOT = Path(__file__).resolve().parent.parent


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def slope(points: list[dict[str, float]], name: str) -> float | None:
    """Return the slope between the first and the last point in logarithms; None where the first is next to nothing."""
    first, last = points[0], points[-1]
    if first["size"] == last["size"] or min(first[name], last[name]) <= 0:
        return None
    return round(math.log(last[name] / first[name]) / math.log(last["size"] / first["size"]), 2)


def _elsewhere(task: str, size: int, code: Path = _ROOT) -> dict[str, float]:
    """Measure in a process of its own, with the package in a folder."""
    done = subprocess.run(
        [sys.executable, "-P", __file__, "--inner", task, str(size), str(code)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(code)},
        stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{task} of {size:,} does not run with the code in {code} (see above): name another commit.")
    point: dict[str, float] = json.loads(done.stdout)
    return point


def compared(task: str, size: int, earlier: Path, rounds: int) -> dict[str, Any]:
    """Return a point of this code, with the point of the earlier one and how many times faster this one is."""
    turns = [(_elsewhere(task, size), _elsewhere(task, size, earlier)) for _ in range(rounds)]
    now, then = ({name: min(turn[side][name] for turn in turns) for name in turns[0][side]} for side in (0, 1))
    return now | {"then": then, "times_faster": round(then["seconds"] / max(now["seconds"], 1e-4), 2)}


def _line(point: dict[str, Any]) -> str:
    memory = f"{point['megabytes']:>8.1f} MB more, {point['whole']:.0f} MB in all"
    return f"{point['size']:>10,}  {point['seconds']:>9.3f} s  {memory}"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS), help="what is measured")
    parser.add_argument("--largest", type=int, help="leave out sizes above this")
    parser.add_argument("--sizes", nargs="+", type=int, help="measure these in place of three decades")
    parser.add_argument("--against", metavar="COMMIT", help="do the same with the code of an earlier commit")
    parser.add_argument("--rounds", type=int, default=1, help="of the comparison")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--inner", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inner:
        import analognas

        task, size, code = arguments.inner
        if Path(analognas.__file__).parents[1] != Path(code):
            raise SystemExit(f"{code} holds no package of this name: another one would have been measured.")
        print(json.dumps(measure(task, int(size))))
        return
    from benchmarks._earlier import code_of  # not in a process of its own, which knows the package alone

    report: dict[str, Any] = {}
    with ExitStack() as stack:
        earlier = stack.enter_context(code_of(arguments.against)) if arguments.against else None
        for task in arguments.tasks:
            _, unit, usual = TASKS[task]
            sizes = [size for size in arguments.sizes or usual if size <= (arguments.largest or size)]
            points = [
                _elsewhere(task, size) if earlier is None else compared(task, size, earlier, arguments.rounds)
                for size in sizes
            ]
            slopes = {name: slope(points, name) for name in ("seconds", "megabytes")}
            report[task] = {"unit": unit, "points": points, "slope": slopes}
            if not arguments.json:
                print(f"{task} ({unit}), slope of seconds {slopes['seconds']}, of memory {slopes['megabytes']}")
                for point in points:
                    print(_line(point))
                    if earlier is not None:
                        print(f"{_line(point['then'])}  {arguments.against}: {point['times_faster']:.1f} times as long")
    if arguments.json:
        print(json.dumps(report))


if __name__ == "__main__":
    main()
