"""A third of the core minutes: what shorter trainings, fewer of them, or a closed loop would have recommended.

By replay of two workspaces with the same sample, characterized with the protocol and with a shorter one:

    analognas init long --set sample.size=520
    analognas init short --set sample.size=520 --set characterize.epochs=5 --set characterize.hwa_epochs=2
    python -m benchmarks.shorter --long long --short short --seeds 10 --truth 3 --json

For each seed every method sees a random part of the sample, in random order, fits the default evaluator and recommends
a network of the whole sample by `acc_1d - acc_1d_std`, as a search would. Today's sees 64 long characterizations, the
others as many as a third of that time allows. A loop asks for what it promises in three further batches. With
`--hyperband` Optuna's TPE with its Hyperband pruner trains anew, in the whole space, for a third of that time. What is
recommended is trained with the long protocol and `--truth` seeds that nothing was chosen on. Differences are to
today's, paired by seed, with 95 % intervals by Student's t.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from analognas.evaluators.base import Evaluator
    from analognas.search_spaces import Architecture
    from analognas.stages.characterize import Job

#: Characterizations of the method that the others are compared with.
TODAY = 64
BATCHES = 3


@dataclass(frozen=True)
class Pool:
    """Networks, and what both protocols say of them: tables with the index ``id``."""

    architectures: dict[str, Architecture]
    long: pd.DataFrame
    short: pd.DataFrame
    fit: Callable[[Sequence[Architecture], pd.DataFrame], Evaluator]

    def fitted(self, table: pd.DataFrame, ids: Sequence[str]) -> Evaluator:
        """Return an evaluator that has learned from these rows."""
        rows = table.loc[list(ids)].reset_index()
        return self.fit([self.architectures[name] for name in ids], rows)

    def recommended(self, table: pd.DataFrame, ids: Sequence[str]) -> str:
        """Return the network of the pool that is best by what is known from these rows."""
        known = self.fitted(table, ids).assess(list(self.architectures.values()))
        return str(known["id"].iloc[int((known["acc_1d"] - known["acc_1d_std"]).argmax())])

    def looped(self, table: pd.DataFrame, ids: Sequence[str], batches: int, size: int) -> str:
        """Return the same after batches of what promises most have been measured as well."""
        measured = list(ids)
        for _ in range(batches):
            seen = self.fitted(table, measured).predict(list(self.architectures.values()))
            promise = seen["acc_1d"] - seen["acc_1d_std"] + seen["acc_1d_uncertainty"]
            order = seen["id"].iloc[np.argsort(-promise.to_numpy(), kind="stable")]
            measured += [name for name in order if name not in measured][:size]
        return self.recommended(table, measured)


def methods(pool: Pool, order: Sequence[str], share: float, today: int = TODAY) -> dict[str, Callable[[], str]]:
    """Return by name what recommends a network, given a random order of the pool.

    Args:
        pool: of networks.
        order: of their ids.
        share: core time of a short characterization by that of a long one.
        today: long characterizations of the first method; the others may take a third of their time.
    """
    long, short = round(today / 3), round(today / 3 / share)
    first_long, first_short = long - BATCHES * (long // 7), short - BATCHES * (short // 6)
    return {
        "today": lambda: pool.recommended(pool.long, order[:today]),
        "long": lambda: pool.recommended(pool.long, order[:long]),
        "short": lambda: pool.recommended(pool.short, order[:short]),
        "long, loop": lambda: pool.looped(pool.long, order[:first_long], BATCHES, long // 7),
        "short, loop": lambda: pool.looped(pool.short, order[:first_short], BATCHES, short // 6),
    }


def compared(chosen: dict[str, list[str]], worth: dict[str, float]) -> dict[str, Any]:
    """Return by method the mean worth of what it recommended, and how far that is from today's.

    Args:
        chosen: by method the network of each seed.
        worth: of each network.
    """
    from scipy import stats

    today = np.array([worth[name] for name in chosen["today"]])
    told: dict[str, Any] = {}
    for method, names in chosen.items():
        values = np.array([worth[name] for name in names])
        apart, seeds = values - today, len(values)
        half = stats.t.ppf(0.975, seeds - 1) * apart.std(ddof=1) / seeds**0.5 if seeds > 1 else float("nan")
        told[method] = {
            "value": float(values.mean()), "difference": float(apart.mean()), "half_width": float(half),
            "networks": len(set(names)),
        }  # fmt: skip
    return told


def hyperband(long: Path, jobs: dict[str, Job], seeds: int, today: int) -> list[Architecture]:
    """Return what Optuna's TPE with Hyperband recommends, of each seed, in a third of the time of today's method."""
    from analognas.params import Params
    from analognas.seeds import derive_seed
    from analognas.stages import inputs, processes
    from analognas.workspace import Paths
    from benchmarks import _hyperband

    paths = Paths(long.resolve())
    space = inputs.space(Params.load(paths.params), paths)
    known = list(jobs.values())
    seconds = dict(processes.each(_seconds, [known[i] for i in range(0, len(known), max(1, len(known) // 24))], 1))
    typical = float(np.mean(list(seconds.values())[1:]))  # the first loads what all need
    studies = [
        _hyperband.Study(known[0], space, derive_seed(seed, "hyperband"), today / 3 * typical) for seed in range(seeds)
    ]
    studied = dict(processes.each(_hyperband.recommended, studies, processes.workers(None)))
    return [studied[seed] for seed in range(seeds)]


def _seconds(job: Job) -> float:
    """Return the core seconds of a characterization."""
    import time

    from analognas.stages.characterize import measure

    begun = time.process_time()
    measure(job)
    return time.process_time() - begun


def trained(job: Job) -> dict[str, float] | None:
    """Return what a network keeps after a day and after 30 days on validation images, None if it diverges."""
    from analognas.stages.characterize import measure

    row = measure(job)
    return {name: row[name] for name in ("acc_1d", "acc_1d_std", "acc_30d")} if row.ok else None


def _measured(folder: Path) -> tuple[dict[str, Job], pd.DataFrame]:
    """Return the jobs of a workspace's sample and what was measured, by id."""
    from analognas.params import Params
    from analognas.stages import characterize
    from analognas.stages.rows import learnable, read_table, usable
    from analognas.workspace import Paths

    paths = Paths(folder.resolve())
    jobs = characterize.jobs(Params.load(paths.params), paths)
    by_id = {job.architecture.id: job for job in jobs if not job.replicate}
    return by_id, usable(learnable(read_table(paths))).set_index("id")


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from analognas.evaluators import XGBoostEvaluator
    from analognas.seeds import derive_seed, numpy_generator
    from analognas.stages import processes

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--long", type=Path, required=True, help="workspace of the protocol")
    parser.add_argument("--short", type=Path, required=True, help="workspace of the shorter one")
    parser.add_argument(
        "--share", type=float, default=0.37, help="core time of a short characterization by a long one's"
    )
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--truth", type=int, default=3, help="trainings of what is recommended")
    parser.add_argument("--today", type=int, default=TODAY, help="long characterizations that are compared with")
    parser.add_argument("--hyperband", action="store_true", help="Optuna's TPE with Hyperband beside them")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    (jobs, long), (_, short) = _measured(given.long), _measured(given.short)
    ids = [name for name in long.index if name in short.index]

    def fit(architectures: Sequence[Architecture], rows: pd.DataFrame) -> Evaluator:
        return XGBoostEvaluator(bootstrap=10, seed=0).fit(architectures, rows.drop(columns=["protocol"]))

    pool = Pool({name: jobs[name].architecture for name in ids}, long, short, fit)
    chosen: dict[str, list[str]] = {}
    for seed in range(given.seeds):
        order = [ids[place] for place in numpy_generator(seed, "shorter").permutation(len(ids))]
        for method, recommend in methods(pool, order, given.share, given.today).items():
            chosen.setdefault(method, []).append(recommend())
    if given.hyperband:
        job = next(iter(jobs.values()))
        for architecture in hyperband(given.long, jobs, given.seeds, given.today):
            jobs.setdefault(architecture.id, replace(job, architecture=architecture))
            chosen.setdefault("TPE, Hyperband", []).append(architecture.id)
    names = sorted({name for each in chosen.values() for name in each})
    again = [
        replace(jobs[name], seed=derive_seed(jobs[name].seed, "shorter", seed))
        for name in names
        for seed in range(given.truth)
    ]
    rows = dict(processes.each(trained, again, processes.workers(None)))
    worth: dict[str, dict[str, float]] = {"value": {}, "acc_30d": {}}
    for place, name in enumerate(names):
        kept = [row for row in (rows[place * given.truth + seed] for seed in range(given.truth)) if row is not None]
        worth["value"][name] = float(np.mean([row["acc_1d"] - row["acc_1d_std"] for row in kept])) if kept else 0.0
        worth["acc_30d"][name] = float(np.mean([row["acc_30d"] for row in kept])) if kept else 0.0
    told = {what: compared(chosen, values) for what, values in worth.items()}
    if given.json:
        print(json.dumps(told))
        return
    for what, by_method in told.items():
        for method, figures in by_method.items():
            apart = f"{figures['difference']:+.2f} ± {figures['half_width']:.2f}"
            print(f"{what}: {method}: {figures['value']:.2f} ({apart}, {figures['networks']} networks)")


if __name__ == "__main__":
    main()
