"""The layers of the ResNet-like family counted by shape, in closed form.

A network of the published space has hundreds of layers and a dozen shapes of layers, and a search asks what thousands
of networks cost.
"""

from __future__ import annotations

from collections.abc import Mapping

from analognas.search_spaces.family import Shape
from analognas.search_spaces.genes import Gene
from analognas.search_spaces.resnet_plan import (
    SMALLEST_SIDE,
    _block_type,
    _integer_gene,
    _kernel_size,
    _size,
    _stem_stride,
)
from analognas.search_spaces.structure import Run


def resnet_runs(genes: Mapping[str, Gene], input_shape: Shape, classes: int) -> list[Run]:
    """Return the runs of a network of the ResNet-like family (``resnet``), in closed form.

    Raises:
        SpaceError: if a gene is missing or builds no network.
    """
    channels, kernel_size, stride = _integer_gene(genes, "out_channel0"), _kernel_size(genes), _stem_stride(input_shape)
    height, width = _size(input_shape[1], stride), _size(input_shape[2], stride)
    pixels = height * width
    runs = [Run(input_shape[0] * kernel_size**2, channels, pixels, 1, 1)]
    for i in range(1, _integer_gene(genes, "M") + 1):
        block_type = _block_type(genes, f"convblock{i}")
        branches = _integer_gene(genes, f"B{i}")
        blocks = _integer_gene(genes, f"R{i}")
        out = channels * _integer_gene(genes, f"widenfact{i}")
        before, stride = pixels, 1
        if i > 1 and min(height, width) > SMALLEST_SIDE:
            stride, height, width = 2, _size(height, 2), _size(width, 2)
            pixels = height * width
        further = (blocks - 1) * branches
        if block_type == "basic":
            runs += [
                Run(9 * channels, out, pixels, branches, 1),
                Run(9 * out, out, pixels, branches + 2 * further, 1 + 2 * (blocks - 1)),
            ]
        else:
            inner = max(1, out // 4)
            runs += [
                Run(channels, inner, before, branches, 1),
                Run(9 * inner, inner, pixels, branches + further, blocks),
                Run(inner, out, pixels, branches + further, blocks),
            ]
            if further:
                runs.append(Run(out, inner, pixels, further, blocks - 1))
        if stride == 2 or channels != out:  # beside the first convolution of a branch, which has at least its vectors
            runs.append(Run(channels, out, pixels, 1, 0))
        channels = out
    runs.append(Run(channels, classes, 1, 1, 1))
    return runs
