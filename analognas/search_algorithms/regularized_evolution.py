"""Regularized (aging) evolution: Real et al., arXiv 1802.01548."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from analognas.search_algorithms._walk import mutated, tournament, walk_to_new
from analognas.search_algorithms.base import Evaluated, Optimizer
from analognas.search_algorithms.constraints import whole

if TYPE_CHECKING:
    from analognas.evaluators.base import Evaluator
    from analognas.search_spaces.architecture import Architecture


class RegularizedEvolution(Optimizer):
    """Aging evolution: every child is a mutant of the winner of a tournament, and the oldest member dies.

    Nothing survives by its value, so a lucky measurement is not bred from for ever: what lasts is what is
    good again and again. The population is a queue of ``queue`` members. Failed architectures do not enter
    it. A child that is known already is mutated on; what is missing at last is drawn.

    The paper has a queue of 100, tournaments of 25, and one child at a time, which is ``ask(1)``; a batch of
    children has parents of the same queue, so by default the queue holds two batches.

    Args:
        evaluator: as in ``Optimizer``.
        population_size: children of one iteration.
        nb_iter: iterations.
        queue: members of the population; None: twice ``population_size``.
        tournament_size: how many are drawn for a tournament; None: a quarter of the queue, as in the paper.
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
        queue: int | None = None,
        tournament_size: int | None = None,
        **further: Any,
    ) -> None:
        super().__init__(evaluator, population_size, nb_iter, **further)
        self.queue = whole("queue", 2 * self.population_size if queue is None else queue, 2)
        size = max(2, self.queue // 4) if tournament_size is None else tournament_size
        self.tournament_size = whole("tournament_size", size, 1)

    def reset(self) -> None:
        """Forget the population."""
        self._queue: deque[Evaluated] = deque(maxlen=self.queue)
        self._to_start = self.population_size

    def observe(self, evaluated: Sequence[Evaluated]) -> None:
        """Append what was told; the oldest members die."""
        self._queue.extend(record for record in evaluated if record.alive)

    def propose(self, n: int) -> list[tuple[Architecture, str]]:
        """Return members of the start while there are some, then mutants of winners."""
        started = self.draw(min(n, self._to_start), "uniform") if self._to_start else []
        self._to_start = max(0, self._to_start - n)
        proposals = [(architecture, "start") for architecture in started]
        taken = {architecture.id for architecture in started}
        ranked = self.ranked(self._queue)
        for _ in range(n - len(proposals) if ranked else 0):
            child = mutated(self, tournament(ranked, self.tournament_size, self.rng))
            new = walk_to_new(self, child, taken)
            if new is not None:
                proposals.append((new, "mutation"))
                taken.add(new.id)
        fill = self.draw(n - len(proposals), "uniform", taken) if len(proposals) < n else []
        return proposals + [(architecture, "sample") for architecture in fill]
