"""Mutation and crossover of architectures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analognas.errors import SpaceError
from analognas.search_spaces.architecture import Architecture
from analognas.search_spaces.genes import Gene
from analognas.search_spaces.sampling import complete, keep_active, smallest

if TYPE_CHECKING:
    from analognas.search_spaces.hyperparameter import Hyperparameter
    from analognas.search_spaces.schema import Schema

TRIES = 20
"""Random attempts before a mutation tries every value of every gene in turn."""


def mutate(
    space: Schema,
    architecture: Architecture,
    rng: np.random.Generator,
    *,
    kind: str | None = None,
    max_params: int | None = None,
) -> Architecture:
    """Return another architecture; see ``ConfigSpace.mutate``."""
    _refuse_stranger(space, architecture)
    if kind is not None:
        mutant = _mutate(space, architecture, rng, kind, max_params)
        if mutant is None:
            raise SpaceError(
                f"Architecture {architecture.id} has no alternative by a mutation of the kind {kind!r} in "
                f"space {space.name!r}{_within(max_params)}: widen a range, or leave the kind open."
            )
        return mutant
    for i in rng.permutation(len(space.mutations)):
        mutant = _mutate(space, architecture, rng, space.mutations[int(i)], max_params)
        if mutant is not None:
            return mutant
    raise SpaceError(
        f"Architecture {architecture.id} has no alternative in space {space.name!r}{_within(max_params)}: "
        "widen a range."
    )


def _mutate(
    space: Schema,
    architecture: Architecture,
    rng: np.random.Generator,
    kind: str,
    max_params: int | None,
) -> Architecture | None:
    """Return a mutant of this kind, None if there is none.

    Each gene of the kind changes with a probability of one over their number, at least one does, to any
    other of its values.
    """
    names = set(space.builder.mutation_genes(kind, architecture.genes))
    schema = [gene for gene in space.hyperparameters if gene.name in names and len(gene.values) > 1]
    if not schema:
        return None
    for _ in range(TRIES):
        changes = rng.random(len(schema)) < 1 / len(schema)
        changes[rng.integers(len(schema))] = True
        genes = {**architecture.genes}
        for gene, change in zip(schema, changes, strict=True):
            if change:
                others = _others(gene, genes[gene.name])
                genes[gene.name] = others[int(rng.integers(len(others)))]
        mutant = space.trusted(complete(space, genes, rng))
        if max_params is None or mutant.params <= max_params:
            return mutant
    # The budget is tight: take the first single change that keeps it, in random order. Genes that appear
    # then take what is smallest.
    single = [(gene.name, value) for gene in schema for value in _others(gene, architecture.genes[gene.name])]
    for i in rng.permutation(len(single)):
        name, value = single[int(i)]
        mutant = smallest(space, keep_active(space.hyperparameters, {**architecture.genes, name: value}))
        if max_params is None or mutant.params <= max_params:
            return mutant
    return None


def crossover(
    space: Schema,
    a: Architecture,
    b: Architecture,
    rng: np.random.Generator,
    *,
    max_params: int | None = None,
) -> Architecture:
    """Return a child of two architectures; see ``ConfigSpace.crossover``."""
    _refuse_stranger(space, a)
    _refuse_stranger(space, b)
    for _ in range(TRIES):
        genes: dict[str, Gene] = {}
        for gene in space.hyperparameters:
            parents = [parent.genes[gene.name] for parent in (a, b) if gene.name in parent.genes]
            if parents:
                genes[gene.name] = parents[int(rng.integers(len(parents)))]
        child = space.trusted(complete(space, genes, rng))
        if max_params is None or child.params <= max_params:
            return child
    return min(a, b, key=lambda parent: parent.params)


def neighbours(space: Schema, architecture: Architecture, max_params: int | None) -> list[Architecture]:
    """Return all architectures that have one gene changed; see ``ConfigSpace.neighbours``."""
    _refuse_stranger(space, architecture)
    by_id: dict[str, Architecture] = {}
    for gene in space.hyperparameters:
        if gene.name not in architecture.genes:
            continue
        for value in _others(gene, architecture.genes[gene.name]):
            genes = keep_active(space.hyperparameters, {**architecture.genes, gene.name: value})
            changed = smallest(space, genes)
            if max_params is None or changed.params <= max_params:
                by_id.setdefault(changed.id, changed)
    return list(by_id.values())


def _others(gene: Hyperparameter, value: Gene) -> list[Gene]:
    return [other for other in gene.values if other != value]


def _refuse_stranger(space: Schema, architecture: Architecture) -> None:
    """Raise SpaceError if the architecture is not one of the space's."""
    if architecture.space != space.id:
        raise SpaceError(
            f"Architecture {architecture.id} belongs to space {architecture.space.name!r}, not to "
            f"{space.name!r}: use the space that made it."
        )
    space.check_member(architecture)


def _within(max_params: int | None) -> str:
    return "" if max_params is None else f" within {max_params:,} parameters"
