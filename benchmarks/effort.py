"""How well `analognas.hardware.cost.effort` tells how long a network takes, and what would tell it best.

Estimates of a run's time, and the order in which architectures are characterized, rest on it. Architectures of three
shapes of images, spread over their spaces by effort, are trained and measured for a few steps on one core; the time of
a characterization on `--images` images is put together from that (10 + 3 epochs, 5 programmings). Reported is the ratio
of the effort to the time, each divided by its geometric mean, and the weights of multiplications, outputs and layers
whose relative errors are least.

    python -m benchmarks.effort --json
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from analognas.datasets import Dataset
    from analognas.search_spaces import ConfigSpace

#: Shapes of images and the budgets of their spaces.
SPACES = (((1, 8, 8), 20_000), ((3, 16, 16), 50_000), ((3, 32, 32), 100_000))
PARTS = ("macs", "outputs", "layers")


def timed(space: ConfigSpace, dataset: Dataset, count: int, images: int) -> list[dict[str, float]]:
    """Return multiplications, outputs, layers, effort and the seconds of a characterization of some architectures."""
    from analognas.hardware.cost import effort
    from analognas.params import Params
    from analognas.setup import probe

    params = Params()
    training = params.characterize.model_copy(update={"epochs": 10, "hwa_epochs": 3, "repeats": 5})
    sample = sorted(space.sample(4 * count, seed=1), key=lambda architecture: effort(architecture.structure))
    rows = []
    for architecture in sample[2::4]:
        speed = probe.measure([architecture], dataset, params)
        structure, cost = architecture.structure, effort(architecture.structure)
        rows.append(
            {
                "macs": structure.macs, "outputs": structure.outputs, "layers": len(structure.layers), "effort": cost,
                "seconds": speed.seconds(cost, training, images, images // 4),
            }
        )  # fmt: skip
        print(f"{architecture.params:,} parameters: {rows[-1]['seconds']:.0f} s", file=sys.stderr)
    return rows


def judge(rows: list[dict[str, float]]) -> dict[str, Any]:
    """Return how far effort and time are apart, and the weights that fit the times best."""
    from scipy.optimize import nnls

    seconds = np.array([row["seconds"] for row in rows])
    ratio = np.array([row["effort"] for row in rows]) / seconds
    ratio /= np.exp(np.log(ratio).mean())
    parts = np.array([[row[name] for name in PARTS] for row in rows], dtype=float)
    weights, _ = nnls(parts / seconds[:, None], np.ones(len(rows)))  # of relative errors
    fitted = parts @ weights / seconds
    return {
        "architectures": len(rows),
        "ratio": {"std_of_log": float(np.log(ratio).std()), "least": float(ratio.min()), "most": float(ratio.max())},
        "best": {
            **{f"seconds_per_{name}": float(weight) for name, weight in zip(PARTS, weights, strict=True)},
            "std_of_log": float(np.log(fitted).std()),
        },
    }


def measure(count: int, images: int) -> dict[str, Any]:
    """Time architectures of all shapes and judge them together."""
    from analognas.datasets import load
    from analognas.datasets.base import Split
    from analognas.search_spaces import ConfigSpace

    rng = np.random.default_rng(0)
    rows = []
    for shape, budget in SPACES:
        noise = Split(rng.integers(0, 256, (1024, *shape), dtype=np.uint8), rng.integers(0, 10, 1024))
        mean, std = (0.5,) * shape[0], (0.3,) * shape[0]
        like = replace(load("digits"), input_shape=shape, mean=mean, std=std, scale=255.0, augment=())
        dataset = replace(like, train=noise, validation=noise, test=noise)
        rows += timed(ConfigSpace(input_shape=shape, classes=10, max_params=budget), dataset, count, images)
    return judge(rows)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=12, help="architectures of each shape")
    parser.add_argument("--images", type=int, default=3000, help="of the characterization whose time is told")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    measured = measure(arguments.count, arguments.images)
    if arguments.json:
        print(json.dumps(measured))
        return
    ratio, best = measured["ratio"], measured["best"]
    print(f"effort / time of {measured['architectures']} architectures: {ratio['least']:.2f} to {ratio['most']:.2f}")
    print(f"standard deviation of the logarithm: {ratio['std_of_log']:.3f} (best weights: {best['std_of_log']:.3f})")
    macs = best["seconds_per_macs"]
    for name in PARTS[1:]:
        print(f"one of the {name} takes as long as {best[f'seconds_per_{name}'] / macs:,.0f} multiplications")


if __name__ == "__main__":
    main()
