"""Random search: the baseline that every other strategy has to beat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analognas.search_algorithms.base import Optimizer

if TYPE_CHECKING:
    from analognas.search_spaces.architecture import Architecture


class RandomSearch(Optimizer):
    """Draws architectures uniformly, with the same budget and constraints as the other strategies."""

    def propose(self, n: int) -> list[tuple[Architecture, str]]:
        """Return ``n`` new architectures, drawn uniformly."""
        return [(architecture, "sample") for architecture in self.draw(n, "uniform")]
