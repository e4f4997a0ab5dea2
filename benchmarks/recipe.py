"""Hardware-aware training in one way against others: what a recipe is worth, paired by network and seed.

In a workspace whose sample was characterized: the best networks of each budget (by what the table says of them after
30 days, on validation images) are trained digitally once with each seed. From there each recipe goes on with the same
seed: that of `train` in params.yaml, and those of `--against`, each of them `train` with some keys set otherwise. All
are programmed `train.repeats` times and measured on test images.

    python -m benchmarks.recipe --workspace DIR --budgets 5k 10k --networks 12 --seeds 2 \
        --against hwa_learning_rate=0.02 distillation_temperature=null --against distillation_temperature=null --json

Printed are means of the differences, the workspace's recipe minus the other one, over networks (each the mean of its
seeds), with 95 % intervals by Student's t over networks, and the core seconds of the hardware-aware training of each. A
network that diverges with one of them is counted, and no part of the differences. With `--any` the networks are drawn
from the table at random, whatever they are worth.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from analognas.params import HardwareParams, Params, TrainParams
    from analognas.search_spaces import Architecture
    from analognas.stages.identity import DatasetSpec
    from analognas.workspace import Paths

COLUMNS = ("acc_1d", "acc_30d", "avm", "acc_1d_std")
#: Networks of a budget have more than this share of it.
_LEAST_SHARE = 0.5


@dataclass(frozen=True)
class Job:
    """One network, one seed, and all recipes, the first of which the others are compared with."""

    architecture: Architecture
    dataset: DatasetSpec
    hardware: HardwareParams
    recipes: tuple[TrainParams, ...]
    seed: int


def trained(job: Job) -> list[dict[str, float] | None]:
    """Return for each recipe its core seconds and what was measured; None if it diverged."""
    from analognas.hardware.analog import convert
    from analognas.hardware.rpu_config import rpu_config
    from analognas.seeds import derive_seed, seed_torch
    from analognas.training import protocol
    from analognas.training.digital import DivergedError

    dataset, own = job.dataset.load(), derive_seed(job.seed, "characterize", job.architecture.id)
    data, first = dataset.tensors("train"), job.recipes[0]
    outcomes: list[dict[str, float] | None] = []
    with protocol.reproducible("cpu"):
        seed_torch(own, "init")
        network = job.architecture.build()
        try:
            protocol.train_digitally(network, data, first, own=own, augment=dataset.augment)
        except DivergedError:
            return [None] * len(job.recipes)
        for recipe in job.recipes:
            model = convert(copy.deepcopy(network), rpu_config(job.hardware), job.hardware.layers)
            begun = time.process_time()
            try:
                protocol.train_on_tiles(model, network, data, job.hardware, recipe, own=own, augment=dataset.augment)
            except DivergedError:
                outcomes.append(None)
                continue
            seconds = time.process_time() - begun
            columns, _ = protocol.measured(
                (network, model), dataset, "test", recipe, seed=job.seed, label=job.architecture.id
            )
            outcomes.append({"seconds": seconds} | {name: columns[name] for name in COLUMNS})
    return outcomes


def compared(names: Sequence[str], outcomes: Sequence[tuple[str, list[dict[str, float] | None]]]) -> dict[str, Any]:
    """Return what the first recipe is worth against each of the others.

    Args:
        names: of the others.
        outcomes: the id of a network, and what ``trained`` says of it; a network has one entry for each seed.
    """
    from scipy import stats

    told: dict[str, Any] = {}
    for place, name in enumerate(names, start=1):
        both = [(network, rows[0], rows[place]) for network, rows in outcomes]
        whole = [(network, ours, other) for network, ours, other in both if ours is not None and other is not None]
        differences: dict[str, Any] = {}
        for column in COLUMNS:
            by_network: dict[str, list[float]] = {}
            for network, ours, other in whole:
                by_network.setdefault(network, []).append(ours[column] - other[column])
            means = np.array([np.mean(each) for each in by_network.values()])
            half = (
                stats.t.ppf(0.975, len(means) - 1) * means.std(ddof=1) / len(means) ** 0.5 if len(means) > 1 else None
            )
            differences[column] = {
                "value": float(means.mean()), "half_width": None if half is None else float(half),
                "other": float(np.mean([other[column] for _, _, other in whole])),
            }  # fmt: skip
        told[name] = {
            "differences": differences,
            "networks": len({network for network, _, _ in whole}),
            "diverged": sum(ours is None for _, ours, _ in both),
            "diverged_other": sum(other is None for _, _, other in both),
            "seconds": float(np.mean([ours["seconds"] for _, ours, _ in whole])),
            "seconds_other": float(np.mean([other["seconds"] for _, _, other in whole])),
        }
    return told


def networks(params: Params, paths: Paths, budget: int, number: int, *, whatever: bool) -> list[Architecture]:
    """Return the best measured networks of a budget, or some, whatever they are worth."""
    from analognas.seeds import numpy_generator
    from analognas.stages import inputs
    from analognas.stages.rows import learnable, read_table, usable

    rows = usable(learnable(read_table(paths)))
    rows = rows[(rows["params"] <= budget) & (rows["params"] > _LEAST_SHARE * budget)]
    order = rows.sort_values("acc_30d", ascending=False)["id"].tolist()
    if whatever:
        order = [order[int(place)] for place in numpy_generator(params.base.seed, "recipe").permutation(len(order))]
    by_id = {architecture.id: architecture for architecture in inputs.architectures(params, paths)}
    return [by_id[name] for name in order[:number]]


def recipe(params: Params, changes: Sequence[str]) -> TrainParams:
    """Return ``train`` with keys set otherwise: ``key=value``."""
    from analognas.params import Params
    from analognas.params.overrides import parse

    values = {key.partition(".")[2]: value for key, value in parse([f"train.{change}" for change in changes]).items()}
    given = params.model_dump(mode="json")
    return Params.validated(given | {"train": given["train"] | values}).train


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from pathlib import Path

    from analognas.params import Params
    from analognas.params.values import parse_count
    from analognas.seeds import derive_seed
    from analognas.stages import processes
    from analognas.stages.identity import DatasetSpec
    from analognas.workspace import Paths

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--budgets", nargs="+", type=parse_count, default=[10_000])
    parser.add_argument("--networks", type=int, default=12, help="of each budget")
    parser.add_argument("--seeds", type=int, default=1, help="how many")
    parser.add_argument("--against", nargs="+", action="append", required=True, metavar="KEY=VALUE")
    parser.add_argument("--any", action="store_true", help="networks at random, not the best")
    parser.add_argument("--workers", type=int)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    paths = Paths(given.workspace.resolve())
    params = Params.load(paths.params)
    recipes = (params.train, *(recipe(params, changes) for changes in given.against))
    names = [" ".join(changes) for changes in given.against]
    dataset, told = DatasetSpec.of(params, paths), {}
    for budget in given.budgets:
        jobs = [
            Job(architecture, dataset, params.hardware, recipes, derive_seed(params.base.seed, "recipe", seed))
            for architecture in networks(params, paths, budget, given.networks, whatever=given.any)
            for seed in range(given.seeds)
        ]
        done = dict(processes.each(trained, jobs, processes.workers(given.workers)))
        told[str(budget)] = compared(names, [(job.architecture.id, done[row]) for row, job in enumerate(jobs)])
    if given.json:
        print(json.dumps(told))
        return
    for budget, by_name in told.items():
        for name, figures in by_name.items():
            print(f"{int(budget):,} parameters, {figures['networks']} networks, against {name}:")
            for column, value in figures["differences"].items():
                half = "" if value["half_width"] is None else f" ± {value['half_width']:.2f}"
                print(f"  {column}: {value['value']:+.2f}{half} (the other: {value['other']:.2f})")
            print(f"  core seconds {figures['seconds']:.2f} and {figures['seconds_other']:.2f}, "
                  f"diverged {figures['diverged']} and {figures['diverged_other']}")  # fmt: skip


if __name__ == "__main__":
    main()
