"""What a NAS-Bench-201 cell does, as numbers for an evaluator: the same for cells of the same function.

Three kinds of names: plain ones (counts over the live cell, extremes over its paths, and a mean-field estimate of
noise and depth), ``profile_abc`` (paths with a 3x3 and b 1x1 convolutions and c poolings) and ``sequence_...`` (paths
with exactly these operations in this order).
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache

from analognas.search_spaces.nasbench201.cell import CONV1X1, CONV3X3, EDGES, NONE, POOL, SKIP, Cell, live

_SHORT = {CONV3X3: "c3", CONV1X1: "c1", POOL: "pool"}
_SEQUENCES = [sequence for length in range(4) for sequence in itertools.product(_SHORT, repeat=length)]
_PROFILES = sorted({tuple(sequence.count(operation) for operation in _SHORT) for sequence in _SEQUENCES})

# What an operation adds along a path: noise of 3x3 and of 1x1 convolutions, depth in convolutions, receptive field.
_ADDS = {CONV3X3: (1.0, 0.0, 1.0, 2.0), CONV1X1: (0.0, 1.0, 1.0, 0.0), POOL: (0.0, 0.0, 0.0, 2.0)}
_MOMENTS = ("noise_c3", "noise_c1", "depth", "field")
# The published network: three stages of five cells.
_STAGES, _CELLS = 3, 5
# Batch-norm gives a convolution's output the variance 1; pooling averages about half of it away.
_POOLED = 0.5

_INPUT = -1
# A live operation: its kind, and the terms it reads (edges of other operations, or the input).
_Graph = dict[int, tuple[int, tuple[int, ...]]]
_Moments = tuple[float, tuple[float, ...]]


def cell_features(cell: Cell) -> dict[str, float]:
    """Return the features of a cell by name; all cells have the same names in the same order."""
    return dict(_features(live(cell)))


@lru_cache(maxsize=1 << 15)
def _features(cell: Cell) -> tuple[tuple[str, float], ...]:
    graph, output = _graph(cell)
    paths = list(_paths(graph, output))
    named = {**_counts(graph, output, paths), **_mean_field(graph, output)}
    profiles = Counter(tuple(path.count(operation) for operation in _SHORT) for path in paths)
    named |= {"profile_" + "".join(map(str, profile)): float(profiles[profile]) for profile in _PROFILES}
    sequences = Counter(paths)
    named |= {
        "sequence_" + "_".join(_SHORT[o] for o in sequence): float(sequences[sequence]) for sequence in _SEQUENCES
    }
    return tuple(named.items())


def _graph(cell: Cell) -> tuple[_Graph, tuple[int, ...]]:
    """Return the live operations by their edge, and the terms of the output; identities are what they pass on."""
    graph: _Graph = {}
    nodes: dict[int, tuple[int, ...]] = {1: (_INPUT,), 2: (), 3: (), 4: ()}
    for edge, ((start, end), operation) in enumerate(zip(EDGES, cell, strict=True)):
        if operation == SKIP:
            nodes[end] += nodes[start]
        elif operation != NONE:
            graph[edge] = operation, nodes[start]
            nodes[end] += (edge,)
    return graph, nodes[4]


def _paths(graph: _Graph, terms: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield the operations of every path that ends in one of the terms."""
    for term in terms:
        if term == _INPUT:
            yield ()
        else:
            operation, inputs = graph[term]
            for path in _paths(graph, inputs):
                yield (*path, operation)


