"""The ResNet-like family for many networks at once: what ``ResNet.count_params`` and ``structure`` say, as arrays."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from analognas.search_spaces.resnet_plan import SMALLEST_SIDE, _size, _stem_stride
from analognas.search_spaces.structure import LayerArrays

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analognas.search_spaces.family import Shape
    from analognas.search_spaces.structure import Columns

    Numbers = NDArray[np.int64]


class ResNetArrays:
    """See ``FamilyArrays``."""

    def count_params(self, columns: Columns, input_shape: Shape, classes: int) -> Numbers:
        """Return the numbers of trainable parameters, (n,)."""
        return _Blocks(columns, input_shape).count_params(columns, input_shape, classes)

    def layers(self, columns: Columns, input_shape: Shape, classes: int) -> LayerArrays:
        """Return layers and paths of the networks."""
        blocks = _Blocks(columns, input_shape)
        shape = blocks.shape
        none, ones = np.zeros(shape[1], dtype=np.int64), np.ones(shape[1], dtype=np.int64)
        basic, inner, out = blocks.basic, blocks.inner, blocks.out
        there = blocks.there.astype(np.int64)
        shortcut, parallel, further = there * blocks.shortcut, blocks.branches * there, blocks.further * there
        third = there * ~basic
        parallel_third = parallel * third
        before_pixels, after = (np.broadcast_to(pixels, shape) for pixels in (blocks.pixels[:-1], blocks.pixels[1:]))
        middle, factor = np.where(basic, out, inner), np.where(basic, 9, 1)
        second = 9 * middle
        # Rows, columns, pixels, parallel, repeats of the kinds of layers: the stem; of each block its first residual
        # block with the shortcut (second kind), then the further ones; the head.
        stem = (
            input_shape[0] * columns["kernel_size0"] ** 2,
            columns["out_channel0"],
            none + blocks.pixels[0],
            ones,
            ones,
        )
        own = (
            (factor * blocks.before, blocks.before, second, inner, factor * out, second, inner),
            (middle, out, middle, out, middle, middle, out),
            (np.where(basic, after, before_pixels), after, after, after, after, after, after),
            (parallel, shortcut, parallel, parallel_third, parallel, parallel, parallel_third),
            (there, shortcut, there, third, further, further, further * third),
        )
        head = (blocks.last, none + classes, ones, ones, ones)
        rows, outputs, pixels, parallel, repeats = (
            np.concatenate([first[None], np.stack(part, axis=1).reshape(-1, shape[1]), last[None]])
            for first, part, last in zip(stem, own, head, strict=True)
        )
        kinds = len(own[0])
        levels = [kinds * block + 1 + kind for block in range(shape[0]) for kind in range(kinds) if kind != 1]
        depths = there * (1 + blocks.further)
        return LayerArrays(
            rows=rows,
            columns=outputs,
            pixels=pixels,
            parallel=parallel,
            repeats=repeats,
            convolution=np.arange(len(rows)) < len(rows) - 1,
            levels=(0, *levels, len(rows) - 1),
            params=blocks.count_params(columns, input_shape, classes),
            longest_path=2 + (depths * np.where(basic, 2, 3)).sum(axis=0),
            shortest_path=2 + shortcut.sum(axis=0),
            skips=(depths - shortcut).sum(axis=0),
            widths=there * out,
        )


class _Blocks:
    """The b main blocks of n networks, (b, n) each.

    Numbers are at least 1 where a network has no such block, which ``there`` says.

    Args:
        columns: the values of the genes, (n,) each.
        input_shape: channels, height, width.
    """

    def __init__(self, columns: Columns, input_shape: Shape) -> None:
        first = columns["out_channel0"]
        blocks = range(1, int(columns["M"].max(initial=1)) + 1)
        self.shape = len(blocks), len(first)

        def of_blocks(gene: str) -> NDArray[Any]:
            return np.array([columns[f"{gene}{block}"] for block in blocks]).reshape(self.shape)

        self.there = columns["M"] >= np.array(blocks)[:, None]
        wider = of_blocks("widenfact")
        # Where there is no block, the width stays: that of the last block is the network's.
        widths = np.multiply.accumulate(np.concatenate([first[None], np.where(self.there, wider, 1)]), axis=0)
        self.before, self.last = widths[:-1], widths[-1]
        self.out = np.maximum(self.before * wider, 1)
        self.inner = np.maximum(self.out >> 2, 1)  # a quarter
        self.basic = of_blocks("convblock") == "basic"
        self.branches = of_blocks("B")
        self.further = np.maximum(of_blocks("R") - 1, 0)
        halved, self.pixels = _sides(input_shape, len(blocks))
        self.shortcut = (self.before != self.out) | halved

    def count_params(self, columns: Columns, input_shape: Shape, classes: int) -> Numbers:
        """Return the numbers of trainable parameters of the networks, (n,)."""
        before, out, inner, blocks = self.before, self.out, self.inner, self.further + 1
        # Of the residual blocks of one branch: what goes into the first convolutions, and what all weigh.
        entering = before + self.further * out
        basic = out * (9 * (entering + blocks * out) + 4 * blocks)
        bottleneck = inner * (entering + blocks * (9 * inner + out + 4)) + 2 * blocks * out
        params = self.branches * np.where(self.basic, basic, bottleneck) + self.shortcut * out * (before + 2)
        stem = columns["out_channel0"] * (input_shape[0] * columns["kernel_size0"] ** 2 + 2)
        return np.asarray(stem + (self.there * params).sum(axis=0) + classes * (self.last + 1))


@cache
def _sides(input_shape: Shape, blocks: int) -> tuple[NDArray[np.bool_], Numbers]:
    """Return which blocks halve the image, (blocks, 1), and its pixels before the first and after each, likewise."""
    sides = [_size(side, _stem_stride(input_shape)) for side in input_shape[1:]]
    pixels, halved = [sides[0] * sides[1]], []
    for block in range(blocks):
        halved.append(block > 0 and min(sides) > SMALLEST_SIDE)
        sides = [_size(side, 2) for side in sides] if halved[-1] else sides
        pixels.append(sides[0] * sides[1])
    return np.array(halved, dtype=bool)[:, None], np.array(pixels)[:, None]
