"""How well surrogates rank cells that they have not seen: Kendall's tau on AnalogNAS-Bench.

Side by side on the same splits: the ensemble ("ours"), its Gaussian processes alone, the default XGBoost evaluator, and
what the reference implementation does ("reference": XGBoost with its defaults on the raw integers of the genes), also
with one-hot genes. Splits are by function, see `benchmarks._cells`.

    python -m benchmarks.surrogate --target acc_1d --train-size 100 --seeds 0 1 2 --json
    python -m benchmarks.surrogate --set-aside            # the cells that nothing was chosen on
"""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

import numpy as np

from benchmarks._cells import TARGETS, Cells, interval

METHODS = ("ours", "gaussian_process", "xgboost", "one_hot", "reference")


def measure(target: str, size: int, seeds: list[int], tested: int, final: bool, methods: list[str]) -> dict[str, Any]:
    """Return tau of each method, its interval over seeds, and how much the 90 % intervals hold."""
    from analognas.evaluators.metrics import kendall_tau

    cells = Cells.load()
    labels = cells.table[target].to_numpy()
    taus: dict[str, list[float]] = {name: [] for name in methods}
    held: dict[str, list[float]] = {}
    for seed in seeds:
        learn, test = (drawn[np.isfinite(labels[drawn])] for drawn in cells.split(seed, size, tested, final))
        for name in methods:
            scores, inside = predict(name, cells, target, learn, test, seed)
            taus[name].append(kendall_tau(labels[test], scores))
            if inside is not None:
                held.setdefault(name, []).append(inside)
    return {
        "target": target,
        "train_size": size,
        "seeds": len(seeds),
        "set_aside": final,
        "tau": {name: round(float(np.mean(values)), 4) for name, values in taus.items()},
        "tau_interval": {name: interval(values) for name, values in taus.items()},
        "coverage": {name: round(float(np.mean(values)), 4) for name, values in held.items()},
    }


def predict(name: str, cells: Cells, target: str, learn: Any, test: Any, seed: int) -> tuple[Any, float | None]:
    """Return scores of the test cells, and the share of their labels within the 90 % interval."""
    from analognas.evaluators import XGBoostEvaluator
    from analognas.evaluators.ensemble import EnsembleEvaluator, GaussianProcessEvaluator
    from analognas.search_spaces.nasbench201.family import EDGE_GENES

    if name in ("reference", "one_hot"):
        import xgboost as xgb

        genes = cells.table[list(EDGE_GENES)].to_numpy()
        matrix = genes if name == "reference" else (genes[:, :, None] == np.arange(5)).reshape(len(genes), -1)
        model = xgb.XGBRegressor(n_jobs=1, random_state=seed)
        model.fit(matrix[learn].astype(float), cells.table[target].to_numpy()[learn])
        return model.predict(matrix[test].astype(float)), None
    make: dict[str, Any] = {
        "ours": EnsembleEvaluator,
        "gaussian_process": GaussianProcessEvaluator,
        "xgboost": XGBoostEvaluator,
    }
    # Nothing of the test cells goes in: a frame of the learnt ones alone.
    rows = cells.table.iloc[learn].reset_index(drop=True)
    evaluator = make[name](seed=seed, report=False).fit([cells.architectures[i] for i in learn], rows)
    predicted = evaluator.predict([cells.architectures[i] for i in test])
    label = cells.table[target].to_numpy()[test]
    inside = (predicted[f"{target}_low"].to_numpy() <= label) & (label <= predicted[f"{target}_high"].to_numpy())
    scores = predicted["acc_1d_score"] if target == "acc_1d" else predicted[target]
    return scores.to_numpy(), float(inside.mean())


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", choices=TARGETS, default="acc_1d", help="what is ranked")
    parser.add_argument("--train-size", type=int, default=100, help="cells to learn from")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(20)), help="one split each")
    parser.add_argument("--test-size", type=int, default=1500, help="functions to test on, at most")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), help="some of them only")
    parser.add_argument("--set-aside", action="store_true", help="test on the fifth that nothing was chosen on")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    figures = measure(
        arguments.target,
        arguments.train_size,
        arguments.seeds,
        arguments.test_size,
        arguments.set_aside,
        arguments.methods,
    )
    if arguments.json:
        print(json.dumps(figures))
        return
    print(f"{arguments.target}, {arguments.train_size} cells, {len(arguments.seeds)} seeds")
    for name, values in figures["tau_interval"].items():
        held = f"  90 % interval holds {figures['coverage'][name]:.1%}" if name in figures["coverage"] else ""
        print(f"{name:18} tau {values['mean']:.3f} [{values['low']:.3f}, {values['high']:.3f}]{held}")


if __name__ == "__main__":
    main()
