"""Steps that several strategies take: to an architecture that is new, and between architectures."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from analognas.errors import SpaceError

if TYPE_CHECKING:
    import numpy as np

    from analognas.search_algorithms.base import Optimizer
    from analognas.search_algorithms.records import Evaluated
    from analognas.search_spaces.architecture import Architecture

# Mutations in a row before a walk is given up.
_STEPS = 8


def mutated(optimizer: Optimizer, architecture: Architecture) -> Architecture:
    """Return a mutant within the parameter limit, or the architecture itself if it has no alternative."""
    try:
        return optimizer.space.mutate(architecture, optimizer.rng, max_params=optimizer.limits.max_nb_param)
    except SpaceError:
        return architecture


def walk_to_new(optimizer: Optimizer, architecture: Architecture, taken: Collection[str]) -> Architecture | None:
    """Return the architecture if it is new, otherwise the first new one on a random walk of mutations from it.

    None if the walk meets none. ``taken`` has ids that do not count as new.
    """
    for _ in range(_STEPS):
        if optimizer.is_new(architecture) and architecture.id not in taken:
            return architecture
        architecture = mutated(optimizer, architecture)
    return None


def tournament(ranked: Sequence[Evaluated], size: int, rng: np.random.Generator) -> Architecture:
    """Return the best one of ``size`` members drawn from a population, which is given best first."""
    return ranked[int(rng.integers(len(ranked), size=size).min())].architecture


def shrunk(optimizer: Optimizer, architecture: Architecture) -> Architecture:
    """Return the architecture with as many genes of the smallest network, in random order, as its limit takes.

    Genes on which others depend change last, or almost every network would lose its blocks.
    """
    limit = optimizer.limits.max_nb_param
    if limit is None or architecture.params <= limit:
        return architecture
    space = optimizer.space
    smallest = space.smallest()
    deciding = {gene.active_if[0] for gene in space.hyperparameters if gene.active_if}
    names = list(smallest.genes)
    shuffled = [names[int(index)] for index in optimizer.rng.permutation(len(names))]
    genes = {**smallest.genes, **architecture.genes}
    for name in sorted(shuffled, key=lambda name: name in deciding):
        genes[name] = smallest.genes[name]
        smaller = space.architecture(genes)
        if smaller.params <= limit:
            return smaller
    return smallest
