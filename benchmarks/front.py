"""How much of a whole trade-off is found by measuring only so many cells of AnalogNAS-Bench.

The objectives are accuracy after 30 days, energy and tiles (on `--chip`). A search measures `--budget` of the 15,625
cells; reported is the hypervolume of what it measured by that of all cells, between the ideal and the nadir of the true
front (the best and the worst of it in each objective). Two truths: the labels of the table, whose highest are mostly
luck, and what the functions are worth (`latent`: the mean label of a function's cells, shrunk towards a model that has
seen none of them).

Side by side: the closed loop with these objectives ("ours"), the closed loop for accuracy alone ("accuracy"), and
random search. Costs are free, they follow from the architecture.

    python -m benchmarks.front --budget 100 --seeds 0 1 2 --json
"""

from __future__ import annotations

import argparse
import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks._cells import Cells, interval, latent_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

METHODS = ("ours", "accuracy", "random")
OBJECTIVES = ("acc_1d", "energy_uj", "tiles")  # where the first is told the accuracy after 30 days
BATCH = 10


class Problem:
    """The table as a search sees it, with the costs of all cells and their true front."""

    def __init__(self, cells: Cells, chip: str) -> None:
        from analognas.hardware.chips import chip as named
        from analognas.hardware.cost import costs
        from analognas.search_spaces.nasbench201 import NASBench201Space

        self.space, self.cells, self.chip = NASBench201Space(), cells, named(chip)
        self.place = {architecture.id: index for index, architecture in enumerate(cells.architectures)}
        # What the evaluator learns as the accuracy is the one after 30 days.
        self.table = cells.table.assign(acc_1d=cells.table["acc_30d"], acc_1d_std=cells.table["acc_30d_std"])
        known = costs(cells.architectures, self.chip)[["energy_uj", "tiles"]].to_numpy(dtype=np.float64)
        month = Cells(self.table, cells.architectures, cells.set_aside)
        self.costs = {
            "label": np.column_stack([-self.table["acc_1d"], known]),
            "latent": np.column_stack([-latent_values(month), known]),
        }
        self.usable = np.isfinite(self.table[["acc_1d", "acc_1d_std", "avm"]]).all(axis=1).to_numpy()

    def measure(self, architectures: list[Any]) -> Any:
        """Return the rows of cells."""
        return self.table.iloc[[self.place[architecture.id] for architecture in architectures]].reset_index(drop=True)


def share(costs: NDArray[np.float64], measured: NDArray[np.int64], usable: NDArray[np.bool_]) -> float:
    """Return the hypervolume of what was measured by that of all cells that may be, in [0, 1].

    Args:
        costs: of all cells, shape (cells, objectives), lower is better.
        measured: which were measured.
        usable: which have labels that can be true.
    """
    from analognas.search_algorithms.hypervolume import hypervolume
    from analognas.search_algorithms.pareto import non_dominated

    front = costs[usable][non_dominated(costs[usable])]
    ideal, nadir = front.min(axis=0), front.max(axis=0)
    scaled = (costs - ideal) / (nadir - ideal)
    reference = np.full(costs.shape[1], 1.0 + 1e-9)
    mine = scaled[measured[usable[measured]]]
    return hypervolume(mine[non_dominated(mine)], reference) / hypervolume((front - ideal) / (nadir - ideal), reference)


def measured_by(method: str, problem: Problem, budget: int, seed: int) -> NDArray[np.int64]:
    """Return the cells that a method measures, in order."""
    if method == "random":
        return np.random.default_rng([7, seed]).permutation(len(problem.place))[:budget]
    from analognas.evaluators.ensemble import EnsembleEvaluator
    from analognas.search_algorithms.closed_loop import ClosedLoop

    loop = ClosedLoop(
        lambda own: EnsembleEvaluator(seed=own, report=False), start=20, min_acc_1d=0.0, k=0.0, seed=seed,
        objectives=OBJECTIVES if method == "ours" else None, chip=problem.chip,
    ).bind(problem.space)  # fmt: skip
    places: list[int] = []
    while len(places) < budget:
        asked = loop.ask(min(BATCH, budget - len(places)))
        loop.tell(asked, problem.measure(asked))
        places += [problem.place[architecture.id] for architecture in asked]
    return np.array(places)


def compare(problem: Problem, budget: int, seeds: list[int], methods: tuple[str, ...] = METHODS) -> dict[str, Any]:
    """Return the share of the hypervolume after the budget and halfway, by truth and method, over seeds."""
    compared: dict[str, Any] = {truth: {} for truth in problem.costs}
    for method in methods:
        runs = [measured_by(method, problem, budget, seed) for seed in seeds]
        for truth, costs in problem.costs.items():
            compared[truth][method] = {
                str(count): interval([share(costs, run[:count], problem.usable) for run in runs])
                for count in sorted({budget // 2, budget})
            }
    return compared


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=int, default=100, help="cells to measure")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--chip", default="hermes-1-phase", help="whose energy and tiles")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    compared = compare(Problem(Cells.load(), arguments.chip), arguments.budget, arguments.seeds)
    if arguments.json:
        print(json.dumps(compared))
        return
    for truth, methods in compared.items():
        for method, counts in methods.items():
            shares = ", ".join(f"{count} cells {100 * value['mean']:.1f} %" for count, value in counts.items())
            print(f"{truth:8} {method:10} {shares}")


if __name__ == "__main__":
    main()
