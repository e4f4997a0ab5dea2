"""The product of all groups of a grouped convolution at once, each on a tile of its own, with gradients.

What :mod:`analognas.hardware.mvm` computes for one tile, for many of the same shape and converters: every group has its
weights, its noise, its input range and its scale. As vectors along the channels they take one pass for all groups.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from aihwkit.simulator.tiles.torch_tile import TorchSimulatorTile
from torch import Tensor
from torch.nn.functional import conv2d

from analognas.hardware import converters as conv
from analognas.hardware import grouped_converters as grouped
from analognas.hardware.converters import Converters, Window
from analognas.hardware.mvm import _range_gradient

_LEAST = 1e-30


@dataclass(frozen=True)
class Groups:
    """What all groups have in common: converters, window, how many there are, aihwkit's ``InputRangeParameter``."""

    converters: Converters
    window: Window
    count: int
    range_parameters: Any


def product(
    x: Tensor, weights: Tensor, ranges: Tensor | None, noisy: Tensor | None, scales: Tensor, groups: Groups
) -> Tensor:
    """Return the outputs of all groups, (N, O, H', W'), without bias.

    Args:
        x: input (N, C, H, W).
        weights: of the tiles, one below the other, (O, rows).
        ranges: input range of each group, (groups,); None: there are none.
        noisy: the weights that are multiplied with, (O, rows); None: ``weights``.
        scales: what each output is multiplied with besides the input range, (O,).
        groups: what they have in common.
    """
    apply: Callable[..., Tensor] = _Products.apply
    return apply(x, weights, ranges, noisy, scales, groups)


@torch.no_grad()
def with_noise(weights: Tensor, count: int, modifier: Any) -> Tensor:
    """Return the weights of so many tiles, (O, rows), with what aihwkit's modifier makes of each tile.

    All of its kinds go by the largest weight of a tile, or by none at all, so the tiles are brought to a largest weight
    of 1 and changed together. Batches are not asked: ``per_batch_sample`` is not computed here.
    """
    if not modifier.rel_to_actual_wmax:
        return TorchSimulatorTile.modify_weight(weights, modifier, 1)  # type: ignore[no-any-return]
    largest = weights.reshape(count, -1).abs().amax(1).clamp_(min=_LEAST)
    factors = largest.repeat_interleave(len(weights) // count)[:, None]
    scaled = weights / factors
    changed: Tensor = TorchSimulatorTile.modify_weight(scaled, modifier, 1)
    return weights if changed is scaled else changed * factors


class _Products(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weights: Tensor, ranges: Tensor | None, noisy: Tensor | None, scales: Tensor,
        groups: Groups,
    ) -> Tensor:  # fmt: skip
        converters, window = groups.converters, groups.window
        x = conv.dense(x)
        lines = grouped.to_input(x, ranges, converters)
        matrix = weights if noisy is None else noisy
        kernels = matrix.view(len(matrix), x.shape[1] // groups.count, *window.kernel)
        out = conv.dense(conv2d(lines, kernels, None, window.stride, window.padding, window.dilation, groups.count))
        scale = scales * converters.out_scale
        if ranges is not None:
            scale *= ranges.repeat_interleave(len(scales) // groups.count)
        inside = grouped.to_output(out, converters, scale, any(ctx.needs_input_grad[:3]))
        if any(ctx.needs_input_grad[:3]):
            ctx.save_for_backward(x, lines, kernels, ranges, out, inside, scale)
            ctx.groups, ctx.weight_shape = groups, weights.shape
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, lines, kernels, ranges, out, inside, scale = ctx.saved_tensors
        groups: Groups = ctx.groups
        converters, window, count = groups.converters, groups.window, groups.count
        need_x, need_weights, need_ranges = ctx.needs_input_grad[:3]
        sums, totals = grouped.from_output(conv.dense(gradient), out, inside, scale)
        d_lines, d_kernels, _ = torch.ops.aten.convolution_backward(
            sums, lines, kernels, None, window.stride, window.padding, window.dilation, False, [0, 0], count,
            [need_x or need_ranges, need_weights, False],
        )  # fmt: skip
        d_weights = d_kernels.reshape(ctx.weight_shape) if need_weights else None
        d_x = d_ranges = None
        if need_x or need_ranges:
            d_x, within = grouped.from_input(conv.dense(d_lines), x, ranges, converters)
            if need_ranges and within is not None:
                terms = grouped.clipped_terms(x, sums, kernels, ranges, converters, window)
                d_ranges = _range_gradient(ranges, within, terms, _entries(x, groups), groups.range_parameters)
                d_ranges += grouped.by_group(totals, count) / ranges  # the range multiplies the output too
        return d_x, d_weights, d_ranges, None, None, None


def _entries(x: Tensor, groups: Groups) -> int:
    """Return the number of entries of the unfolded input of a group."""
    height, width = conv.output_size(groups.window, (x.shape[2], x.shape[3]))
    return len(x) * height * width * (groups.window.rows[1] - groups.window.rows[0])
