"""The evaluators under the protocol of published predictors: digital accuracy, all of NAS-Bench-201's cells tested.

PINAT (Lu et al., AAAI 2023) and TNASP (Lu et al., NeurIPS 2021) learn from 78, 156, 469 and 781 cells (0.5, 1, 3 and
5 % of 15,625) and report Kendall's tau over all cells. Cells are drawn, not functions, so a tested cell may have a twin
among the learnt ones, and the learnt ones are tested, too: that is their protocol, not that of `benchmarks.surrogate`.
The evaluators learn digital accuracies alone, as they would accuracies after a day.

Two differences remain. The labels are the digital accuracies of AnalogNAS-Bench's table, test accuracies of the same
cells; the published figures are of NAS-Bench-201's validation accuracies, whose noise is another. And features and
settings of ours were chosen on four fifths of these cells, by their accuracies on analog tiles.

    python -m benchmarks.published --json
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks._cells import Cells, interval
from benchmarks.surrogate import METHODS, predict

SIZES = (78, 156, 469, 781)
#: Kendall's tau at these sizes, as the paper on PINAT reports both.
PUBLISHED = {"PINAT": (0.549, 0.631, 0.706, 0.761), "TNASP": (0.539, 0.589, 0.640, 0.689)}


def digital(cells: Cells) -> Cells:
    """Return the cells with their digital accuracies in the place of all that was measured on analog tiles."""
    label = cells.table["acc_digital"]
    accuracies = [
        name for name in cells.table if name.startswith(("acc_", "digital_acc_")) and not name.endswith("_std")
    ]
    return replace(cells, table=cells.table.assign(**dict.fromkeys(accuracies, label)))


def measure(sizes: list[int], seeds: list[int], methods: list[str]) -> dict[str, Any]:
    """Return tau of each method at each size, with its interval over seeds."""
    from analognas.evaluators.metrics import kendall_tau

    cells = digital(Cells.load())
    labels = cells.table["acc_1d"].to_numpy()
    everything = np.arange(len(labels))
    taus: dict[str, dict[int, Any]] = {name: {} for name in methods}
    for size in sizes:
        for name in methods:
            values = []
            for seed in seeds:
                learn = np.random.default_rng([20_25, seed]).permutation(everything)[:size]
                scores, _ = predict(name, cells, "acc_1d", learn, everything, seed)
                values.append(kendall_tau(labels, scores))
            taus[name][size] = interval(values)
    return {"seeds": len(seeds), "sizes": sizes, "tau": taus, "published": PUBLISHED}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="cells to learn from")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(10)), help="one draw of cells each")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["ours", "gaussian_process", "xgboost"])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    result = measure(arguments.sizes, arguments.seeds, arguments.methods)
    if arguments.json:
        print(json.dumps(result))
        return
    print(f"Kendall's tau of digital accuracy over all 15,625 cells, {result['seeds']} draws")
    print(" " * 18 + "".join(f"{size:>24}" for size in arguments.sizes))
    for name, by_size in result["tau"].items():
        shown = (f"{value['mean']:.3f} [{value['low']:.3f}, {value['high']:.3f}]" for value in by_size.values())
        print(f"{name:18}" + "".join(f"{text:>24}" for text in shown))
    for name, values in PUBLISHED.items():
        at = dict(zip(SIZES, values, strict=True))
        shown = (f"{at[size]:.3f}" if size in at else "-" for size in arguments.sizes)
        print(f"{name + ', published':18}" + "".join(f"{text:>24}" for text in shown))


if __name__ == "__main__":
    main()
