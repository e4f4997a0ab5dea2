"""What a NAS-Bench-201 cell computes, as symbols: which of its edges do something, and which cells are the same.

A cell has four nodes; each of its six edges carries an operation, a node is the sum of what its incoming edges
give, node 1 is the input and node 4 the output (Dong and Yang, arXiv 2001.00326).
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

#: The edges (from, to) in the order of the genes.
EDGES = ((1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4))

#: The operations by number, in AnalogNAS-Bench's coding (arXiv 2506.18495).
OPERATIONS = ("skip", "none", "conv3x3", "conv1x1", "avgpool3x3")
SKIP, NONE, CONV3X3, CONV1X1, POOL = range(5)

Cell = tuple[int, ...]

# Orders of interchangeable operations that are tried; six equal ones would be 720.
_MOST_ORDERS = 720


@lru_cache(maxsize=1 << 15)
def live(cell: Cell) -> Cell:
    """Return the cell with ``NONE`` on every edge that is on no path from input to output."""
    forward, backward = {1}, {4}
    for (start, end), operation in zip(EDGES, cell, strict=True):
        if operation != NONE and start in forward:
            forward.add(end)
    for (start, end), operation in reversed(list(zip(EDGES, cell, strict=True))):
        if operation != NONE and end in backward:
            backward.add(start)
    return tuple(
        operation if start in forward and end in backward else NONE
        for (start, end), operation in zip(EDGES, cell, strict=True)
    )


@lru_cache(maxsize=1 << 15)
def paths(cell: Cell) -> tuple[tuple[int, ...], ...]:
    """Return the operations along every path from input to output, paths with ``NONE`` left out."""
    routes = ((2,), (0, 4), (1, 5), (0, 3, 5))  # edges by their place in EDGES
    return tuple(tuple(cell[edge] for edge in route) for route in routes if all(cell[edge] != NONE for edge in route))


@lru_cache(maxsize=1 << 15)
def canonical(cell: Cell) -> str:
    """Return a text that two cells share exactly if they compute the same functions by the same weights.

    Dead edges and the order of sums do not matter, an identity is what it passes on, and average pooling of a sum
    is the sum of the pooled terms. Two convolutions of the same input are not one convolution used twice, so every
    convolution has a name; names are given so that the text becomes the least one.
    """
    sums: dict[int, list[Any]] = {1: [("x",)], 2: [], 3: [], 4: []}
    for edge, ((start, end), operation) in enumerate(zip(EDGES, live(cell), strict=True)):
        terms = sums[start]
        if operation == SKIP:
            sums[end] = sums[end] + terms
        elif operation == POOL:
            sums[end] = sums[end] + [("pool", term) for term in terms]
        elif operation != NONE:
            sums[end] = [*sums[end], (OPERATIONS[operation], edge, tuple(terms))]
    output = sums[4]
    shapes = dict(_shapes(output))
    if not _shared(output):  # names would say nothing
        return _text(output, dict.fromkeys(shapes, ""))
    alike = [[edge for edge in shapes if shapes[edge] == shape] for shape in sorted(set(shapes.values()))]
    orders = itertools.product(*(itertools.permutations(group) for group in alike))
    return min(
        _text(output, {edge: str(number) for number, edge in enumerate(itertools.chain(*order))})
        for order in itertools.islice(orders, _MOST_ORDERS)
    )


def _shapes(terms: Sequence[Any]) -> list[tuple[int, str]]:
    """Return every convolution (its edge) with the text of what it computes, names left out."""
    shapes = []
    for term in terms:
        if term[0] == "pool":
            shapes += _shapes([term[1]])
        elif term[0] != "x":
            shapes.append((term[1], _text([term], None)))
            shapes += _shapes(term[2])
    return shapes


def _shared(terms: Sequence[Any]) -> bool:
    """Return whether a convolution's output is used more than once."""
    return max(Counter(edge for edge, _ in _shapes(terms)).values(), default=0) > 1


def _text(terms: Sequence[Any], names: dict[int, str] | None) -> str:
    return "+".join(sorted(_term(term, names) for term in terms)) or "0"


def _term(term: Any, names: dict[int, str] | None) -> str:
    if term[0] == "x":
        return "x"
    if term[0] == "pool":
        return f"pool({_term(term[1], names)})"
    return f"{term[0]}{'' if names is None else names[term[1]]}({_text(term[2], names)})"
