"""The result table: how much of its accuracy each network keeps while the chip drifts, at equal parameters.

In a workspace whose sample was characterized (`analognas run`), for every budget of parameters:

- "ours": what the search finds with the evaluator, as `analognas run` does, within the budget;
- "digital": what the same search finds with an evaluator of the digital accuracy alone;
- "random": the best measured one of the sample within the budget: at the budget that was sampled, what random search
  finds at the same training cost; below it, fewer networks compete;
- "resnet32": the residual network with 32 layers (He et al., CVPR 2016), as wide as the budget allows;
- "tiny_resnet": the residual network of MLPerf Tiny (Banbury et al., arXiv 2106.07597), likewise;
- "mean" and "worst", if they are asked for: what the same search finds for the mean over programmings alone
  (`search.k: 0`), and for their 5 % quantile (`search.objective: quantile`).

The search only knows results on the validation part. Each network is then trained anew with every seed, in the same way
(`train` in params.yaml), and measured on the test part, `train.repeats` times programmed. Differences are between means
over seeds and devices; their 95 % intervals come from a bootstrap over seeds, devices and test images (the same images
for both). A training that diverges is done again with another seed, as anybody would; how many did is counted, and it
is no part of the differences. A difference whose interval covers zero is called inconclusive; each
interval stands for itself, so of twenty comparisons without any difference one is expected to look like one.

    python -m benchmarks.table --workspace DIR --budgets 5k 10k 20k --seeds 10 --json

What is trained is kept in DIR/data/table/, so a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from analognas.params import HardwareParams, Params, TrainParams
    from analognas.search_spaces import Architecture
    from analognas.stages.identity import DatasetSpec
    from analognas.workspace import Paths

METHODS = ("ours", "digital", "random", "resnet32", "tiny_resnet")
#: Those that are compared only if they are asked for.
OBJECTIVES = {"mean": {"k": 0.0}, "worst": {"objective": "quantile", "quantile": 0.05}}
#: The figures that are compared, and whether more (1) or less (-1) is better.
COMPARED = {"acc_1d": 1, "acc_30d": 1, "avm": -1, "acc_1d_q05": 1}
RESAMPLES = 2000
ATTEMPTS = 5


@dataclass(frozen=True)
class Job:
    """One training of one network."""

    architecture: Architecture
    dataset: DatasetSpec
    hardware: HardwareParams
    training: TrainParams
    seed: int
    folder: str

    @property
    def file(self) -> Path:
        """Where its outcomes are kept; the name says everything that decides them."""
        from analognas.files import digest
        from analognas.stages import PROTOCOLS, identity

        inputs = [
            self.architecture.id, self.dataset.identity("test"), identity.hardware_id(self.hardware),
            self.hardware.layers, self.training.model_dump(mode="json"), self.seed,
            PROTOCOLS["train"], version("torch"), version("aihwkit"),
        ]  # fmt: skip
        return Path(self.folder) / f"{digest(inputs)[:32]}.npz"


def train(job: Job) -> None:
    """Train and measure a network on the test part; keep which images were right."""
    from analognas.seeds import derive_seed
    from analognas.training.digital import DivergedError
    from analognas.training.protocol import train as train_network

    dataset = job.dataset.load()
    for diverged in range(ATTEMPTS):
        seed = derive_seed(job.seed, "again", diverged) if diverged else job.seed
        try:
            trained = train_network(job.architecture, dataset, job.hardware, job.training, seed=seed)
            break
        except DivergedError:
            if diverged == ATTEMPTS - 1:
                raise
    measured = trained.measure(dataset, "test")
    right, digital = measured.right, measured.row["acc_digital"]
    assert right is not None
    beside = job.file.with_suffix(f".{os.getpid()}.tmp")
    with beside.open("wb") as file:
        np.savez(
            file, right=np.packbits(right, axis=2), shape=np.array(right.shape), digital=np.array(digital),
            diverged=np.array(diverged),
        )  # fmt: skip
    beside.replace(job.file)


def read(job: Job) -> tuple[np.ndarray[Any, Any], float, int]:
    """Return which images were right, (repeats, times, images), the digital accuracy, percent, and what diverged."""
    with np.load(job.file, allow_pickle=False) as stored:
        shape = tuple(stored["shape"])
        right = np.unpackbits(stored["right"], axis=2, count=shape[2]).astype(bool)
        return right, float(stored["digital"]), int(stored["diverged"])


def networks(params: Params, paths: Paths, budget: int, methods: list[str]) -> dict[str, Architecture]:
    """Return the network that each method takes within a budget; none where nothing fits."""
    import pandas as pd

    from analognas.search_algorithms import Worker
    from analognas.search_algorithms.registry import optimizer_class
    from analognas.search_spaces.baseline import residual_network
    from analognas.seeds import derive_seed
    from analognas.stages import inputs as stage_inputs
    from analognas.stages.fit import unfitted
    from analognas.stages.rows import learnable
    from analognas.stages.search import by_hand, joined

    space = stage_inputs.space(params, paths)
    rows = learnable(pd.read_parquet(paths.surrogate))
    rows = rows[rows["status"] == "ok"].reset_index(drop=True)
    by_id = {architecture.id: architecture for architecture in stage_inputs.architectures(params, paths)}
    known = [by_id[name] for name in rows["id"]]
    seed = derive_seed(params.base.seed, "fit")

    def search(results: Any, **how: Any) -> Architecture:
        evaluator = unfitted(params, seed, paths).fit(known, results)
        optimizer = optimizer_class(params.search.optimizer)(
            evaluator, population_size=params.search.population_size, nb_iter=params.search.nb_iter,
            max_nb_param=budget, min_acc_1d=params.search.min_acc_1d,
            seed=derive_seed(params.base.seed, "search", params.search.optimizer), **how,
        )  # fmt: skip
        worker = Worker(space, optimizer, params.search.runs)
        worker.search()
        return joined(worker, by_hand(evaluator, space).values(), evaluator, 1)[0]

    proposed: dict[str, Architecture | None] = {}
    given = params.search
    if "ours" in methods:
        how = {"objective": given.objective, "k": given.k, "quantile": given.quantile}
        proposed["ours"] = search(rows, T_AVM=given.T_AVM, **how)
    for name in OBJECTIVES.keys() & set(methods):
        proposed[name] = search(rows, T_AVM=given.T_AVM, **OBJECTIVES[name])
    if "digital" in methods:
        proposed["digital"] = search(rows.assign(acc_1d=rows["acc_digital"]), k=0.0)
    if "random" in methods:
        within = rows[rows["params"] <= budget]
        proposed["random"] = None if within.empty else by_id[within.loc[within["acc_1d"].idxmax(), "id"]]
    if "resnet32" in methods:
        proposed["resnet32"] = residual_network(space.id, 5, budget)
    if "tiny_resnet" in methods:
        proposed["tiny_resnet"] = residual_network(space.id, 1, budget)
    return {name: architecture for name, architecture in proposed.items() if architecture is not None}


class Measured:
    """What the trainings of one network gave, and its bootstrap.

    Args:
        right: by seed, (repeats, times, images).
        digital: by seed, percent.
        times: seconds.
    """

    def __init__(self, right: list[np.ndarray[Any, Any]], digital: list[float], times: tuple[float, ...]) -> None:
        self.right = np.stack(right)
        self.digital = float(np.mean(digital))
        self.place = {time: index for index, time in enumerate(times)}

    def figures(self) -> dict[str, float]:
        """Return the means over seeds, devices and images, percent and percentage points.

        ``acc_1d_q05`` is the 5 % quantile over all programmings of all trainings.
        """
        from analognas.training.columns import ONE_DAY, ONE_SECOND, THIRTY_DAYS

        accuracy = 100.0 * self.right.mean(axis=3)  # (seeds, repeats, times)
        at = {label: accuracy[..., self.place[time]] for label, time in
              (("1s", ONE_SECOND), ("1d", ONE_DAY), ("30d", THIRTY_DAYS))}  # fmt: skip
        return {
            "acc_digital": self.digital,
            **{f"acc_{label}": float(values.mean()) for label, values in at.items()},
            "avm": float((at["1s"] - at["30d"]).mean()),
            "acc_1d_std": float(at["1d"].std(axis=1, ddof=1).mean()),
            "acc_1d_q05": float(np.quantile(at["1d"], 0.05, method="inverted_cdf")),
            "acc_1d_std_of_seeds": float(at["1d"].mean(axis=1).std(ddof=1)) if len(accuracy) > 1 else float("nan"),
        }

    def resampled(self, images: np.ndarray[Any, Any], rng: np.random.Generator) -> dict[str, np.ndarray[Any, Any]]:
        """Return the figures of ``COMPARED`` of every resample, (resamples,) each.

        Args:
            images: how often each image is in each resample, (resamples, images).
            rng: draws seeds, and devices within each.
        """
        from analognas.training.columns import ONE_DAY, ONE_SECOND, THIRTY_DAYS

        seeds, repeats, times, count = self.right.shape
        drawn = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=len(images))
        # Each time a seed is drawn its devices are drawn anew: a multinomial of all draws at once.
        weights = np.stack(
            [rng.multinomial(repeats * drawn[:, s], np.full(repeats, 1 / repeats)) for s in range(seeds)], axis=1
        ).reshape(len(images), -1)
        flat = self.right.reshape(seeds * repeats, times * count).astype(np.float32)
        by_image = (weights.astype(np.float32) @ flat).reshape(len(images), times, count) / (seeds * repeats)
        accuracy = 100.0 * np.einsum("btn,bn->bt", by_image, images.astype(np.float32)) / count
        at = {time: accuracy[:, index] for time, index in self.place.items()}
        day = self.right[:, :, self.place[ONE_DAY]].reshape(seeds * repeats, count).astype(np.float32)
        each = 100.0 * (images.astype(np.float32) @ day.T) / count  # of every programming, (resamples, seeds * repeats)
        order = each.argsort(axis=1, kind="stable")
        reached = np.take_along_axis(weights, order, 1).cumsum(axis=1) >= 0.05 * seeds * repeats
        lowest = np.take_along_axis(order, reached.argmax(axis=1)[:, None], 1)
        return {
            "acc_1d_q05": np.take_along_axis(each, lowest, 1)[:, 0],
            "acc_1d": at[ONE_DAY],
            "acc_30d": at[THIRTY_DAYS],
            "avm": at[ONE_SECOND] - at[THIRTY_DAYS],
        }


def compare(measured: dict[str, Measured], resamples: int = RESAMPLES) -> dict[str, Any]:
    """Return ours (or else the first one) minus each other one with 95 % intervals, and what may be claimed."""
    rng = np.random.default_rng(0)
    reference = "ours" if "ours" in measured else next(iter(measured))
    count = measured[reference].right.shape[3]
    images = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
    drawn = {name: network.resampled(images, rng) for name, network in measured.items()}
    own = measured[reference].figures()
    compared: dict[str, Any] = {}
    for name in measured:
        if name == reference:
            continue
        other = measured[name].figures()
        compared[name] = {}
        for figure, better in COMPARED.items():
            low, high = np.quantile(drawn[reference][figure] - drawn[name][figure], [0.025, 0.975])
            verdict = "inconclusive" if low <= 0 <= high else "better" if better * low > 0 else "worse"
            compared[name][figure] = {
                "difference": own[figure] - other[figure], "low": float(low), "high": float(high), "ours_is": verdict,
            }  # fmt: skip
    return compared


def measure(
    workspace: Path, budgets: list[int], seeds: int, methods: list[str], processes: int | None = None
) -> dict[str, Any]:
    """Train what is missing and return the table."""
    from analognas.params import Params
    from analognas.stages.identity import DatasetSpec
    from analognas.stages.processes import each, workers
    from analognas.workspace import Paths

    paths = Paths.find(workspace)
    params = Params.load(paths.params)
    folder = paths.root / "data" / "table"
    folder.mkdir(exist_ok=True)
    spec = DatasetSpec.of(params, paths)
    chosen = {budget: networks(params, paths, budget, methods) for budget in budgets}

    def jobs(architecture: Architecture) -> list[Job]:
        return [
            Job(architecture, spec, params.hardware, params.train, seed, str(folder)) for seed in range(1, seeds + 1)
        ]

    needed = {job.file: job for by_method in chosen.values() for network in by_method.values() for job in jobs(network)}
    missing = [job for file, job in needed.items() if not file.is_file()]
    for done, (index, _) in enumerate(each(train, missing, workers(processes)), 1):
        print(f"{done}/{len(missing)}: {missing[index].architecture.id}", file=sys.stderr, flush=True)

    table: dict[str, Any] = {}
    for budget, by_method in chosen.items():
        measured, again = {}, {}
        for name, network in by_method.items():
            outcomes = [read(job) for job in jobs(network)]
            right, digital, diverged = zip(*outcomes, strict=True)
            measured[name] = Measured(list(right), list(digital), params.train.times)
            again[name] = sum(diverged)
        table[str(budget)] = {
            "networks": {
                name: {
                    "id": network.id,
                    "params": network.params,
                    "tiles": _tiles(network, params),
                    "genes": dict(network.genes),
                }
                | measured[name].figures()
                | {"diverged": again[name]}
                for name, network in by_method.items()
            },
            "ours_minus": compare(measured),
        }
    return {
        "dataset": params.dataset.name,
        "seeds": seeds,
        "repeats": params.train.repeats,
        "sample": params.sample.size,
        "budgets": table,
    }


def _tiles(architecture: Architecture, params: Params) -> int:
    from analognas.hardware.cost import tiles

    return tiles(architecture.structure, params.hardware.tile_shape)


def markdown(compared: dict[str, Any]) -> str:
    """Return the table as people read it."""
    lines = [
        "| budget | network | parameters | tiles | digital | 1 s | 1 day (std) | 30 days | AVM "
        "| ours minus it, 30 days | ... AVM |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]

    def difference(interval: dict[str, Any]) -> str:
        unsure = ", inconclusive" if interval["ours_is"] == "inconclusive" else ""
        return f"{interval['difference']:+.2f} [{interval['low']:+.2f}, {interval['high']:+.2f}]{unsure}"

    for budget, part in compared["budgets"].items():
        for name, network in part["networks"].items():
            against = part["ours_minus"].get(name)
            same = name != "ours" and network["id"] == part["networks"].get("ours", {}).get("id")
            again = f" ({network['diverged']} diverged)" if network.get("diverged") else ""
            cells = [
                f"{int(budget):,}", f"{name}{again}", f"{network['params']:,}", str(network["tiles"]),
                f"{network['acc_digital']:.2f}", f"{network['acc_1s']:.2f}",
                f"{network['acc_1d']:.2f} ({network['acc_1d_std']:.2f})", f"{network['acc_30d']:.2f}",
                f"{network['avm']:.2f}",
                *("the same network" if same else difference(against[figure]) if against else ""
                  for figure in ("acc_30d", "avm")),
            ]  # fmt: skip
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Run the benchmark."""
    from analognas.params import parse_count

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, default=Path(), help="folder whose sample was characterized")
    parser.add_argument("--budgets", nargs="+", default=["10k"], help="parameters, e.g. 100k 200k 500k")
    parser.add_argument("--seeds", type=int, default=10, help="trainings of every network")
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=[*METHODS, *OBJECTIVES],
        default=list(METHODS),
        help="some of them, or more; without ours the first is compared",
    )
    parser.add_argument("--processes", type=int, help="side by side; left out: one per CPU")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    budgets = [int(parse_count(text)) for text in arguments.budgets]
    compared = measure(arguments.workspace, budgets, arguments.seeds, arguments.methods, arguments.processes)
    print(json.dumps(compared) if arguments.json else markdown(compared))


if __name__ == "__main__":
    main()
