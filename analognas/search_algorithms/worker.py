"""The worker: runs a search several times, keeps everything, and trains the final network."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, cast

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.table import Table

from analognas.errors import SearchError
from analognas.hardware.cost import cost
from analognas.progress import Progress
from analognas.search_algorithms.constraints import Constraints, InfeasibleError, Objective, whole
from analognas.search_algorithms.pareto import TRADE_OFF, non_dominated, pareto_front
from analognas.search_algorithms.verdicts import verdicts
from analognas.seeds import derive_seed

if TYPE_CHECKING:
    from analognas.datasets import Dataset
    from analognas.hardware.chips import Chip
    from analognas.hardware.params import HardwareParams
    from analognas.search_algorithms.base import Optimizer
    from analognas.search_algorithms.records import Evaluated, KnownValues, SearchResult
    from analognas.search_spaces.architecture import Architecture
    from analognas.search_spaces.config_space import ConfigSpace
    from analognas.training.params import TrainingParams
    from analognas.training.protocol import Characterization

__all__ = ["TRADE_OFF", "SearchSummary", "Worker", "non_dominated"]

_BOUNDS = {"mean": "its prediction", "upper": "the upper end of its interval"}
_LABELS = (
    ("acc_1d", "1-day accuracy", "%"),
    ("acc_1d_std", "1-day std", "points"),
    ("avm", "AVM (1 month)", "points"),
)
_COSTS = (("tiles", "tiles", ""), ("latency_us", "latency", "us"), ("energy_uj", "energy", "uJ"))


@dataclass(frozen=True)
class SearchSummary:
    """What a worker's search found; prints as a table.

    Args:
        architecture: the best one over all runs.
        value: its objective.
        prediction: its predicted values.
        objective: what was maximised.
        limits: the limits that it was to hold.
        chip: whose costs are told.
        runs: best objective of each run by its number, NaN where nothing holds them.
        evaluated: distinct architectures evaluated over all runs.
        feasible: how many of them hold the limits.
    """

    architecture: Architecture
    value: float
    prediction: KnownValues
    objective: Objective
    limits: Constraints
    chip: Chip
    runs: dict[int, float] = field(default_factory=dict)
    evaluated: int = 0
    feasible: int = 0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Group(self._found(), self._genes())

    def __str__(self) -> str:
        console = Console(width=100, color_system=None)
        with console.capture() as capture:
            console.print(self)
        return capture.get()

    def _found(self) -> Table:
        title = f"Best architecture of {self.architecture.space.name}: {self.architecture.id}"
        table = Table(title=title, box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        known = "measured and predicted" if self.prediction.get("measured") else "predicted"
        for name in ("what", known, "unit", "90 % interval", "uncertainty", "limit"):
            table.add_column(name, justify="left" if name in ("what", "unit") else "right", no_wrap=True)
        limits = {"acc_1d": (">=", self.limits.min_acc_1d), "avm": ("<=", self.limits.T_AVM)}
        values = cast("Mapping[str, float]", self.prediction)
        for name, label, unit in _LABELS:
            if name not in values:
                continue
            low, high = values.get(f"{name}_low"), values.get(f"{name}_high")
            sign, limit = limits.get(name, ("", None))
            table.add_row(
                label,
                _number(values[name]),
                unit,
                "" if low is None or high is None else f"{low:.1f} to {high:.1f}",
                _number(values.get(f"{name}_uncertainty")),
                "" if limit is None else f"{sign} {limit:g}",
            )
        budget = "" if self.limits.max_nb_param is None else f"<= {self.limits.max_nb_param:,}"
        table.add_row("parameters", f"{self.architecture.params:,}", "", "exact", "", budget)
        costs = cost(self.architecture, self.chip)
        for name, label, unit in _COSTS:
            limit = self.limits.limit(name)
            table.add_row(label, f"{costs[name]:.4g}", unit, "exact", "", "" if limit is None else f"<= {limit:g}")
        table.add_row(str(self.objective), _number(self.value), "" if self.objective.kind == "ratio" else "%")
        runs = ", ".join("nothing feasible" if math.isnan(value) else _number(value) for value in self.runs.values())
        table.caption = (
            f"{self.evaluated:,} architectures evaluated in {len(self.runs)} runs, {self.feasible:,} within all limits "
            f"(that of the AVM is asked of {_BOUNDS[self.limits.avm_bound]}). Best objective by run: {runs}. "
            f"Latency and energy are those of an inference on {self.chip.name}."
        )
        if not self.feasible:
            closest = "; ".join(map(str, verdicts(self.limits, self.prediction, self.architecture)))
            table.caption += f" Nothing holds all limits, this comes closest: {closest}."
        return table

    def _genes(self) -> Table:
        table = Table(title="Its genes", box=SIMPLE_HEAD)
        table.add_column("gene")
        table.add_column("value", justify="right")
        for name, value in self.architecture.genes.items():
            table.add_row(name, str(value))
        return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


class Worker:
    """Runs a search several times with seeds of their own, and trains the final network.

    Args:
        space: where to search.
        optimizer: the search strategy, with its evaluator.
        runs: how many runs, at least 1. Run r is seeded with ``derive_seed(optimizer.seed, "run", r)``.

    Raises:
        SearchError: if ``runs`` is not positive.
    """

    def __init__(self, space: ConfigSpace, optimizer: Optimizer, runs: int = 2) -> None:
        self.space = space
        self.optimizer = optimizer
        self.runs = whole("runs", runs, 1)
        self._results: dict[int, SearchResult] = {}
        self._histories: dict[int, pd.DataFrame] = {}
        self._architectures: dict[str, Architecture] = {}

    def search(self, progress: Progress | None = None) -> SearchResult:
        """Run the search ``runs`` times and return the best run's result.

        Args:
            progress: called after every iteration of every run.

        Raises:
            SpaceError: if the space is not valid.
            SearchError: if everything failed, or the optimizer is strict and no run found anything that holds the
                limits; the histories are kept.
        """
        self.space.validate()
        self._results, self._histories = {}, {}
        self.__dict__.pop("_ranking", None)
        evaluated: dict[str, Evaluated] = {}
        for run in range(self.runs):
            # One run may fail where another finds something.
            with contextlib.suppress(InfeasibleError):
                self._results[run] = self.optimizer.run(
                    self.space,
                    seed=derive_seed(self.optimizer.seed, "run", run),
                    progress=_shifted(progress, run, self.runs),
                )
            self._histories[run] = self.optimizer.history
            evaluated.update(self.optimizer.evaluated)
        self._architectures = {id_: record.architecture for id_, record in evaluated.items()}
        if not self._results:
            raise InfeasibleError(self.optimizer.limits.explain(evaluated.values()))
        return self._best

    @property
    def results(self) -> list[SearchResult]:
        """Return the results of the runs that found something, in order."""
        self._searched()
        return list(self._results.values())

    @property
    def best_arch(self) -> Architecture:
        """Return the best architecture over all runs."""
        return self._best.best

    @property
    def best_config(self) -> dict[str, int | str]:
        """Return the genes of the best architecture."""
        return dict(self.best_arch.genes)

    @property
    def candidates(self) -> list[Architecture]:
        """Return all distinct architectures over all runs that hold the limits, best first.

        If none does, those that did not fail, the ones that come closest first.
        """
        return self.closest(int(self._ranking["feasible"].sum()) if self._holds else len(self._ranking))

    def closest(self, n: int) -> list[Architecture]:
        """Return the ``n`` best distinct architectures over all runs: those that hold the limits, then the closest."""
        self._searched()
        return [self._architectures[id_] for id_ in self._ranking["id"][:n]]

    @property
    def history(self) -> pd.DataFrame:
        """Return the histories of all runs (see ``SearchResult``), with the number of the run first.

        Runs that found nothing feasible are in it too.
        """
        if not self._histories:
            raise SearchError("there is no history yet: run search() first.")
        frames = [history.assign(run=run) for run, history in self._histories.items()]
        table = pd.concat(frames, ignore_index=True)
        return table[["run", *(name for name in table.columns if name != "run")]]

    def pareto(self) -> pd.DataFrame:
        """Return the architectures that no other one dominates, best by the first respect first.

        Of those that hold the limits; of all, if none does.

        One dominates another if it is no worse in every respect and better in one. The respects are the
        optimizer's ``trade_off``: by default ``acc_1d`` (higher is better), ``avm``, ``acc_1d_std`` and
        ``params`` (lower is better). Columns as in ``history``.
        """
        self._searched()
        ranking = self._ranking[self._ranking["feasible"]] if self._holds else self._ranking
        return pareto_front(ranking, self.optimizer.trade_off)

    def result_summary(self) -> SearchSummary:
        """Print what was found as a table, and return it.

        Raises:
            SearchError: before ``search``.
        """
        best = self._best
        history = self.history
        summary = SearchSummary(
            architecture=best.best,
            value=best.value,
            prediction=best.prediction,
            objective=self.optimizer.objective,
            limits=self.optimizer.constraints.resolve(self.space),
            chip=self.optimizer.chip,
            runs={run: self._value(run) for run in self._histories},
            evaluated=int(history["id"].nunique()),
            feasible=int(self._ranking["feasible"].sum()),
        )
        Console().print(summary)
        return summary

    def train(
        self,
        dataset: Dataset | str | None = None,
        protocol: TrainingParams | None = None,
        hardware: HardwareParams | None = None,
        seed: int = 0,
        *,
        architecture: Architecture | None = None,
        part: str = "test",
        device: str = "cpu",
    ) -> Characterization:
        """Train the final network with the full protocol and measure it under drift.

        Args:
            dataset: what to train on, or its name; None: the dataset of the space.
            protocol: how to train and measure; None: the defaults of the section ``train``.
            hardware: the chip; None: the defaults of the section ``hardware``.
            seed: base seed.
            architecture: what to train; None: the best one of the search.
            part: the part of the dataset that is measured on.
            device: where to train.

        Returns:
            The characterization: its ``row``, and ``model``, the analog model (None if it failed).

        Raises:
            SearchError: before ``search`` if no architecture is given, or if the space names no dataset.
        """
        architecture = self.best_arch if architecture is None else architecture
        if dataset is None:
            dataset = self.space.dataset
        if dataset is None:
            raise SearchError(f"{self.space.name} was made for no dataset: give one, train(dataset=...).")

        from analognas.datasets import load
        from analognas.hardware.params import HardwareParams
        from analognas.training.params import TrainParams
        from analognas.training.protocol import characterize  # loads torch and aihwkit

        return characterize(
            architecture,
            load(dataset) if isinstance(dataset, str) else dataset,
            HardwareParams() if hardware is None else hardware,
            TrainParams() if protocol is None else protocol,
            seed=seed,
            part=part,
            device=device,
        )

    def _searched(self) -> None:
        if not self._results:
            raise SearchError("there is no result yet: run search() first.")

    @property
    def _best(self) -> SearchResult:
        self._searched()
        return min(
            self._results.values(),
            key=lambda result: (result.violation, -result.value, result.best.params, result.best.id),
        )

    @property
    def _holds(self) -> bool:
        return self._best.violation == 0

    def _value(self, run: int) -> float:
        result = self._results.get(run)
        return float("nan") if result is None or result.violation > 0 else result.value

    @cached_property
    def _ranking(self) -> pd.DataFrame:
        """All distinct architectures of the history that did not fail and are within the budget, best first."""
        history = self.history
        limit = self.optimizer.limits.max_nb_param
        alive = history[history["objective"].notna() & (history["params"] <= (limit or math.inf))]
        order = alive.sort_values(
            ["violation", "objective", "params", "id"], ascending=[True, False, True, True], kind="stable"
        )
        return order.drop_duplicates("id").reset_index(drop=True)


def _shifted(progress: Progress | None, run: int, runs: int) -> Progress | None:
    """Return a progress callback of one run that reports the progress of all."""
    if progress is None:
        return None
    return lambda done, total, text: progress(run * total + done, runs * total, f"run {run + 1}, {text}")