def _counts(graph: _Graph, output: tuple[int, ...], live: list[tuple[int, ...]]) -> dict[str, float]:
    kinds = Counter(operation for operation, _ in graph.values())
    convolutions = (CONV3X3, CONV1X1)
    weights = 9 * kinds[CONV3X3] + kinds[CONV1X1]
    named: dict[str, float] = {
        "alive": bool(live),
        "paths": len(live),
        **{f"count_{short}": kinds[operation] for operation, short in _SHORT.items()},
        "count_conv": kinds[CONV3X3] + kinds[CONV1X1],
        "weights": weights,
        "log_weights": math.log1p(weights),
        "paths_skip_only": live.count(()),
        "paths_without_conv": sum(not set(convolutions) & set(path) for path in live),
        "paths_without_pool": sum(POOL not in path for path in live),
    }
    along = {
        "depth": [sum(operation in convolutions for operation in path) for path in live],
        "c3": [path.count(CONV3X3) for path in live],
        "c1": [path.count(CONV1X1) for path in live],
        "pool": [path.count(POOL) for path in live],
        "field": [2 * path.count(CONV3X3) + 2 * path.count(POOL) for path in live],
    }
    for name, values in along.items():
        known = values or [0]
        named |= {f"max_{name}": max(known), f"min_{name}": min(known), f"mean_{name}": sum(known) / len(known)}
    named["sum_depth"] = sum(along["depth"])
    neighbours = [list(itertools.pairwise(path)) for path in live]
    named["paths_pool_conv"] = sum(any(a == POOL and b != POOL for a, b in pairs) for pairs in neighbours)
    named["paths_conv_pool"] = sum(any(a != POOL and b == POOL for a, b in pairs) for pairs in neighbours)
    named["output_terms"] = len(output)
    used = Counter(itertools.chain(output, *(set(inputs) for _, inputs in graph.values())))
    for operation, short in _SHORT.items():
        named[f"output_{short}"] = sum(term != _INPUT and graph[term][0] == operation for term in output)
        named[f"from_input_{short}"] = sum(kind == operation and _INPUT in inputs for kind, inputs in graph.values())
    named["of_sums"] = sum(len(inputs) > 1 for _, inputs in graph.values())
    named["conv_of_residual"] = sum(
        kind in convolutions and _INPUT in inputs and len(inputs) > 1 for kind, inputs in graph.values()
    )
    named["shared"] = sum(used[edge] > 1 for edge in graph)
    return {name: float(value) for name, value in named.items()}


def _mean_field(graph: _Graph, output: tuple[int, ...]) -> dict[str, float]:
    """Return the variance at the end of a cell and of the network, and what its parts have gone through.

    Terms are taken as independent, so variances add, and a moment (noise, depth, receptive field) of a sum is the
    mean of its terms' weighted by their variances. A convolution starts anew with variance 1, so what lies before
    a deep path is forgotten as far as its shortcuts are weak.
    """
    named: dict[str, float] = {}
    state: _Moments = (1.0, (0.0,) * len(_MOMENTS))
    for stage in range(_STAGES):
        if stage:  # the residual block: a shortcut with one convolution, and two 3x3 of variance 1
            branch = [moment + change for moment, change in zip(state[1], (2.0, 0.0, 2.0, 4.0), strict=True)]
            state = 2.0, tuple((a + b) / 2 for a, b in zip(state[1], branch, strict=True))
        for number in range(_CELLS):
            state = _through(graph, output, state)
            if stage == number == 0:
                named |= _described("cell", state, float)
    named |= _described("network", state, math.log1p)
    weights = dict.fromkeys(("input", *_SHORT.values()), 0.0)
    for term, times in Counter(output).items():
        kind = "input" if term == _INPUT else _SHORT[graph[term][0]]
        weights[kind] += times**2 * (_POOLED if kind == "pool" else 1.0)
    total = sum(weights.values()) or 1.0
    return named | {f"share_{kind}": weight / total for kind, weight in weights.items()}


def _described(where: str, state: _Moments, scale: Callable[[float], float]) -> dict[str, float]:
    variance, moments = state
    named = {f"{where}_log_variance": math.log(variance) if variance > 0 else -3.0}
    return named | {f"{where}_{name}": scale(moment) for name, moment in zip(_MOMENTS, moments, strict=True)}


def _through(graph: _Graph, output: tuple[int, ...], state: _Moments) -> _Moments:
    """Return variance and moments after a cell; zeros if nothing comes through."""
    values: dict[int, _Moments] = {_INPUT: state}

    def summed(terms: tuple[int, ...]) -> _Moments:
        variance, moments = 0.0, [0.0] * len(_MOMENTS)
        for term, times in Counter(terms).items():  # what is added to itself has twice the amplitude
            own = times**2 * values[term][0]
            variance += own
            moments = [moment + own * more for moment, more in zip(moments, values[term][1], strict=True)]
        return (variance, tuple(moment / variance for moment in moments)) if variance > 0 else (0.0, tuple(moments))

    for edge, (operation, inputs) in graph.items():
        variance, moments = summed(inputs)
        added = tuple(moment + more for moment, more in zip(moments, _ADDS[operation], strict=True))
        values[edge] = (_POOLED * variance if operation == POOL else 1.0), added
    return summed(output)
