"""A space-filling design: one Latin hypercube over the whole budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analognas.search_algorithms.base import Optimizer

if TYPE_CHECKING:
    from analognas.search_spaces.architecture import Architecture


class LatinHypercube(Optimizer):
    """Hands out one Latin hypercube of ``population_size * nb_iter`` architectures, whatever it is told.

    Every value of every gene has its share of the design, which is what an evaluator learns from best
    (McKay, Beckman and Conover, Technometrics 1979). A budget that goes on beyond the design gets another
    one. Arguments and errors: ``Optimizer``.
    """

    def reset(self) -> None:
        """Forget the design."""
        self._design: list[Architecture] = []

    def propose(self, n: int) -> list[tuple[Architecture, str]]:
        """Return the next ``n`` members of the design."""
        # Some may have been told meanwhile.
        self._design = [architecture for architecture in self._design if self.is_new(architecture)]
        if len(self._design) < n:
            missing = max(n - len(self._design), 0 if self._started else self.population_size * self.nb_iter)
            self._design += self.draw(missing, "latin_hypercube", {architecture.id for architecture in self._design})
        proposals = [(architecture, "design") for architecture in self._design[:n]]
        del self._design[:n]
        return proposals

    @property
    def _started(self) -> bool:
        return bool(self._origins)
