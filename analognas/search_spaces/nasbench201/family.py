"""The NAS-Bench-201 family of cell networks (Dong and Yang, arXiv 2001.00326), without torch.

    stem: 3x3 convolution with ``channels`` filters, batch-norm
    three stages of ``cells`` cells each; between them a residual block halves the feature map and doubles the width
    head: batch-norm, ReLU, global average pooling, linear layer with bias

All cells of a network are alike: six operations on the edges between four nodes (``cell``). A convolution in a cell
is ReLU, convolution, batch-norm. Only what lies on a path from input to output is built: parameters, tiles and noise
of dead edges would do nothing. A cell without any path gives zeros.

The width is 16 and the depth 5 as published, unless the space has the genes ``channels`` and ``cells``.
The network itself is in ``network``; the published table of results in ``table``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from analognas.errors import SpaceError
from analognas.search_spaces.config_space import ConfigSpace
from analognas.search_spaces.family import Family, Shape
from analognas.search_spaces.genes import Gene
from analognas.search_spaces.hyperparameter import Hyperparameter
from analognas.search_spaces.nasbench201.cell import (
    CONV1X1,
    CONV3X3,
    EDGES,
    NONE,
    OPERATIONS,
    SKIP,
    Cell,
    canonical,
    live,
    paths,
)
from analognas.search_spaces.structure import AnalogLayer, Run, Structure

if TYPE_CHECKING:
    from torch import nn

STAGES = 3
CHANNELS, CELLS = 16, 5

EDGE_GENES = tuple(f"edge{start}{end}" for start, end in EDGES)
_KERNEL = {CONV3X3: 3, CONV1X1: 1}


def cell_of(genes: Mapping[str, Gene]) -> Cell:
    """Return the six operations; SpaceError if one is missing or no operation."""
    cell = []
    for name in EDGE_GENES:
        value = genes.get(name)
        if not isinstance(value, int) or not 0 <= value < len(OPERATIONS):
            raise SpaceError(f"Gene {name} = {value!r} is no operation: give 0 to 4 ({', '.join(OPERATIONS)}).")
        cell.append(value)
    return tuple(cell)


def _size_of(genes: Mapping[str, Gene]) -> tuple[int, int]:
    """Return width and cells per stage."""
    size = []
    for name, default in (("channels", CHANNELS), ("cells", CELLS)):
        value = genes.get(name, default)
        if not isinstance(value, int) or value < 1:
            raise SpaceError(f"Gene {name} = {value!r} builds no network: give an integer of at least 1.")
        size.append(value)
    return size[0], size[1]


class NASBench201(Family):
    """The family; see the module's text."""

    name: ClassVar[str] = "nasbench201"
    mutations: ClassVar[tuple[str, ...]] = ("operation", "size")

    def hyperparameters(self, preset: str) -> tuple[Hyperparameter, ...]:
        """Return the six edges; they are the same for every preset."""
        return tuple(Hyperparameter(name, "categorical", choices=tuple(range(len(OPERATIONS)))) for name in EDGE_GENES)

    def optional(self) -> tuple[Hyperparameter, ...]:
        """Return width and depth, which a range adds."""
        return (Hyperparameter("channels", "discrete", 1, 256), Hyperparameter("cells", "discrete", 1, 16))

    def meaning(self, name: str) -> str:
        """Return what the gene of this name is, in a few words."""
        if name in EDGE_GENES:
            operations = ", ".join(f"{number} {operation}" for number, operation in enumerate(OPERATIONS))
            return f"operation on the edge from node {name[-2]} to node {name[-1]} of the cell: {operations}"
        return {"channels": "channels of the first stage", "cells": "cells in each of the three stages"}.get(name, "")

    def reads(self, name: str) -> bool:
        """Say whether a gene of this name belongs to the family."""
        return name in EDGE_GENES or name in ("channels", "cells")

    def check_space(self, hyperparameters: Mapping[str, Hyperparameter]) -> None:
        """Raise SpaceError if a gene is ignored, an edge is missing, or a value builds no network."""
        super().check_space(hyperparameters)
        for name in EDGE_GENES:
            if name not in hyperparameters:
                raise SpaceError(f"Hyperparameter {name!r} is missing: a cell has six edges.")
        for end in (0, -1):
            genes = {name: gene.values[end] for name, gene in hyperparameters.items()}
            cell_of(genes), _size_of(genes)

    def mutation_genes(self, kind: str, genes: Mapping[str, Gene]) -> tuple[str, ...]:
        """Return the genes of a kind: "operation" (the edges) or "size" (channels and cells)."""
        if kind not in self.mutations:
            raise SpaceError(f"Mutation {kind!r} is unknown: use one of {', '.join(self.mutations)}.")
        return tuple(name for name in genes if (name in EDGE_GENES) == (kind == "operation"))

    def function(self, genes: Mapping[str, Gene]) -> str:
        """Return what cells of the same function share, with the size."""
        channels, cells = _size_of(genes)
        return f"{canonical(cell_of(genes))} {channels} {cells}"

    def count_params(self, genes: Mapping[str, Gene], input_shape: Shape, classes: int) -> int:
        """Return the number of trainable parameters, in closed form."""
        channels, cells = _size_of(genes)
        operations = live(cell_of(genes))
        total = channels * (9 * input_shape[0] + 2)
        for stage in range(STAGES):
            width = channels << stage
            if stage:
                # 3x3 with stride, 3x3, and the 1x1 of the shortcut
                total += 9 * width * (width // 2) + 9 * width * width + 4 * width + width * (width // 2)
            for operation in operations:
                if operation in _KERNEL:
                    total += cells * (_KERNEL[operation] ** 2 * width * width + 2 * width)
        last = channels << (STAGES - 1)
        return total + 2 * last + classes * (last + 1)

    def structure(self, genes: Mapping[str, Gene], input_shape: Shape, classes: int) -> Structure:
        """Return the layers and paths of the network."""
        channels, cells = _size_of(genes)
        return _structure(live(cell_of(genes)), channels, cells, input_shape, classes)

    def runs(self, genes: Mapping[str, Gene], input_shape: Shape, classes: int) -> list[Run]:
        """Return the layers counted by shape, in closed form."""
        channels, cells = _size_of(genes)
        cell = live(cell_of(genes))
        longest = max((sum(operation in _KERNEL for operation in path) for path in paths(cell)), default=0)
        height, width = input_shape[1:]
        runs = [Run(9 * input_shape[0], channels, height * width, 1, 1)]
        for stage in range(STAGES):
            after = channels << stage
            if stage:
                height, width = (height + 1) // 2, (width + 1) // 2
                pixels = height * width
                runs += [Run(9 * after // 2, after, pixels, 1, 1), Run(9 * after, after, pixels, 1, 1)]
                runs.append(Run(after // 2, after, pixels, 1, 0))  # beside the first of the two
            levels = (
                cells * longest
            )  # all convolutions of a stage have as many vectors, so any of them stands for these
            for operation, kernel in _KERNEL.items():
                if number := cell.count(operation):
                    runs.append(Run(kernel**2 * after, after, height * width, cells * number, levels))
                    levels = 0
        runs.append(Run(channels << (STAGES - 1), classes, 1, 1, 1))
        return runs

    def build(self, genes: Mapping[str, Gene], input_shape: Shape, classes: int) -> nn.Module:
        """Return the network, initialised from torch's global generator."""
        from analognas.search_spaces.nasbench201.network import NASBench201Network

        channels, cells = _size_of(genes)
        return NASBench201Network(live(cell_of(genes)), channels, cells, input_shape, classes)

    def descriptors(self, genes: Mapping[str, Gene], input_shape: Shape, classes: int) -> dict[str, float]:
        """Return what a cell does, as numbers; see ``cell_features``."""
        from analognas.search_spaces.nasbench201.cell_features import cell_features

        return cell_features(cell_of(genes))

    def described(self) -> frozenset[str]:
        """Return the edges."""
        return frozenset(EDGE_GENES)


class NASBench201Space(ConfigSpace):
    """The NAS-Bench-201 cell space.

    Args:
        dataset: as in ``ConfigSpace``.
        channels: width of the first stage, or a range of widths to search; None: 16, and no gene for it.
        cells: cells per stage, likewise; None: 5.
        further: as in ``ConfigSpace``.
    """

    def __init__(
        self,
        dataset: str | None = "cifar10",
        *,
        channels: int | Sequence[int] | None = None,
        cells: int | Sequence[int] | None = None,
        ranges: Mapping[str, Any] | None = None,
        **further: Any,
    ) -> None:
        given = {name: value for name, value in (("channels", channels), ("cells", cells)) if value is not None}
        super().__init__(
            dataset, family=further.pop("family", "nasbench201"), ranges={**(ranges or {}), **given}, **further
        )


def _structure(cell: Cell, channels: int, cells: int, input_shape: Shape, classes: int) -> Structure:
    layers: list[AnalogLayer] = []

    def add(name: str, before: int, after: int, kernel: int, size: tuple[int, int], stride: int, depth: int) -> None:
        height, width = size
        layers.append(AnalogLayer(name, "conv", before, after, kernel, stride, height, width, bias=False, depth=depth))

    size = (input_shape[1], input_shape[2])
    add("stem.conv", input_shape[0], channels, 3, size, 1, 1)
    longest = shortest = 1
    skips = 0
    digital = 2 * channels
    for stage in range(STAGES):
        width = channels << stage
        if stage:
            half = ((size[0] + 1) // 2, (size[1] + 1) // 2)
            name = f"stages.{stage}.reduction"
            add(f"{name}.first.conv", width // 2, width, 3, half, 2, longest + 1)
            add(f"{name}.second.conv", width, width, 3, half, 1, longest + 2)
            add(f"{name}.shortcut.conv", width // 2, width, 1, half, 1, longest + 1)
            size = half
            longest, shortest = longest + 2, shortest + 1
            digital += 4 * width
        for number in range(cells):
            depth = {1: 0}
            for index, ((start, end), operation) in enumerate(zip(EDGES, cell, strict=True)):
                if operation == NONE:
                    continue
                after = depth[start] + (operation in _KERNEL)
                depth[end] = max(depth.get(end, 0), after)
                if operation in _KERNEL:
                    name = f"stages.{stage}.cells.{number}.operations.{EDGE_GENES[index]}.conv"
                    add(name, width, width, _KERNEL[operation], size, 1, longest + after)
                    digital += 2 * width
            routes = [sum(operation in _KERNEL for operation in path) for path in paths(cell)]
            longest += max(routes, default=0)
            shortest += min(routes, default=0)
            skips += sum(operation == SKIP for operation in cell)
    last = channels << (STAGES - 1)
    digital += 2 * last
    layers.append(AnalogLayer("head.linear", "linear", last, classes, 1, 1, 1, 1, bias=True, depth=longest + 1))
    return Structure(
        layers=tuple(layers),
        digital_params=digital,
        longest_path=longest + 1,
        shortest_path=shortest + 1,
        skips=skips,
        widths=tuple(channels << stage for stage in range(STAGES)),
    )
