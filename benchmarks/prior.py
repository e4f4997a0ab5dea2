"""An unseen chip: what a few characterizations tell with an evaluator of another chip to start from, and without.

Two workspaces of the same space whose samples were characterized, each on a chip of its own:

    analognas init first --set space.max_params=50k --set sample.size=520
    analognas init second --set space.max_params=50k --set sample.size=160 --set hardware.rpu_config=pcm-hermes
    python -m benchmarks.prior --prior first --workspace second --json

For each seed half of the second sample is put aside; evaluators learn from 16, 32 and 64 others, with and without the
evaluator of the first chip as `fit.prior`, which has seen none of the architectures put aside. Kendall's tau, mean
absolute error, coverage of the 90 % intervals, and by how much what is recommended among those put aside
(`acc_1d - acc_1d_std`) is worth less than the best of them. Differences are paired by seed.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks._cells import interval

if TYPE_CHECKING:
    import pandas as pd

    from analognas.evaluators import XGBoostEvaluator
    from analognas.search_spaces import Architecture

SIZES = (16, 32, 64)


def measured(folder: Path) -> tuple[list[Architecture], pd.DataFrame]:
    """Return the architectures of a workspace that were measured, and their rows."""
    from analognas.params import Params
    from analognas.stages import inputs
    from analognas.stages.rows import learnable, read_table, usable
    from analognas.workspace import Paths

    paths = Paths(folder)
    by_id = {known.id: known for known in inputs.architectures(Params.load(paths.params), paths)}
    rows = usable(learnable(read_table(paths))).drop_duplicates("id").reset_index(drop=True)
    return [by_id[name] for name in rows["id"]], rows


def told(evaluator: XGBoostEvaluator, architectures: list[Architecture], rows: pd.DataFrame) -> dict[str, float]:
    """Return how well an evaluator does on architectures that it has not seen."""
    from analognas.evaluators import TARGETS
    from analognas.evaluators.metrics import kendall_tau

    predicted = evaluator.predict(architectures)
    figures: dict[str, float] = {}
    for target in TARGETS:
        truth = rows[target].to_numpy()
        scores = predicted["acc_1d_score" if target == "acc_1d" else target].to_numpy()
        figures[f"{target}.tau"] = kendall_tau(truth, scores)
        figures[f"{target}.error"] = float(np.abs(truth - predicted[target].to_numpy()).mean())
        inside = (predicted[f"{target}_low"].to_numpy() <= truth) & (truth <= predicted[f"{target}_high"].to_numpy())
        figures[f"{target}.coverage"] = float(inside.mean())
    worth = (rows["acc_1d"] - rows["acc_1d_std"]).to_numpy()
    recommended = int((predicted["acc_1d"] - predicted["acc_1d_std"]).to_numpy().argmax())
    figures["regret"] = float(worth.max() - worth[recommended])
    return figures


def measure(first: Path, second: Path, seeds: list[int], sizes: list[int]) -> dict[str, Any]:
    """Return the figures by way and number of architectures, means over seeds with 95 % intervals, and differences."""
    from analognas.evaluators import XGBoostEvaluator

    before, before_rows = measured(first)
    own, own_rows = measured(second)
    figures: dict[str, list[dict[str, float]]] = {}
    for seed in seeds:
        order = np.random.default_rng([20_24, seed]).permutation(len(own))
        aside, others = order[: len(own) // 2], order[len(own) // 2 :]
        tested, rows = [own[i] for i in aside], own_rows.iloc[aside]
        hidden = {known.id for known in tested}
        seen = [i for i, known in enumerate(before) if known.id not in hidden]
        with tempfile.TemporaryDirectory() as folder:
            prior = Path(folder) / "prior"
            known = XGBoostEvaluator(seed=seed, report=False)
            known.fit([before[i] for i in seen], before_rows.iloc[seen].reset_index(drop=True)).save(prior)
            for size in sizes:
                taken = others[:size]
                for way, where in (("alone", None), ("prior", prior)):
                    evaluator = XGBoostEvaluator(seed=seed, report=False, prior=where)
                    evaluator.fit([own[i] for i in taken], own_rows.iloc[taken].reset_index(drop=True))
                    figures.setdefault(f"{way} {size}", []).append(told(evaluator, tested, rows))
        print(f"seed {seed}", flush=True)
    names = list(next(iter(figures.values()))[0])
    least, most = f"prior {min(sizes)}", f"alone {max(sizes)}"
    return {
        "architectures": {"first": len(before), "second": len(own)},
        "seeds": len(seeds),
        "figures": {
            way: {name: interval([run[name] for run in runs]) for name in names} for way, runs in figures.items()
        },
        "difference": {
            "of": f"{least} minus {most}",
            **{
                name: interval([a[name] - b[name] for a, b in zip(figures[least], figures[most], strict=True)])
                for name in names
            },
        },
    }


def main() -> None:
    """Run the benchmark."""
    import contextlib
    import sys

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prior", type=Path, required=True, help="workspace of the chip that is known")
    parser.add_argument("--workspace", type=Path, required=True, help="workspace of the other chip")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(20)), help="one split each")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="architectures to learn from")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with contextlib.redirect_stdout(sys.stderr):
        figures = measure(arguments.prior, arguments.workspace, arguments.seeds, arguments.sizes)
    if arguments.json:
        print(json.dumps(figures))
        return
    for way, values in figures["figures"].items():
        print(way, " ".join(f"{name} {value['mean']:.3f}" for name, value in values.items()))
    print(figures["difference"].pop("of"))
    for name, value in figures["difference"].items():
        print(f"  {name:20} {value['mean']:+.3f} [{value['low']:+.3f}, {value['high']:+.3f}]")


if __name__ == "__main__":
    main()
