"""Local search: hill climbing over architectures that differ in one gene (White et al., arXiv 2005.02960)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from analognas.search_algorithms.base import Evaluated, Optimizer

if TYPE_CHECKING:
    from analognas.search_spaces.architecture import Architecture


class LocalSearch(Optimizer):
    """Evaluates the neighbours of the best architecture until none is better, then climbs from elsewhere.

    A climb starts from the best of a uniform sample of ``population_size``. It moves as soon as something
    better is told. Neighbours differ in one gene (``ConfigSpace.neighbours``). An ask for more than the best
    one has left goes on with the neighbours of the next best. At a local optimum, where all neighbours of
    the best one are known, the next climb starts.

    Arguments and errors: ``Optimizer``.
    """

    def reset(self) -> None:
        """Forget the climb."""
        self._climb: dict[str, Evaluated] = {}
        self._known: dict[str, list[Architecture]] = {}
        self._to_start = self.population_size

    def observe(self, evaluated: Sequence[Evaluated]) -> None:
        """Add what was told to the climb; failed ones lead nowhere."""
        self._climb.update((record.architecture.id, record) for record in evaluated if record.alive)

    def propose(self, n: int) -> list[tuple[Architecture, str]]:
        """Return members of the start while there are some, then neighbours."""
        taken: set[str] = set()
        proposals: list[tuple[Architecture, str]] = []
        if not self._to_start and self._climb:
            for rank, record in enumerate(self.ranked(self._climb.values())):
                near = self._neighbours(record.architecture, taken)
                if rank == 0 and not near:  # a local optimum
                    self._climb.clear()
                    self._known.clear()
                    self._to_start = self.population_size
                    break
                proposals += [(neighbour, "neighbour") for neighbour in near[: n - len(proposals)]]
                taken |= {neighbour.id for neighbour in near}
                if len(proposals) == n:
                    return proposals
        if len(proposals) < n:
            self._to_start = max(0, self._to_start - (n - len(proposals)))
            proposals += [(architecture, "start") for architecture in self.draw(n - len(proposals), "uniform", taken)]
        return proposals

    def _neighbours(self, architecture: Architecture, taken: Collection[str]) -> list[Architecture]:
        """Return the new neighbours of an architecture in random order."""
        if architecture.id not in self._known:
            self._known[architecture.id] = self.space.neighbours(architecture, self.limits.max_nb_param)
        neighbours = [
            neighbour
            for neighbour in self._known[architecture.id]
            if self.is_new(neighbour) and neighbour.id not in taken
        ]
        return [neighbours[int(index)] for index in self.rng.permutation(len(neighbours))]
