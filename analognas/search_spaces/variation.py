"""Mutation and crossover of architectures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from analognas.errors import SpaceError
from analognas.search_spaces.architecture import Architecture
from analognas.search_spaces.coding import ABSENT
from analognas.search_spaces.genes import Gene
from analognas.search_spaces.sampling import complete, keep_active, smallest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analognas.search_spaces.coding import Codes
    from analognas.search_spaces.hyperparameter import Hyperparameter
    from analognas.search_spaces.schema import Schema

TRIES = 20
"""Random attempts before a mutation tries every value of every gene in turn, and before a child is given up."""

_AT_ONCE = (1, 4, TRIES - 5)
"""How many of these attempts are made at once, one lot after the other: the first mostly keeps the budget."""


def mutate(
    space: Schema,
    architecture: Architecture,
    rng: np.random.Generator,
    *,
    kind: str | None = None,
    max_params: int | None = None,
) -> Architecture:
    """Return another architecture; see ``ConfigSpace.mutate``."""
    kinds = [kind] if kind is not None else [space.mutations[int(i)] for i in rng.permutation(len(space.mutations))]
    if getattr(architecture.genes, "coding", None) is not space.coding:
        _refuse_stranger(space, architecture)
    codes = space.coding.encode([architecture.genes])
    for chosen in kinds:
        made, params = mutants(space, codes, [chosen], rng, max_params=max_params)
        if params[0]:
            return space.coded(made, params)[0]
    if kind is not None:
        raise SpaceError(
            f"Architecture {architecture.id} has no alternative by a mutation of the kind {kind!r} in "
            f"space {space.name!r}{_within(max_params)}: widen a range, or leave the kind open."
        )
    raise SpaceError(
        f"Architecture {architecture.id} has no alternative in space {space.name!r}{_within(max_params)}: "
        "widen a range."
    )


def mutants(
    space: Schema, codes: Codes, kinds: Sequence[str], rng: np.random.Generator, *, max_params: int | None = None
) -> tuple[Codes, NDArray[np.int64]]:
    """Return mutants of coded genes and their parameters; see ``ConfigSpace.mutants``.

    Each gene of the kind changes with a probability of one over their number, at least one does, to any
    other of its values.
    """
    eligible = _eligible(space, codes, kinds)
    made, params = codes.copy(), np.zeros(len(codes), dtype=np.int64)
    waiting = np.flatnonzero(eligible.any(axis=1))
    for tries in _AT_ONCE:
        if not len(waiting):
            break
        rows = np.repeat(waiting, tries)
        changed = _changed(space, codes[rows], eligible[rows], rng)
        sizes = space.count_all(changed)
        fits = np.ones(len(rows), dtype=bool) if max_params is None else sizes <= max_params
        lots = fits.reshape(len(waiting), tries)
        places = np.arange(len(waiting)) * tries + lots.argmax(axis=1)
        done = fits[places]
        made[waiting[done]], params[waiting[done]] = changed[places[done]], sizes[places[done]]
        waiting = waiting[~done]
    for row in waiting:
        names = [name for name, use in zip(space.coding.names, eligible[row], strict=True) if use]
        mutant = _smallest_change(space, space.coding.decode(codes[row].tobytes()), names, rng, max_params)
        if mutant is not None:
            made[row], params[row] = space.coding.encode([mutant.genes])[0], mutant.params
    return made, params


def _eligible(space: Schema, codes: Codes, kinds: Sequence[str]) -> NDArray[np.bool_]:
    """Return which genes a mutation of the kind may change: active ones with another value; the shape of ``codes``."""
    coding = space.coding
    others: NDArray[np.bool_] = (codes != ABSENT) & (coding.lengths > 1)
    if coding.arrays is not None:  # see ``Family.arrays``
        for kind in set(kinds) - coding.of_kind.keys():
            own = set(space.builder.mutation_genes(kind, dict.fromkeys(coding.names, 0)))
            coding.of_kind[kind] = np.array([name in own for name in coding.names])
        others &= np.array([coding.of_kind[kind] for kind in kinds], dtype=bool).reshape(codes.shape)
        return others
    for row, kind, genes in zip(others, kinds, coding.genes(codes), strict=True):
        names = space.builder.mutation_genes(kind, genes)
        row &= [name in names for name in coding.names]
    return others


def _changed(space: Schema, codes: Codes, eligible: NDArray[np.bool_], rng: np.random.Generator) -> Codes:
    """Return mutants of coded genes, none of which is as it was; every row has an eligible gene."""
    lengths = space.coding.lengths
    count = eligible.sum(axis=1)
    change = rng.random(codes.shape) * count[:, None] < 1
    chosen = (rng.random(len(codes)) * count).astype(np.int64)
    change |= eligible.cumsum(axis=1, dtype=np.int32) == chosen[:, None] + 1
    # Any other value, all alike: one to all but one steps on, around the end.
    stepped = codes + 1 + (rng.random(codes.shape) * (lengths - 1)).astype(np.int32)
    stepped -= lengths * (stepped >= lengths)
    changed = np.where(change & eligible, stepped, codes)
    space.coding.resolve(changed, (rng.random(codes.shape) * lengths).astype(np.int32))
    return changed


def _smallest_change(
    space: Schema, genes: dict[str, Gene], names: Sequence[str], rng: np.random.Generator, max_params: int | None
) -> Architecture | None:
    """Return the first single change that keeps a tight budget, in random order; None if none does.

    Genes that appear take what is smallest.
    """
    schema = [gene for gene in space.hyperparameters if gene.name in names]
    single = [(gene.name, value) for gene in schema for value in _others(gene, genes[gene.name])]
    for i in rng.permutation(len(single)):
        name, value = single[int(i)]
        mutant = smallest(space, keep_active(space.hyperparameters, {**genes, name: value}))
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
