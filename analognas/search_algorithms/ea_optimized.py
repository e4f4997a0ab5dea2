"""The published evolutionary search (AnalogNAS, arXiv 2305.10459, algorithm 1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from analognas.search_algorithms.base import Evaluated, Optimizer

if TYPE_CHECKING:
    from analognas.search_spaces.architecture import Architecture

# Mutations in a row, away from a parent, before a slot is filled at random.
_STEPS = 6


class EAOptimizer(Optimizer):
    """Evolutionary search with three kinds of mutation.

    It starts from a Latin hypercube within the parameter limit. Then, in every iteration, the best half of
    the population are the parents, and the population becomes the union of the parents and
    ``population_size`` new mutants of them: a third each changes the width, the depth, and other genes
    (the space's ``mutations``). Feasible architectures rank first by objective, infeasible ones follow by how
    far they are from feasible, so a search recovers from a start where nothing is. No architecture is
    evaluated twice: a mutant that is known already is mutated on, and what is missing at last is drawn.

    The paper uses ``population_size=200, nb_iter=200``. Arguments and errors: ``Optimizer``.
    """

    def reset(self) -> None:
        """Forget the population."""
        self._start: list[Architecture] | None = None
        self._population: dict[str, Evaluated] = {}

    def observe(self, evaluated: Sequence[Evaluated]) -> None:
        """Unite the population with what was told."""
        self._population.update((record.architecture.id, record) for record in evaluated)

    def propose(self, n: int) -> list[tuple[Architecture, str]]:
        """Return members of the start while there are some, then mutants of the parents."""
        if self._start is None:
            self._start = self.draw(self.population_size, "latin_hypercube")
        # Some may have been told meanwhile.
        self._start = [architecture for architecture in self._start if self.is_new(architecture)]
        proposals = [(architecture, "start") for architecture in self._start[:n]]
        del self._start[: len(proposals)]
        if len(proposals) < n:
            proposals += self._mutants(n - len(proposals), taken={architecture.id for architecture, _ in proposals})
        return proposals

    def _mutants(self, n: int, taken: set[str]) -> list[tuple[Architecture, str]]:
        parents = self.ranked(self._population.values())[: self.population_size // 2]
        self._population = {record.architecture.id: record for record in parents}
        mutants: dict[int, tuple[Architecture, str]] = {}
        if parents:
            own = self.space.mutations
            slots = self.rng.permutation([slot % len(own) for slot in range(n)])
            # Every parent has the same share of mutants, and no parent is tied to a kind.
            shares = np.concatenate([self.rng.permutation(len(parents)) for _ in range(-(-n // len(parents)))])
            chosen = [parents[index].architecture for index in shares[:n]]
            for slot, mutant, kind in self._walks(chosen, [own[slot] for slot in slots], taken):
                mutants[slot] = mutant, kind
        fill = self.draw(n - len(mutants), "uniform", taken) if len(mutants) < n else []
        return [mutants[slot] for slot in sorted(mutants)] + [(architecture, "sample") for architecture in fill]

    def _walks(
        self, parents: list[Architecture], kinds: list[str], taken: set[str]
    ) -> Iterator[tuple[int, Architecture, str]]:
        """Yield the number of a parent, a new mutant of it, and the kind of its last mutation; ``taken`` grows."""
        space, own = self.space, self.space.mutations
        codes = space.coding.encode(parent.genes for parent in parents)
        waiting = np.arange(len(parents))
        for _ in range(_STEPS):
            codes, params = space.mutants(codes, kinds, self.rng, max_params=self.limits.max_nb_param)
            keys = zip(space.coding.keys(codes), params.tolist(), strict=True)
            # For most that are known no architecture is made, whose name is a hash.
            unseen = [row for row, (key, size) in enumerate(keys) if size and key not in self._codes]
            done = np.zeros(len(codes), dtype=bool)
            for row, mutant in zip(unseen, space.coded(codes[unseen], params[unseen]), strict=True):
                if mutant.id not in taken and mutant.id not in self._origins:  # and within the limit, as all mutants
                    done[row] = True
                    taken.add(mutant.id)
                    yield int(waiting[row]), mutant, kinds[row]
            waiting, codes = waiting[~done], codes[~done]
            if not len(waiting):
                return
            # Known already: walk on from there, by any kind, as one kind alone is soon used up.
            kinds = [own[number] for number in self.rng.integers(len(own), size=len(waiting))]
