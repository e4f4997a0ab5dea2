"""NSGA-II: several objectives at once (Deb et al., IEEE Transactions on Evolutionary Computation 2002), by Optuna."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from analognas.errors import SearchError
from analognas.hardware.chips import Chip
from analognas.hardware.chips import chip as chip_named
from analognas.hardware.cost import cost
from analognas.search_algorithms._optuna import SampledByOptuna
from analognas.search_algorithms.pareto import pareto_front, trade_off_of
from analognas.search_algorithms.records import Evaluated

if TYPE_CHECKING:
    import optuna

    from analognas.evaluators.base import Evaluator


class NSGA2(SampledByOptuna):
    """Looks for the architectures that nothing beats in all objectives: feasible first, by rank and crowding.

    ``pareto`` has them; ``result`` and the ranking go by the scalar objective like those of every strategy.
    ``Worker.pareto`` and the stage ``search`` take their trade-off from the objectives.

    An objective that is told no value (where ``tell`` gets objective values alone) is the scalar objective.

    Args:
        evaluator: as in ``Optimizer``.
        population_size: architectures of one iteration, which is a generation.
        nb_iter: iterations.
        objectives: at least two of ``acc_1d`` (maximised), ``avm``, ``acc_1d_std``, ``params``, ``tiles``,
            ``latency_us``, ``interval_us`` and ``energy_uj`` (all minimised); the last four are costs on ``chip``.
        chip: whose costs are objectives, or its name; None: that of the limits, or the usual one for the tiles that the
            evaluator knows.
        further: as in ``Optimizer``.

    Raises:
        SearchError: if an argument is out of range or an objective is unknown.
    """

    def __init__(
        self,
        evaluator: Evaluator | None = None,
        population_size: int = 20,
        nb_iter: int = 10,
        *,
        objectives: Sequence[str] = ("acc_1d", "avm", "params"),
        chip: Chip | str | None = None,
        **further: Any,
    ) -> None:
        super().__init__(evaluator, population_size, nb_iter, **further)
        self.trade_off = trade_off_of(objectives)
        self.n_costs = len(objectives)
        self._chip = chip_named(chip) if isinstance(chip, str) else chip

    def sampler(self, seed: int) -> optuna.samplers.BaseSampler:
        """Return the sampler, with Deb's feasibility rule."""
        import optuna

        return optuna.samplers.NSGAIISampler(population_size=self.population_size, seed=seed)

    def costs(self, record: Evaluated) -> list[float]:
        """Return the objectives, those that are maximised with their sign changed."""
        costs: list[float] = []
        known = {**record.row, "params": record.architecture.params}
        if self.shown_costs:
            known |= cost(record.architecture, self.chip)
        for name, more in self.trade_off.items():
            value = float(known.get(name, math.nan))
            costs.append(-record.objective if math.isnan(value) else -value if more else value)
        return costs

    @property
    def pareto(self) -> pd.DataFrame:
        """Return the architectures that no other one dominates, best by the first objective first.

        Of those that hold the limits; of all that did not fail, if none does. Columns as in ``history``, of which
        ``id`` and ``genes`` say what they are.

        Raises:
            SearchError: if an objective was told no values.
        """
        table = self.history
        if missing := [name for name in self.trade_off if name not in table]:
            raise SearchError(f"there are no values of {missing[0]} yet: run the search, or tell frames with it.")
        holds = table["feasible"]
        if not holds.any():
            holds = table["objective"].notna() & (table["params"] <= (self.limits.max_nb_param or math.inf))
        return pareto_front(table[holds], self.trade_off)

    @property
    def chip(self) -> Chip:
        """The chip whose costs are objectives."""
        return super().chip if self._chip is None else self._chip
