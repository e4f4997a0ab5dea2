"""The closed loop: propose by what the evaluator promises and does not know, measure, fit again, repeat.

A search through an evaluator that was fitted once is as good as that evaluator is at the top, where it has seen
little. Here every measurement goes back into it, so that a budget of measurements is spent where it counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from analognas.errors import InputError, SearchError
from analognas.evaluators.base import Evaluator, predicted
from analognas.evaluators.columns import TARGETS
from analognas.hardware.chips import COST_LIMITS, Chip
from analognas.hardware.chips import chip as chip_named
from analognas.hardware.cost import costs
from analognas.search_algorithms.base import Evaluated, Optimizer
from analognas.search_algorithms.constraints import Objective, whole
from analognas.search_algorithms.ea_optimized import EAOptimizer
from analognas.search_algorithms.hypervolume import improvements
from analognas.search_algorithms.pareto import trade_off_of
from analognas.search_algorithms.records import rows_table
from analognas.seeds import derive_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analognas.search_algorithms.records import KnownValues
    from analognas.search_spaces.architecture import Architecture

#: Spaces of at most so many architectures are looked at whole; larger ones are searched.
WHOLE = 20_000
#: Points by which volumes are compared.
_DRAWS = 4_096
#: Column of what an architecture may be worth: its accuracy and some standard errors on top.
_PROMISE = "promise"


class _Promise(Objective):
    """The objective of a promise, which may be above 100 %, where no accuracy may be."""

    def __call__(self, values: pd.DataFrame) -> NDArray[np.float64]:
        return super().__call__(values.assign(acc_1d=values[_PROMISE]))


class _TradeOff:
    """What each architecture of a pool promises to add to the volume that the measured ones dominate."""

    def __init__(self, loop: ClosedLoop, pool: Sequence[Architecture], predictions: pd.DataFrame) -> None:
        measured = [record for record in loop.evaluated.values() if record.alive]
        table = pd.DataFrame([record.row for record in measured])
        self._signs = np.array([-1.0 if more else 1.0 for more in loop.trade_off.values()])
        names = list(loop.trade_off)
        self._pool = self._costs(loop, pool, predictions)[names].to_numpy(dtype=np.float64) * self._signs
        known = self._costs(loop, [record.architecture for record in measured], table)
        self._known = known[names].to_numpy(dtype=np.float64) * self._signs
        self._spread = np.stack(
            [predictions.get(f"{name}_uncertainty", pd.Series(0.0, predictions.index)) for name in names], axis=1
        )
        # The box from the best that is promised to the worst that was measured.
        worst = self._known.max(axis=0)
        best = np.minimum(self._known.min(axis=0), (self._pool - self._spread).min(axis=0))
        self._draws = best + loop.rng.random((_DRAWS, len(names))) * (worst - best)

    @staticmethod
    def _costs(loop: ClosedLoop, architectures: Sequence[Architecture], values: pd.DataFrame) -> pd.DataFrame:
        known = costs(architectures, loop.chip)[list(COST_LIMITS)]
        params = [architecture.params for architecture in architectures]
        return values.reset_index(drop=True).assign(**known, params=params)

    def gains(self, weight: float) -> NDArray[np.float64]:
        """Return the share of the box that each would add, if it were better by so many standard deviations."""
        gained = improvements(self._pool - weight * self._spread, self._known, self._draws)
        # Where nothing is gained, what is nearest to it: a little of the way, in units of the box.
        span = np.ptp(self._draws, axis=0)
        near = ((self._pool - weight * self._spread) / np.where(span > 0, span, 1)).sum(axis=1)
        return np.asarray(gained - 1e-6 * near, dtype=np.float64)

    def expect(self, index: int) -> None:
        """Take for measured what is predicted of an architecture that was chosen."""
        self._known = np.vstack([self._known, self._pool[index]])


@dataclass(frozen=True)
class Recommendation:
    """What a closed loop found.

    Args:
        best: the measured architecture that the evaluator, fitted with all measurements, ranks first.
        prediction: what it says of it. Of many noisy measurements the highest is mostly luck; the fitted value
            takes that out.
        measured: what was measured of it.
        candidates: all measured architectures that hold the limits, best first; if none does, those that come closest.
    """

    best: Architecture
    prediction: KnownValues
    measured: KnownValues
    candidates: list[Architecture]


class ClosedLoop(Optimizer):
    """Asks for architectures to measure, by an evaluator that is fitted anew with everything that was told.

    The first ``start`` are a Latin hypercube. Then each architecture of a batch is the best one by
    ``objective + w * uncertainty``, with a weight w of its own, drawn from an exponential distribution of mean
    ``explore``: some of a batch exploit, some explore (qUCB: Egelé et al., arXiv 2207.00479). Spaces of up to
    20,000 architectures are looked at whole (one of each function), larger ones by the published evolutionary
    search. Architectures that compute the same function as a measured one are left aside while there are others.

    Tell it frames of measured values: an evaluator cannot be fitted with objective values alone, so those only
    mark architectures as known.

    Args:
        surrogate: returns an evaluator that is not fitted, called for every fit with the seed.
        evaluator: what ``run`` takes for the truth; None to ``ask`` and ``tell``.
        population_size: architectures in a batch of ``run``.
        nb_iter: batches of ``run``.
        start: how many are spread over the space first.
        explore: mean weight of the uncertainty of ``acc_1d``.
        objectives: two or more of ``pareto.OBJECTIVES``, to learn a whole trade-off: then each architecture of a batch
            is the one that promises to add most to the volume that the measured ones dominate (``hypervolume``), with
            every prediction moved to its better side by w times its uncertainty. None: one objective.
        chip: whose costs are objectives, as in ``NSGA2``.
        further: as in ``Optimizer``.
    """

    def __init__(
        self,
        surrogate: Callable[[int], Evaluator],
        evaluator: Evaluator | None = None,
        population_size: int = 8,
        nb_iter: int = 10,
        *,
        start: int = 16,
        explore: float = 1.0,
        objectives: Sequence[str] | None = None,
        chip: Chip | str | None = None,
        **further: Any,
    ) -> None:
        super().__init__(evaluator, population_size, nb_iter, **further)
        self.several = objectives is not None
        if objectives is not None:
            self.trade_off = trade_off_of(objectives)
        self._chip = chip_named(chip) if isinstance(chip, str) else chip
        self.surrogate = surrogate
        self.start = whole("start", start, 1)
        if not (math.isfinite(explore) and explore >= 0):
            raise SearchError(f"explore is {explore!r}: it must be 0 or more.")
        self.explore = explore

    def reset(self) -> None:
        """Forget the fitted evaluator."""
        self._fitted: Evaluator | None = None
        self._spread: list[Architecture] | None = None
        self._everything: list[Architecture] | None = None
        self._rounds = 0

    def observe(self, evaluated: Sequence[Evaluated]) -> None:
        """Fit anew when asked next."""
        self._fitted = None

    def propose(self, n: int) -> list[tuple[Architecture, str]]:
        """Return members of the start while there are some, then what the evaluator promises."""
        proposals = self._of_start(n)
        if len(proposals) < n:
            taken = {architecture.id for architecture, _ in proposals}
            fitted = self.fitted()
            if fitted is not None:
                proposals += self._promising(fitted, n - len(proposals), taken)
                taken |= {architecture.id for architecture, _ in proposals}
            rest = self.draw(n - len(proposals), "uniform", taken) if len(proposals) < n else []
            proposals += [(architecture, "sample") for architecture in rest]
        return proposals

    def exclude(self, architectures: Sequence[Architecture]) -> None:
        """Never ask for these; nothing is learned from them."""
        for architecture in architectures:
            self._register(architecture, "excluded")

    def fitted(self) -> Evaluator | None:
        """Return the evaluator fitted with everything that was told, None if that is too little."""
        if self._fitted is None:
            known = [record for record in self.evaluated.values() if set(TARGETS) <= set(record.row)]
            try:
                self._fitted = self.surrogate(derive_seed(self.run_seed, "closed_loop")).fit(
                    [record.architecture for record in known], rows_table([record.row for record in known])
                )
            except InputError:  # fewer than it can learn from
                return None
        return self._fitted

    def recommend(self) -> Recommendation:
        """Return the best measured architecture by the evaluator that was fitted with all measurements.

        Limits are asked of the measurements. If none holds them, it is the one that comes closest.

        Raises:
            SearchError: if everything failed, or nothing measured holds the limits and they are strict.
        """
        best = self.result()
        fitted = self.fitted()
        candidates = list(best.candidates)
        if fitted is None or best.violation > 0:
            known = [{}] if fitted is None else predicted(fitted, candidates[:1]).to_dict("records")
            named = {str(name): value for name, value in known[0].items()}
            return Recommendation(best.best, cast("KnownValues", named), best.prediction, candidates)
        predictions = predicted(fitted, candidates)
        objective = self.objective(predictions)
        order = np.lexsort((np.arange(len(candidates)), -objective))
        first = int(order[0])
        prediction = {str(name): value for name, value in predictions.iloc[first].items()}
        return Recommendation(
            best=candidates[first],
            prediction=cast("KnownValues", prediction),
            measured=cast("KnownValues", dict(self.evaluated[candidates[first].id].row)),
            candidates=[candidates[int(index)] for index in order],
        )

    def _of_start(self, n: int) -> list[tuple[Architecture, str]]:
        missing = min(n, self.start - len(self.evaluated))
        if missing <= 0:
            return []
        if self._spread is None:
            self._spread = self.draw(self.start, "latin_hypercube")
        chosen = [architecture for architecture in self._spread if self.is_new(architecture)][:missing]
        return [(architecture, "start") for architecture in chosen]

    def _promising(self, fitted: Evaluator, n: int, taken: set[str]) -> list[tuple[Architecture, str]]:
        pool = [
            architecture
            for architecture in self._pool(fitted)
            if self.is_new(architecture) and architecture.id not in taken
        ]
        if not pool:
            return []
        predictions = predicted(fitted, pool)
        value = self.objective(predictions)
        uncertainty = predictions["acc_1d_uncertainty"].to_numpy()
        trade_off = _TradeOff(self, pool, predictions) if self.several else None
        # A limit is held by what is expected: what may break it by its uncertainty is worth a measurement.
        excess = replace(self.limits, avm_bound="mean").violations(pool, predictions).sum(axis=1)
        known = {record.architecture.function_id for record in self.evaluated.values()}
        functions = [architecture.function_id for architecture in pool]
        free = np.array([function not in known for function in functions])
        chosen: list[tuple[Architecture, str]] = []
        open_ = np.ones(len(pool), dtype=bool)
        for weight in self.rng.exponential(self.explore, size=n) if self.explore else np.zeros(n):
            promise = value + weight * uncertainty if trade_off is None else trade_off.gains(weight)
            score = np.where(excess > 0, -1e6 * (1 + excess), promise)
            for candidates in (open_ & free, open_):
                if candidates.any():
                    index = int(np.argmax(np.where(candidates, score, -np.inf)))
                    break
            else:
                break
            open_[index] = False
            if trade_off is not None:
                trade_off.expect(index)
            free &= np.array([function != functions[index] for function in functions])
            chosen.append((pool[index], "promise" if weight < self.explore else "uncertainty"))
        return chosen

    @property
    def chip(self) -> Chip:
        """The chip whose costs are objectives."""
        return super().chip if self._chip is None else self._chip

    def _pool(self, fitted: Evaluator) -> list[Architecture]:
        """Return what is looked at: the whole space where it is small, otherwise what a search comes across."""
        if self._everything is None and self.space.size() <= WHOLE:
            functions: dict[str, Architecture] = {}
            for architecture in self.space.enumerate():
                functions.setdefault(architecture.function_id, architecture)
            self._everything = list(functions.values())
        if self._everything is not None and any(map(self.is_new, self._everything)):
            return self._everything
        if self._everything is not None:  # all functions are known: their twins are left
            return list(self.space.enumerate())
        self._rounds += 1
        search = EAOptimizer(
            population_size=50,
            nb_iter=20,
            max_nb_param=self.constraints.max_nb_param,
            T_AVM=self.constraints.T_AVM,
            min_acc_1d=self.constraints.min_acc_1d,
            cost=self.constraints.cost,
        )
        search.objective = _Promise(**vars(self.objective))
        search.bind(self.space, derive_seed(self.run_seed, "closed_loop", self._rounds))
        # Measured ones are its first parents, by what the evaluator makes of them.
        measured = [record.architecture for record in self.ranked(self.evaluated.values())[: search.population_size]]
        known = predicted(fitted, measured)
        search.tell(measured, known.assign(**{_PROMISE: known["acc_1d"]}))
        for _ in range(search.nb_iter):
            asked = search.ask(search.population_size)
            if not asked:
                break
            promised = predicted(fitted, asked)
            promise = promised["acc_1d"] + self.explore * promised["acc_1d_uncertainty"]
            search.tell(asked, promised.assign(**{_PROMISE: promise, "acc_1d": promise.clip(upper=100.0)}))
        return [record.architecture for record in search.evaluated.values()]
