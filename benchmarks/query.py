"""How fast the surrogates answer: architectures per second, and a whole 200 x 200 evolutionary search.

The published search of 200 generations of 200 took 17 minutes (arXiv 2305.10459). Here it runs on an evaluator that was
fitted with 64 architectures of the ResNet-like space, whose results come from a formula: what is measured is time.

    python -m benchmarks.query --json
"""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import Any

EVALUATORS = ("xgboost", "gaussian_process", "ensemble")


def measure(rows: int, asked: int, generations: int, population: int) -> dict[str, Any]:
    """Return architectures per second by evaluator, and seconds of the search on the default one."""
    from analognas.evaluators.registry import evaluator_class
    from analognas.search_algorithms import EAOptimizer
    from analognas.search_spaces import ConfigSpace
    from analognas.testing import synthetic_results

    space = ConfigSpace("digits", max_params=20_000)
    known = space.sample(rows, seed=1)
    questions = space.sample(asked, seed=2)
    figures: dict[str, Any] = {"architectures_per_second": {}, "seconds_to_fit": {}}
    fitted = {}
    for name in EVALUATORS:
        how: dict[str, Any] = {"report": False}
        start = time.perf_counter()
        fitted[name] = evaluator_class(name)(**how).fit(known, synthetic_results(known))
        figures["seconds_to_fit"][name] = round(time.perf_counter() - start, 2)
        start = time.perf_counter()
        fitted[name].predict(questions)
        figures["architectures_per_second"][name] = round(asked / (time.perf_counter() - start))
    search = EAOptimizer(fitted["xgboost"], population_size=population, nb_iter=generations, min_acc_1d=0.0)
    start = time.perf_counter()
    result = search.run(space)
    figures["search"] = {
        "generations": generations,
        "population": population,
        "architectures": len(result.history),
        "seconds": round(time.perf_counter() - start, 2),
    }
    return figures


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=64, help="architectures to learn from")
    parser.add_argument("--asked", type=int, default=5000, help="architectures to predict")
    parser.add_argument("--generations", type=int, default=200, help="of the search")
    parser.add_argument("--population", type=int, default=200, help="of the search")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    figures = measure(arguments.rows, arguments.asked, arguments.generations, arguments.population)
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, rate in figures["architectures_per_second"].items():
        print(f"{name:18} {rate:>8,} architectures a second, fitted in {figures['seconds_to_fit'][name]} s")
    search = figures["search"]
    print(f"{search['generations']} x {search['population']} search: {search['seconds']} s")


if __name__ == "__main__":
    main()
