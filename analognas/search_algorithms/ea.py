"""The classic evolutionary algorithm: (mu + lambda) selection, tournaments, crossover and mutation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from analognas.errors import SearchError
from analognas.search_algorithms._walk import mutated, tournament, walk_to_new
from analognas.search_algorithms.base import Evaluated, Optimizer
from analognas.search_algorithms.constraints import whole

if TYPE_CHECKING:
    from analognas.evaluators.base import Evaluator
    from analognas.search_spaces.architecture import Architecture
    from analognas.search_spaces.config_space import ConfigSpace


class EvolutionaryAlgorithm(Optimizer):
    """Evolutionary search with crossover (Bäck: Evolutionary Algorithms in Theory and Practice, 1996).

    It starts from a uniform sample. Then the parents of every child win a tournament each; with the
    probability ``crossover`` the child has its genes from two parents and is mutated half of the time,
    otherwise it is a mutant of one. Of parents and children together the ``mu`` best survive. A child that
    is known already is mutated on; what is missing at last is drawn.

    Args:
        evaluator: as in ``Optimizer``.
        population_size: lambda, the children of one iteration.
        nb_iter: iterations.
        mu: survivors of an iteration; None: half of ``population_size``, at least 2.
        tournament_size: how many are drawn for a tournament; 1 selects at random.
        crossover: probability that a child has two parents, 0 to 1.
        further: as in ``Optimizer``.

    Raises:
        SearchError: if an argument is out of range.
    """

    def __init__(
        self,
        evaluator: Evaluator | None = None,
        population_size: int = 20,
        nb_iter: int = 10,
        *,
        mu: int | None = None,
        tournament_size: int = 2,
        crossover: float = 0.5,
        **further: Any,
    ) -> None:
        super().__init__(evaluator, population_size, nb_iter, **further)
        self.mu = whole("mu", max(2, self.population_size // 2) if mu is None else mu, 2)
        self.tournament_size = whole("tournament_size", tournament_size, 1)
        if not 0 <= crossover <= 1:
            raise SearchError(f"crossover is {crossover!r}: it is a probability, between 0 and 1.")
        self.crossover = crossover

    def reset(self) -> None:
        """Forget the population."""
        self._population: dict[str, Evaluated] = {}
        self._to_start = self.population_size

    def observe(self, evaluated: Sequence[Evaluated]) -> None:
        """Let the best of the population and of what was told survive; failed ones never do."""
        self._population.update((record.architecture.id, record) for record in evaluated)
        alive = (record for record in self._population.values() if record.alive)
        self._population = {record.architecture.id: record for record in self.ranked(alive)[: self.mu]}

    def propose(self, n: int) -> list[tuple[Architecture, str]]:
        """Return members of the start while there are some, then children."""
        started = self.draw(min(n, self._to_start), "uniform") if self._to_start else []
        self._to_start = max(0, self._to_start - n)
        proposals = [(architecture, "start") for architecture in started]
        taken = {architecture.id for architecture in started}
        ranked = list(self._population.values())
        for _ in range(n - len(proposals) if ranked else 0):
            child, origin = self._child(ranked)
            new = walk_to_new(self, child, taken)
            if new is not None:
                proposals.append((new, origin))
                taken.add(new.id)
        fill = self.draw(n - len(proposals), "uniform", taken) if len(proposals) < n else []
        return proposals + [(architecture, "sample") for architecture in fill]

    def _child(self, ranked: Sequence[Evaluated]) -> tuple[Architecture, str]:
        """Return a child, known or new, and how it was made."""
        space: ConfigSpace = self.space
        parent = tournament(ranked, self.tournament_size, self.rng)
        if self.rng.random() >= self.crossover:
            return mutated(self, parent), "mutation"
        other = tournament(ranked, self.tournament_size, self.rng)
        child = space.crossover(parent, other, self.rng, max_params=self.limits.max_nb_param)
        return (mutated(self, child) if self.rng.random() < 0.5 else child), "crossover"
