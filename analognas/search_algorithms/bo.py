"""Bayesian optimisation: a Gaussian process over the genes says what to evaluate next, by Optuna."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analognas.search_algorithms._optuna import distributions, quiet, to_params
from analognas.search_algorithms._walk import mutated, tournament
from analognas.search_algorithms.base import Evaluated, Optimizer
from analognas.search_algorithms.constraints import whole
from analognas.seeds import derive_seed

if TYPE_CHECKING:
    from analognas.evaluators.base import Evaluator
    from analognas.search_spaces.architecture import Architecture

# Mutants are made of so many of the best ones.
_PARENTS = 10


class BayesianOptimization(Optimizer):
    """Evaluates what promises the largest improvement by Optuna's Gaussian process (Matern 5/2, log EI).

    It starts from a Latin hypercube. Then candidates are made, all of them new and within the parameter limit:
    mutants and children of the best ones and, a third, uniform draws (White et al., BANANAS, arXiv 1910.11858,
    find that better than a search through the whole space). The process says which of them to evaluate. A batch
    is chosen in ``fits`` shares with a constant liar between them. Infeasible architectures count as worse than
    every feasible one, by how far they are from feasible.

    A fit takes time that grows with the cube of what it learns from, so it learns from at most ``points``
    architectures: the best half of them, and others at random.

    Args:
        evaluator: as in ``Optimizer``.
        population_size: architectures of one iteration.
        nb_iter: iterations.
        start: architectures of the Latin hypercube; None: ``population_size``.
        candidates: how many the process chooses from in every iteration.
        points: how many it learns from at most, at least 2.
        fits: how often it is fitted for one batch.
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
        start: int | None = None,
        candidates: int = 300,
        points: int = 150,
        fits: int = 3,
        **further: Any,
    ) -> None:
        super().__init__(evaluator, population_size, nb_iter, **further)
        self.start = whole("start", self.population_size if start is None else start, 1)
        self.candidates = whole("candidates", candidates, 1)
        self.points = whole("points", points, 2)
        self.fits = whole("fits", fits, 1)

    def reset(self) -> None:
        """Forget the start."""
        self._start: list[Architecture] | None = None
        self._batches = 0

    def propose(self, n: int) -> list[tuple[Architecture, str]]:
        """Return members of the start while there are some, then what the process promises most of."""
        if self._start is None:
            self._start = self.draw(self.start, "latin_hypercube")
        # Some may have been told meanwhile.
        self._start = [architecture for architecture in self._start if self.is_new(architecture)]
        proposals = [(architecture, "start") for architecture in self._start[:n]]
        del self._start[: len(proposals)]
        taken = {architecture.id for architecture, _ in proposals}
        ranked = self.ranked(record for record in self.evaluated.values() if record.alive)
        if len(proposals) < n and len(ranked) > 1:
            proposals += [
                (architecture, "process") for architecture in self._promising(ranked, n - len(proposals), taken)
            ]
            taken = {architecture.id for architecture, _ in proposals}
        fill = self.draw(n - len(proposals), "uniform", taken) if len(proposals) < n else []
        return proposals + [(architecture, "sample") for architecture in fill]

    def _promising(self, ranked: Sequence[Evaluated], n: int, taken: set[str]) -> list[Architecture]:
        """Return what the process chooses from the candidates; all of them if there are no more than ``n``."""
        pool = self._pool(ranked, max(n, self.candidates), taken)
        if len(pool) <= n:
            return pool
        from analognas.search_algorithms._gp import chosen  # loads Optuna and torch

        space = self.space
        known = self._learned()
        values = _worth(known)
        self._batches += 1
        with quiet():
            best = chosen(
                [
                    (to_params(space, record.architecture.genes, {}), value)
                    for record, value in zip(known, values, strict=True)
                ],
                [to_params(space, architecture.genes, {}) for architecture in pool],
                n,
                self.fits,
                distributions(space),
                derive_seed(self.run_seed, "search", "process", self._batches) % 2**32,
            )
        return [pool[index] for index in best]

    def _pool(self, ranked: Sequence[Evaluated], size: int, taken: set[str]) -> list[Architecture]:
        """Return up to ``size`` distinct new architectures."""
        parents = ranked[:_PARENTS]
        pool: dict[str, Architecture] = {}
        for _ in range(size - size // 3):
            child = tournament(parents, 1, self.rng)
            if self.rng.random() < 0.3:
                other = tournament(parents, 1, self.rng)
                child = self.space.crossover(child, other, self.rng, max_params=self.limits.max_nb_param)
            for _ in range(int(self.rng.integers(1, 3))):
                child = mutated(self, child)
            if self.is_new(child) and child.id not in taken:
                pool[child.id] = child
        drawn = self.draw(size // 3, "uniform", taken | set(pool))
        return [*pool.values(), *drawn]

    def _learned(self) -> list[Evaluated]:
        """Return the records that the process learns from, best first."""
        ranked = self.ranked(self.evaluated.values())
        if len(ranked) <= self.points:
            return ranked
        best = self.points - self.points // 2
        others = np.sort(self.rng.choice(np.arange(best, len(ranked)), self.points // 2, replace=False))
        return ranked[:best] + [ranked[int(index)] for index in others]


def _worth(ranked: Sequence[Evaluated]) -> list[float]:
    """Return one value for each record: the objective, below the worst one by the violation where there is one.

    The violations are shrunk to the range of the objectives, or what is far from feasible would hide how those
    differ; failed ones are worth as little as the worst one.
    """
    feasible = [record.objective for record in ranked if record.feasible]
    largest = max((record.violation for record in ranked if record.alive), default=0.0)
    if feasible:
        worst = min(feasible)
        scale = min(1.0, (max(feasible) - worst or 1.0) / (largest or 1.0))
    else:
        worst, scale = 0.0, 1.0
    return [
        record.objective if record.feasible else worst - scale * min(record.violation, largest) for record in ranked
    ]
