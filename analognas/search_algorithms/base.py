"""Ask/tell: the interface of every search strategy, and the loop that joins it to an evaluator.

A strategy proposes architectures and is told what they are worth; it knows nothing of how that is found out.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Self, cast

from analognas.errors import SearchError, SpaceError
from analognas.evaluators.base import assessed
from analognas.hardware.chips import COST_LIMITS
from analognas.hardware.chips import chip as usual_chip
from analognas.hardware.cost import costs
from analognas.progress import Progress
from analognas.search_algorithms.constraints import Constraints, CostLimits, InfeasibleError, Objective, whole
from analognas.search_algorithms.pareto import TRADE_OFF
from analognas.search_algorithms.records import Evaluated, SearchResult, history_table
from analognas.search_algorithms.told import Judged, Values, judged
from analognas.search_spaces.coding import CodedGenes
from analognas.seeds import derive_seed, numpy_generator

if TYPE_CHECKING:
    import pandas as pd

    from analognas.evaluators.base import Evaluator
    from analognas.hardware.chips import Chip
    from analognas.search_algorithms.records import KnownValues
    from analognas.search_spaces.architecture import Architecture
    from analognas.search_spaces.config_space import ConfigSpace

__all__ = ["Evaluated", "Optimizer", "Progress", "SearchResult"]

# Draws at least after a first round that gave too few new architectures; doubled every round.
_RARE = 32
# Uniform draws at once at least: what is left is for the next time.
_AHEAD = 500


class Optimizer(ABC):
    """Base of all search strategies.

    A strategy implements ``propose``, and ``observe`` if it keeps a state of its own.

    Args:
        evaluator: predicts what architectures are worth; None to ``ask`` and ``tell`` measured values.
        population_size: architectures that are evaluated in one iteration, at least 2.
        nb_iter: iterations, at least 1; ``run`` evaluates ``population_size * nb_iter`` distinct ones (fewer
            only if the space has no more).
        max_nb_param: most parameters, see ``Constraints``.
        T_AVM: largest accuracy variation of one month, see ``Constraints``.
        min_acc_1d: least accuracy after one day, see ``Constraints``.
        avm_bound: what of a predicted AVM ``T_AVM`` is asked of, see ``Constraints``.
        cost: what an inference may cost on a chip, see ``Constraints``.
        strict: whether to refuse where nothing holds the limits, instead of returning what comes closest.
        objective: ``"penalized"``, ``"quantile"`` or ``"ratio"``, see ``Objective``.
        k: weight of the standard deviation in the penalized objective.
        quantile: which one is maximised, where it is one.
        seed: seed of ``run`` and of ``bind`` if they are given none.

    Raises:
        SearchError: if an argument is out of range.
    """

    #: Columns of the history by which one architecture may be better than another; True: more is better.
    trade_off: Mapping[str, bool] = TRADE_OFF

    def __init__(
        self,
        evaluator: Evaluator | None = None,
        population_size: int = 20,
        nb_iter: int = 10,
        *,
        max_nb_param: int | None = None,
        T_AVM: float | None = None,  # noqa: N803 - the published name of the threshold
        min_acc_1d: float | None = None,
        avm_bound: str = "mean",
        cost: CostLimits | None = None,
        strict: bool = False,
        objective: str = "penalized",
        k: float = 1.0,
        quantile: float = 0.05,
        seed: int = 0,
    ) -> None:
        self.evaluator = evaluator
        self.population_size = whole("population_size", population_size, 2)
        self.nb_iter = whole("nb_iter", nb_iter, 1)
        self.constraints = Constraints(max_nb_param, T_AVM, min_acc_1d, avm_bound, cost)
        self.strict = strict
        self.objective = Objective(objective, k, quantile)
        self.seed = seed
        self.evaluated: dict[str, Evaluated] = {}
        self._space: ConfigSpace | None = None

    @abstractmethod
    def propose(self, n: int) -> list[tuple[Architecture, str]]:
        """Return up to ``n`` distinct architectures for which ``is_new`` holds, each with its origin.

        Fewer only if there are no more. Random decisions come from ``self.rng`` and ``self.draw``.
        """

    def observe(self, evaluated: Sequence[Evaluated]) -> None:  # noqa: B027 - not every strategy has a state
        """Take notice of what was told. The default does nothing: ``self.evaluated`` has it already."""

    def reset(self) -> None:  # noqa: B027 - as above
        """Forget the state of an earlier run; called by ``bind``."""

    @property
    def space(self) -> ConfigSpace:
        """Return the space that is searched."""
        if self._space is None:
            raise SearchError(f"{type(self).__name__} has no space yet: call bind(space) first, or run(space).")
        return self._space

    def bind(self, space: ConfigSpace, seed: int | None = None) -> Self:
        """Start afresh in ``space`` and return self.

        Args:
            space: where to search.
            seed: None: the optimizer's.

        Raises:
            SearchError: if no network of the space satisfies ``max_nb_param``.
        """
        self.limits = self.constraints.resolve(space)
        self._space = space
        self.run_seed = self.seed if seed is None else seed
        self.rng = numpy_generator(self.run_seed, "search")
        self.evaluated = {}
        self._origins: dict[str, str] = {}
        self._iteration = 0
        self._used = 0
        self._draws = 0
        self._spare: list[Architecture] = []
        self._codes: set[bytes] = set()
        self.reset()
        return self

    def ask(self, n: int) -> list[Architecture]:
        """Return ``n`` distinct architectures of the space that were neither asked nor told before.

        Each has at most ``max_nb_param`` parameters. Fewer than ``n``, or none, if the space has no more.

        Raises:
            SearchError: if there is no space yet, or ``n`` is not positive.
        """
        _ = self.space  # refuses with the remedy if there is none
        proposals = self.propose(whole("n", n, 1))
        for architecture, origin in proposals:
            self._register(architecture, origin)
        return [architecture for architecture, _ in proposals]

    def tell(self, architectures: Sequence[Architecture], values: Values) -> None:
        """Say what architectures are worth; one call is one iteration in the history.

        Args:
            architectures: n of them, asked before or not. One that was told before gets the new value.
            values: n objective values (higher is better), or a frame of n rows, predicted or measured, with
                ``acc_1d``, ``acc_1d_std``, and with ``T_AVM`` also ``avm``: objective and constraints follow
                from it. A value that is missing (or an objective that is not finite) marks the architecture as failed.
                Where a frame has the column ``id``, its rows have to be in the order of the architectures.

        Raises:
            SearchError: if there is no space yet, the lengths or the ids differ, an architecture is not of the space or
                is there twice, a column is missing or holds what it cannot, or a constraint needs a frame and only
                objective values are given.
        """
        space = self.space
        if isinstance(values, str | bytes | Mapping) or not hasattr(values, "__len__"):
            raise SearchError(f"tell got values of the type {type(values).__name__}: give a list or a frame.")
        if len(architectures) != len(values):
            raise SearchError(f"tell got {len(architectures)} architectures and {len(values)} values: give one each.")
        for architecture in architectures:
            if architecture.id not in self._origins and architecture not in space:
                raise SearchError(f"architecture {architecture.id} is not a member of {space.name}: tell others.")
        self._note(architectures, values, looked_at=False)

    def _note(self, architectures: Sequence[Architecture], values: Values, *, looked_at: bool = True) -> None:
        """Take what was told; ``looked_at``: it is a table of predictions that was found right."""
        judgement = self._judge(architectures, values, looked_at)
        told = [
            Evaluated(
                architecture=architecture,
                iteration=self._iteration,
                origin=self._register(architecture, "told"),
                objective=judgement.objective[index] if math.isfinite(judgement.violation[index]) else math.nan,
                violation=judgement.violation[index],
                row=judgement.rows[index],
            )
            for index, architecture in enumerate(architectures)
        ]
        self.evaluated.update((record.architecture.id, record) for record in told)
        self._iteration += 1
        self.observe(told)

    def run(self, space: ConfigSpace, seed: int | None = None, progress: Progress | None = None) -> SearchResult:
        """Search ``space`` with the evaluator and return what was found.

        What the evaluator has measurements of comes first: it is worth what was measured, weighed against what is
        predicted (``Evaluator.assess``). Then every iteration asks for ``population_size`` new architectures and
        predicts them in one call.

        Args:
            space: where to search.
            seed: None: the optimizer's.
            progress: called after every iteration.

        Raises:
            SearchError: if there is no evaluator, everything failed, or nothing holds the limits and they are strict.
            MismatchError: if the evaluator was fitted for something else.
        """
        if self.evaluator is None:
            raise SearchError(
                f"{type(self).__name__} has no evaluator to run with: give it one, or use bind, ask and tell."
            )
        self.bind(space, seed)
        self._tell_measured(self.evaluator)
        for iteration in range(self.nb_iter):
            architectures = self.ask(self.population_size)
            if not architectures:
                break
            self._note(architectures, assessed(self.evaluator, architectures))
            if progress is not None:
                progress(iteration + 1, self.nb_iter, f"iteration {iteration + 1}")
        return self.result()

    def _tell_measured(self, evaluator: Evaluator) -> None:
        """Tell what the evaluator has measurements of, as far as it is within the space and its budget."""
        evidence = evaluator.evidence_
        known = [] if evidence is None else [measured for measured in evidence.architectures if self._fits(measured)]
        known = [measured for measured in known if measured in self.space]
        if known:
            for architecture in known:
                self._register(architecture, "measured")
            self._note(known, assessed(evaluator, known))

    def result(self) -> SearchResult:
        """Return what was found so far.

        Raises:
            SearchError: if nothing was told yet, or everything failed.
            InfeasibleError: if the limits are ``strict`` and nothing holds them: which one excludes how many, by how
                much, and what helps.
        """
        _ = self.space  # refuses with the remedy if there is none
        if not self.evaluated:
            raise SearchError("nothing was evaluated yet: call run(space), or ask and tell.")
        records = self.evaluated.values()
        ranked = self.ranked(record for record in records if record.alive and self._fits(record.architecture))
        if not ranked or (self.strict and not ranked[0].feasible):
            raise InfeasibleError(self.limits.explain(records))
        best = ranked[0]
        chosen = [record for record in ranked if record.feasible] or ranked
        return SearchResult(
            best=best.architecture,
            value=best.objective,
            violation=best.violation,
            prediction=cast("KnownValues", dict(best.row)),
            history=self.history,
            candidates=[record.architecture for record in chosen],
            seed=self.run_seed,
        )

    @property
    def history(self) -> pd.DataFrame:
        """Return one row for every architecture told since ``bind``; columns as in ``SearchResult``.

        Costs that are limited, or an objective, have a column each (``shown_costs``).
        """
        table = history_table(self.evaluated.values())
        if self.shown_costs and len(table):
            known = costs([record.architecture for record in self.evaluated.values()], self.chip)
            table[list(self.shown_costs)] = known[list(self.shown_costs)]
        return table

    @property
    def chip(self) -> Chip:
        """The chip whose costs are looked at: that of the limits, otherwise the usual one for the evaluator's tiles."""
        if self.constraints.cost is not None:
            return self.constraints.cost.of_chip
        return usual_chip(tile=getattr(getattr(self.evaluator, "schema_", None), "tile_size", None))

    @property
    def shown_costs(self) -> tuple[str, ...]:
        """The costs that the history has columns of: those that are limited or an objective."""
        limited = self.constraints.cost.limits if self.constraints.cost is not None else {}
        return tuple(name for name in COST_LIMITS if name in limited or name in self.trade_off)

    @staticmethod
    def ranked(records: Iterable[Evaluated]) -> list[Evaluated]:
        """Return records best first: feasible by objective, then the least violation, then failed ones."""
        return sorted(records, key=lambda record: record.rank_key)

    def is_new(self, architecture: Architecture) -> bool:
        """Return whether it was neither asked nor told and has at most ``max_nb_param`` parameters."""
        return (
            self._code(architecture) not in self._codes
            and architecture.id not in self._origins
            and self._fits(architecture)
        )

    def _code(self, architecture: Architecture) -> bytes:
        """Return its genes as this space codes them, which is faster to tell apart than an id; empty if it has not."""
        genes = architecture.genes
        return genes.code if isinstance(genes, CodedGenes) and genes.coding is self.space.coding else b""

    def draw(self, n: int, method: str, taken: Collection[str] = ()) -> list[Architecture]:
        """Return ``n`` distinct new architectures drawn from the space, fewer if it has no more.

        Args:
            n: how many.
            method: ``"latin_hypercube"`` or ``"uniform"``, see ``ConfigSpace.sample``.
            taken: ids of new architectures that are not to be drawn.
        """
        drawn: dict[str, Architecture] = {}
        if method == "uniform":  # of an earlier draw
            self._spare = self._take(drawn, self._spare, n, taken)
        # So many distinct ones that all known ones could be among them: the rest is new for certain.
        certain = self._used + len(taken) + n
        size = max(n, _AHEAD) if method == "uniform" else n
        while len(drawn) < n:
            sample = self._sample(min(size, certain), method)
            if not sample:
                break
            spare = self._take(drawn, sample, n, taken)
            if method == "uniform":
                self._spare = spare
            if size >= certain:
                break
            size = max(2 * size, _RARE)
        # New ones are rare, or the space holds fewer than ``certain``: halving finds what is left.
        missing = n - len(drawn)
        while missing and len(drawn) < n:
            self._take(drawn, self._sample(certain - n + len(drawn) + missing, "uniform"), n, taken)
            missing //= 2
        return list(drawn.values())

    def _sample(self, size: int, method: str) -> list[Architecture]:
        """Return ``size`` distinct architectures within the limit, none if there are fewer."""
        seed = derive_seed(self.run_seed, "search", "draw", self._draws)
        self._draws += 1
        try:
            return self.space.sample(size, seed=seed, method=method, max_params=self.limits.max_nb_param)
        except SpaceError:
            return []

    def _take(
        self, drawn: dict[str, Architecture], sample: list[Architecture], n: int, taken: Collection[str]
    ) -> list[Architecture]:
        """Add the new ones of a sample to ``drawn`` until it holds ``n``, and return what is left of the sample."""
        for place, architecture in enumerate(sample):
            if len(drawn) >= n:
                return sample[place:]
            if self.is_new(architecture) and architecture.id not in drawn and architecture.id not in taken:
                drawn[architecture.id] = architecture
        return []

    def _fits(self, architecture: Architecture) -> bool:
        limit = self.limits.max_nb_param
        return limit is None or architecture.params <= limit

    def _register(self, architecture: Architecture, origin: str) -> str:
        """Remember where an architecture came from first, and return that."""
        if architecture.id not in self._origins:
            self._origins[architecture.id] = origin
            if code := self._code(architecture):
                self._codes.add(code)
            self._used += self._fits(architecture)
        return self._origins[architecture.id]

    def _judge(self, architectures: Sequence[Architecture], values: Values, looked_at: bool) -> Judged:
        return judged(architectures, values, self.objective, self.constraints, self.limits, looked_at=looked_at)
