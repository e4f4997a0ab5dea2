"""Drawing architectures: Latin-hypercube and uniform samples that keep a parameter budget.

A draw is a point of the unit cube with one coordinate per gene; conditions are resolved afterwards, so the
coordinates of genes that are not active do not matter. How a sample of ``n`` comes about:

1. a probe tells how many draws keep the budget;
2. if enough do, draws that do not are thrown away and drawn again;
3. otherwise they are repaired: random genes shrink towards their minimum until the budget is kept;
4. what is still missing, once that gives nearly nothing new, is one random gene away from what there is;
5. what is missing then (the space holds few more than ``n``) is taken from all that there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from analognas.errors import SpaceError
from analognas.search_spaces.architecture import Architecture
from analognas.search_spaces.coding import CodedGenes
from analognas.search_spaces.genes import Gene
from analognas.seeds import numpy_generator

if TYPE_CHECKING:
    from analognas.search_spaces.coding import Codes
    from analognas.search_spaces.hyperparameter import Hyperparameter
    from analognas.search_spaces.schema import Schema

METHODS = ("latin_hypercube", "uniform")
PROBE = 256
"""Draws from which the share that keeps the budget is estimated."""
MIN_ACCEPTANCE = 0.25
"""Share of draws that keep the budget below which draws are repaired, not repeated."""
ROUNDS = 20
"""Rounds of drawing what is missing before everything that there is gets listed."""

FEW = 20
"""Draws from which it can be told that a round found nearly nothing new."""

PATIENCE = 20
"""Steps in a row, for each architecture there is, that lead to nothing new before a walk ends; at least 1,000."""

ActiveGenes = dict[str, Gene]


def sample(
    space: Schema, n: int, *, seed: int, method: str = "latin_hypercube", max_params: int | None = None
) -> list[Architecture]:
    """Return ``n`` distinct architectures within ``max_params``; see ``ConfigSpace.sample``."""
    if method not in METHODS:
        raise SpaceError(f"Sampling method {method!r} is unknown: use one of {', '.join(METHODS)}.")
    if isinstance(n, bool) or not hasattr(n, "__index__") or n < 1:
        raise SpaceError(f"The number of architectures to sample is {n!r}: give a whole number of at least 1.")
    n = int(n)
    if max_params is not None:
        refuse_impossible_budget(space, max_params)
    total = size(space)
    if n > total:
        raise _too_few(space, n, total, None)
    rng = numpy_generator(seed, "sample", method)
    acceptance = 1.0 if max_params is None else _acceptance(space, max_params, seed)
    repair = acceptance < MIN_ACCEPTANCE
    chosen: dict[bytes, Architecture] = {}  # by their codes: no name is made of what is not taken in the end
    for round_number in range(ROUNDS):
        missing, before, drawn = n - len(chosen), len(chosen), 0
        # the first round is exactly n points, which is what makes the sample a Latin hypercube
        spread = 1.0 if repair or round_number == 0 else acceptance
        codes = _draw(space, math.ceil(missing / spread), method, rng)
        sizes = space.count_all(codes)
        fits = np.ones(len(codes), dtype=bool) if max_params is None else sizes <= max_params
        fitting = iter(space.coded(codes[fits], sizes[fits]))
        for fit, key in zip(fits.tolist(), space.coding.keys(codes), strict=True):
            drawn += 1
            if fit:
                chosen.setdefault(key, next(fitting))
            elif repair and max_params is not None:
                _add(chosen, _repair(space, space.coding.decode(key), max_params, rng))
            if len(chosen) == n:
                return list(chosen.values())
        if drawn >= FEW and len(chosen) - before < 0.1 * drawn:
            break  # most that are drawn are there already
    _walk(space, chosen, n, max_params, rng)
    if len(chosen) == n:
        return list(chosen.values())
    there = set(chosen.values())
    others = [a for a in _grow(space, max_params, at_least=max(4 * n, 2000)) if a not in there]
    if len(chosen) + len(others) < n:
        raise _too_few(space, n, len(chosen) + len(others), max_params)
    picked = rng.permutation(len(others))[: n - len(chosen)]
    return [*chosen.values(), *(others[int(i)] for i in picked)]


def _add(chosen: dict[bytes, Architecture], architecture: Architecture) -> bool:
    """Add a coded architecture if it is not there yet, and say whether it was not."""
    assert isinstance(architecture.genes, CodedGenes)
    return chosen.setdefault(architecture.genes.code, architecture) is architecture


def _walk(
    space: Schema, chosen: dict[bytes, Architecture], n: int, max_params: int | None, rng: np.random.Generator
) -> None:
    """Add networks within the budget that are one random gene away from one there is, until there are ``n``.

    Genes that a step makes active are drawn. It ends before ``n`` where next to nothing new is found any more.
    """
    pool = [dict(architecture.genes) for architecture in chosen.values()]
    others = {gene.name: {v: [w for w in gene.values if w != v] for v in gene.values} for gene in space.hyperparameters}
    deciding = {gene.active_if[0] for gene in space.hyperparameters if gene.active_if}
    misses = 0
    while pool and len(pool) < n and misses < max(1000, PATIENCE * len(pool)):
        for which, what, where in rng.random((min(4096, 4 * n), 3)).tolist():
            misses += 1
            genes = pool[int(which * len(pool))]
            name = list(genes)[int(what * len(genes))]
            values = others[name][genes[name]]
            if not values:
                continue
            active = {**genes, name: values[int(where * len(values))]}
            if name in deciding:
                active = complete(space, keep_active(space.hyperparameters, active), rng)
            params = space.count_params(active)
            if max_params is not None and params > max_params:
                continue
            if _add(chosen, space.trusted(active, params)):
                pool.append(active)
                misses = 0
                if len(pool) == n:
                    return


def _draw(space: Schema, n: int, method: str, rng: np.random.Generator) -> Codes:
    """Return the codes of ``n`` draws."""
    coding = space.coding
    if method == "latin_hypercube":
        from scipy.stats import qmc  # slow to import

        cube = qmc.LatinHypercube(d=len(coding.names), seed=rng).random(n)
    else:
        cube = rng.random((n, len(coding.names)))
    # As Hyperparameter.at does, for all draws at once.
    codes: Codes = np.minimum((cube * coding.lengths).astype(np.int32), coding.lengths - 1).astype(np.int32)
    coding.resolve(codes, codes)
    return codes


def _acceptance(space: Schema, max_params: int, seed: int) -> float:
    """Return the share of uniform draws that keep the budget."""
    draws = _draw(space, PROBE, "uniform", numpy_generator(seed, "sample", "probe"))
    return float((space.count_all(draws) <= max_params).mean())


def _repair(space: Schema, genes: ActiveGenes, max_params: int, rng: np.random.Generator) -> Architecture:
    """Return a network within the budget: random genes shrink to random lower values until it is one.

    Genes on which others depend shrink last, or almost every network would end with one main block. Genes
    without an order are left alone, unless all others are at their minimum: then the smallest network of
    the space is the only one that is known to keep the budget.
    """
    schema = space.hyperparameters
    deciding = {gene.active_if[0] for gene in schema if gene.active_if}
    active = dict(genes)
    while space.count_params(active) > max_params:
        shrinkable = [
            gene
            for gene in schema
            if gene.type == "discrete" and gene.name in active and active[gene.name] != gene.values[0]
        ]
        if not shrinkable:
            return smallest(space)
        candidates = [gene for gene in shrinkable if gene.name not in deciding] or shrinkable
        gene = candidates[int(rng.integers(len(candidates)))]
        position = gene.values.index(active[gene.name])
        active[gene.name] = gene.values[int(rng.integers(position))]
        active = keep_active(schema, active)
    return space.trusted(active)


def keep_active(schema: tuple[Hyperparameter, ...], genes: Mapping[str, Gene]) -> ActiveGenes:
    """Return the genes that are active, in schema order; those that are missing stay so."""
    active: ActiveGenes = {}
    for gene in schema:
        if gene.name in genes and gene.active(active):
            active[gene.name] = genes[gene.name]
    return active


def complete(space: Schema, genes: Mapping[str, Gene], rng: np.random.Generator | None) -> ActiveGenes:
    """Return the active genes; those that are missing are drawn, or at their first value without ``rng``."""
    active: ActiveGenes = {}
    for gene in space.hyperparameters:
        if gene.active(active):
            if gene.name in genes:
                active[gene.name] = genes[gene.name]
            else:
                active[gene.name] = gene.at(0.0 if rng is None else float(rng.random()))
    return active


def smallest(space: Schema, fixed: Mapping[str, Gene] | None = None) -> Architecture:
    """Return the network with the fewest parameters that has the genes of ``fixed``.

    All others start at their first value; then each in turn takes that of its extreme values (all of them
    without an order) that gives the fewest parameters, until nothing changes.
    """
    fixed = fixed or {}
    best = complete(space, fixed, None)
    least = space.count_params(best)
    improved = True
    while improved:
        improved = False
        for gene in space.hyperparameters:
            if gene.name in fixed or gene.name not in best:
                continue
            for value in gene.values if gene.type == "categorical" else (gene.values[0], gene.values[-1]):
                trial = complete(space, {**best, gene.name: value}, None)
                params = space.count_params(trial)
                if params < least:
                    best, least, improved = trial, params, True
    return space.trusted(best)


def refuse_impossible_budget(space: Schema, max_params: int) -> None:
    """Raise SpaceError if even the smallest network has more than ``max_params`` parameters."""
    if space.least is None:
        space.least = smallest(space).params
    least = space.least
    if least > max_params:
        raise SpaceError(
            f"The smallest network of space {space.name!r} has {least:,} parameters, more than max_params = "
            f"{max_params:,}: raise max_params to at least {least}, or lower the minimum of a range."
        )


def _grow(space: Schema, max_params: int | None, at_least: int) -> list[Architecture]:
    """Return all architectures within the budget, but stop soon after ``at_least``, smallest first.

    Starts at the smallest one and takes one step in one gene at a time. This reaches all of them if
    parameters grow with each gene.
    """
    first = smallest(space)
    reached: dict[Architecture, None] = {first: None}
    frontier = [first]
    while frontier and len(reached) < at_least:
        following: list[Architecture] = []
        for architecture in frontier:
            for genes in _neighbours(space, architecture):
                neighbour = smallest(space, genes)
                if neighbour not in reached and (max_params is None or neighbour.params <= max_params):
                    reached[neighbour] = None
                    following.append(neighbour)
        frontier = following
    return list(reached)


def _neighbours(space: Schema, architecture: Architecture) -> Iterator[ActiveGenes]:
    """Yield the genes of all networks that are one step away; genes that appear are still missing."""
    for gene in space.hyperparameters:
        value = architecture.genes.get(gene.name)
        if value is None:
            continue
        if gene.type == "discrete":
            position = gene.values.index(value)
            steps = [gene.values[i] for i in (position - 1, position + 1) if 0 <= i < len(gene.values)]
        else:
            steps = [choice for choice in gene.values if choice != value]
        for step in steps:
            yield keep_active(space.hyperparameters, {**architecture.genes, gene.name: step})


def everything(space: Schema, max_params: int | None) -> Iterator[Architecture]:
    """Yield every architecture within the budget once, in the order of its genes."""
    schema = space.hyperparameters

    def extended(genes: ActiveGenes, place: int) -> Iterator[ActiveGenes]:
        if place == len(schema):
            yield genes
        elif not schema[place].active(genes):
            yield from extended(genes, place + 1)
        else:
            for value in schema[place].values:
                yield from extended({**genes, schema[place].name: value}, place + 1)

    for genes in extended({}, 0):
        architecture = space.trusted(genes)
        if max_params is None or architecture.params <= max_params:
            yield architecture


def size(space: Schema) -> int:
    """Return the number of architectures: the product over genes, summed where others depend on a gene."""
    schema = space.hyperparameters
    dependents: dict[str | None, list[Hyperparameter]] = {}
    for gene in schema:
        dependents.setdefault(gene.active_if[0] if gene.active_if else None, []).append(gene)

    def count(gene: Hyperparameter) -> int:
        below = [(child.active_if[1], count(child)) for child in dependents.get(gene.name, ()) if child.active_if]
        if not below:
            return len(gene.values)
        active = partial(_product, below)
        return sum(active(int(value)) for value in gene.values)

    return math.prod(count(gene) for gene in dependents.get(None, ()))


def _product(below: list[tuple[int, int]], value: int) -> int:
    return math.prod(number for minimum, number in below if value >= minimum)


def _too_few(space: Schema, n: int, there_are: int, max_params: int | None) -> SpaceError:
    budget = "" if max_params is None else f" of at most {max_params:,} parameters"
    return SpaceError(
        f"Space {space.name!r} holds only {there_are} architectures{budget}, {n} were asked for: sample "
        f"fewer, widen a range{' or raise max_params' if max_params is not None else ''}."
    )
