"""The ResNet-like family for many networks at once: what ``ResNet.count_params`` and ``structure`` say, as arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analognas.search_spaces.resnet_plan import SMALLEST_SIDE, _size, _stem_stride
from analognas.search_spaces.structure import LayerArrays

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from analognas.search_spaces.family import Shape
    from analognas.search_spaces.structure import Columns

    Numbers = NDArray[np.int64]


class ResNetArrays:
    """See ``FamilyArrays``."""

    def count_params(self, columns: Columns, input_shape: Shape, classes: int) -> Numbers:
        """Return the numbers of trainable parameters, (n,)."""
        width = columns["out_channel0"]
        total = width * (input_shape[0] * columns["kernel_size0"] ** 2 + 2)
        for block in _blocks(columns, input_shape):
            before, out, inner, blocks = block.before, block.out, block.inner, block.further + 1
            # Of the residual blocks of one branch: what goes into the first convolutions, and what all weigh.
            entering = before + block.further * out
            basic = out * (9 * (entering + blocks * out) + 4 * blocks)
            bottleneck = inner * (entering + blocks * (9 * inner + out + 4)) + 2 * blocks * out
            params = block.branches * np.where(block.basic, basic, bottleneck) + block.shortcut * out * (before + 2)
            total = total + block.there * params
            width = np.where(block.there, out, width)
        return np.asarray(total + classes * (width + 1))

    def layers(self, columns: Columns, input_shape: Shape, classes: int) -> LayerArrays:
        """Return layers and paths of the networks."""
        width = columns["out_channel0"]
        n = len(width)
        none, single = np.zeros(n, dtype=np.int64), np.ones(n, dtype=np.int64)
        sizes = [_size(side, _stem_stride(input_shape)) for side in input_shape[1:]]
        # rows, columns, pixels, parallel, repeats of each kind of layers
        kinds: list[tuple[Any, ...]] = [
            (input_shape[0] * columns["kernel_size0"] ** 2, width, none + sizes[0] * sizes[1], single, single)
        ]
        levels = [0]
        longest, shortest, skips = 2 * single, 2 * single, none
        widths = []
        for block in _blocks(columns, input_shape):
            there, basic, inner, out = block.there.astype(np.int64), block.basic, block.inner, block.out
            before_pixels = sizes[0] * sizes[1]
            if block.halve:
                sizes = [_size(side, 2) for side in sizes]
            after = none + sizes[0] * sizes[1]
            middle = np.where(basic, out, inner)
            parallel = block.branches * there
            for repeats, entering, pixels in (
                (there, block.before, before_pixels),
                (block.further * there, out, after),
            ):
                first = np.where(basic, 9 * entering, entering)
                levels.append(len(kinds))
                kinds.append((first, middle, np.where(basic, after, pixels), parallel, repeats))
                if entering is block.before:
                    shortcut = there * block.shortcut
                    kinds.append((entering, out, after, shortcut, shortcut))
                levels.append(len(kinds))
                kinds.append((9 * middle, middle, after, parallel, repeats))
                levels.append(len(kinds))
                third = there * ~basic
                kinds.append((inner, out, after, parallel * third, repeats * third))
            longest = longest + there * np.where(basic, 2, 3) * (1 + block.further)
            shortest = shortest + shortcut
            skips = skips + there * (1 + block.further) - shortcut
            widths.append(there * out)
            width = np.where(block.there, out, width)
        levels.append(len(kinds))
        kinds.append((width, none + classes, single, single, single))
        rows, outputs, pixels, parallel, repeats = (np.stack(part) for part in zip(*kinds, strict=True))
        convolution = np.arange(len(kinds)) < len(kinds) - 1
        return LayerArrays(
            rows=rows,
            columns=outputs,
            pixels=pixels,
            parallel=parallel,
            repeats=repeats,
            convolution=convolution,
            levels=tuple(levels),
            params=self.count_params(columns, input_shape, classes),
            longest_path=longest,
            shortest_path=shortest,
            skips=skips,
            widths=np.stack(widths),
        )


class _Block:
    """Main block i of n networks; numbers are at least 1 where a network has no such block, which ``there`` says."""

    def __init__(self, columns: Columns, i: int, before: Numbers, halve: bool) -> None:
        self.there = columns["M"] >= i
        self.before = before
        self.out = np.maximum(before * columns[f"widenfact{i}"], 1)
        self.inner = np.maximum(self.out // 4, 1)
        self.basic = columns[f"convblock{i}"] == "basic"
        self.branches = columns[f"B{i}"]
        self.further = np.maximum(columns[f"R{i}"] - 1, 0)
        self.halve = halve
        self.shortcut = np.ones_like(self.there) if halve else before != self.out


def _blocks(columns: Columns, input_shape: Shape) -> Iterator[_Block]:
    width = columns["out_channel0"]
    side = _size(min(input_shape[1:]), _stem_stride(input_shape))
    for i in range(1, int(columns["M"].max(initial=0)) + 1):
        halve = i > 1 and side > SMALLEST_SIDE
        side = _size(side, 2) if halve else side
        block = _Block(columns, i, width, halve)
        yield block
        width = np.where(block.there, block.out, width)
