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
from analognas.hardware.bounds import at_bounds
from analognas.hardware.converters import Converters, Window
from analognas.hardware.mvm import _range_gradient

# Clipped inputs whose terms are computed at once: bounds the memory.
_CHUNK = 1 << 14
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


def deviations(x: Tensor, count: int, window: Window) -> Tensor:
    """Return the standard deviation of the unfolded input of each group, padding included, (groups,)."""
    _, channels, height, width = x.shape
    times = conv.uses(window, (channels // count, height, width)).to(x.device).repeat(count, 1, 1)
    rows, columns = conv.output_size(window, (height, width))
    entries = len(x) * rows * columns * (window.rows[1] - window.rows[0])
    values = x.double()
    mean = _by_group(values.sum(0) * times, count) / entries
    zeros = entries - len(x) * _by_group(times, count)
    centred = values - _channels(mean, channels)
    squares = _by_group(centred.square().sum(0) * times, count) + zeros * mean.square()
    return (squares / (entries - 1)).sqrt().to(x.dtype)


def input_lines(x: Tensor, own: Tensor | None, converters: Converters) -> Tensor:
    """Return what the input lines of all tiles carry for ``x`` (dense), with the range of each channel (1, C, 1, 1)."""
    if own is None:
        return conv.to_input(x, None, converters)
    # What is beyond a range is beyond 1, and is clipped with the converter's bound where that is no more.
    value = x / own if converters.inp_bound <= 1 else _clipped(x, own) / own
    return conv.to_input(conv.dense(value), None, converters)


class _Products(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weights: Tensor, ranges: Tensor | None, noisy: Tensor | None, scales: Tensor,
        groups: Groups,
    ) -> Tensor:  # fmt: skip
        converters, window = groups.converters, groups.window
        x = conv.dense(x)
        own = None if ranges is None else _channels(ranges, x.shape[1])
        lines = input_lines(x, own, converters)
        matrix = weights if noisy is None else noisy
        kernels = matrix.view(len(matrix), x.shape[1] // groups.count, *window.kernel)
        out = conv.dense(conv2d(lines, kernels, None, window.stride, window.padding, window.dilation, groups.count))
        inside = conv.to_output(out, converters, (1.0, 1.0), any(ctx.needs_input_grad[:3]))
        factors = scales if ranges is None else scales * _outputs(ranges, len(scales))
        out *= factors.view(1, -1, 1, 1)
        if any(ctx.needs_input_grad[:3]):
            ctx.save_for_backward(x, lines, kernels, ranges, out, inside, factors)
            ctx.groups, ctx.weight_shape = groups, weights.shape
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, lines, kernels, ranges, out, inside, factors = ctx.saved_tensors
        groups: Groups = ctx.groups
        converters, window, count = groups.converters, groups.window, groups.count
        need_x, need_weights, need_ranges = ctx.needs_input_grad[:3]
        gradient = conv.dense(gradient)
        sums = gradient * (converters.out_scale * factors).view(1, -1, 1, 1)
        if inside is not None:
            # The loops give it for the memory as it lies: images with their channels last.
            sums *= inside if inside.dim() == 4 else inside.view(*_last(sums).shape).permute(0, 3, 1, 2)
        d_lines, d_kernels, _ = torch.ops.aten.convolution_backward(
            sums, lines, kernels, None, window.stride, window.padding, window.dilation, False, [0, 0], count,
            [need_x or need_ranges, need_weights, False],
        )  # fmt: skip
        d_weights = d_kernels.reshape(ctx.weight_shape) if need_weights else None
        d_x = d_ranges = None
        if need_x or need_ranges:
            passing = at_bounds()
            own = None if ranges is None else _channels(ranges, x.shape[1])
            value = x if own is None else _clipped(x, own) / own
            quantised = conv._quantise(value, converters.inp_step)
            inner = conv.dense(d_lines) * conv._within(quantised, converters.inp_bound, passing.input)
            if own is None:
                return inner, d_weights, None, None, None, None
            inner /= own
            d_x = inner * _within(x, own.abs(), passing.input_range)
            if need_ranges:
                terms = _terms_once(x, inner, own, count) if window.dense else _terms(x, sums, kernels, ranges, groups)
                within = _summed(inner * value, count) * ranges
                d_ranges = _range_gradient(ranges, within, terms, _entries(x, groups), groups.range_parameters)
                d_ranges += _summed(gradient * out, count) / ranges
        return d_x, d_weights, d_ranges, None, None, None


def _terms_once(x: Tensor, inner: Tensor, own: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return what clipped inputs add to the gradients of the ranges where each input is used once, by group."""
    high, low = x >= own, x <= -own
    upper = torch.where(high, inner, 0).clamp_(max=0)
    lower = torch.where(low, inner, 0).clamp_(min=0)
    return _summed(upper, count), _summed(lower, count), _summed(x.abs() >= own, count)


def _terms(
    x: Tensor, gradient: Tensor, kernels: Tensor, ranges: Tensor, groups: Groups
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what clipped inputs add to the gradients of the ranges, by group; see ``converters.clipped_terms``.

    Args:
        x: input (N, C, H, W).
        gradient: of the sums of products (N, O, H', W').
        kernels: (O, C / groups, kh, kw).
        ranges: of the groups.
        groups: what they have in common.
    """
    converters, window, count = groups.converters, groups.window, groups.count
    passing, (kh, kw), channels = at_bounds().input, window.kernel, x.shape[1]
    width, outputs = channels // count, len(kernels) // count
    own = _channels(ranges, channels).view(-1)
    upper, lower = torch.zeros_like(ranges), torch.zeros_like(ranges)
    clipped = torch.zeros(count, dtype=torch.int64, device=x.device)
    taps = kernels.view(count, outputs, width, kh * kw).permute(0, 2, 3, 1).reshape(channels, kh * kw, outputs)
    there = gradient.view(len(gradient), count, outputs, *gradient.shape[2:])
    offsets = [torch.arange(size, device=x.device) for size in (kh, kw)]
    for where in torch.split((~(x.abs() < own.view(1, -1, 1, 1))).nonzero(), _CHUNK):
        n, c, row, column = where.unbind(1)
        group, bound = c // width, own[c].abs()
        value = torch.minimum(torch.maximum(x[n, c, row, column], -bound), bound)
        passes = conv._within(conv._quantise(value / own[c], converters.inp_step), converters.inp_bound, passing)
        oy, in_y = conv._positions(row, offsets[0], window, 0, gradient.shape[2])
        ox, in_x = conv._positions(column, offsets[1], window, 1, gradient.shape[3])
        used = (in_y[:, :, None] & in_x[:, None, :]).flatten(1)
        clipped.index_add_(0, group, used.sum(1))
        seen = there[n[:, None, None], group[:, None, None], :, oy[:, :, None], ox[:, None, :]].flatten(1, 2)
        terms = (seen * taps[c]).sum(-1) * (used & passes[:, None]) / own[c][:, None]
        upper.index_add_(0, group, torch.where(value >= own[c], terms.clamp(max=0).sum(1), 0))
        lower.index_add_(0, group, torch.where(value <= -own[c], terms.clamp(min=0).sum(1), 0))
    return upper, lower, clipped


def _entries(x: Tensor, groups: Groups) -> int:
    """Return the number of entries of the unfolded input of a group."""
    height, width = conv.output_size(groups.window, (x.shape[2], x.shape[3]))
    return len(x) * height * width * (groups.window.rows[1] - groups.window.rows[0])


def _clipped(x: Tensor, own: Tensor) -> Tensor:
    bound = own.abs()
    return torch.minimum(torch.maximum(x, -bound), bound)


def _within(x: Tensor, bound: Tensor, passing: bool) -> Tensor:
    return x.abs() <= bound if passing else x.abs() < bound


def _channels(values: Tensor, channels: int) -> Tensor:
    """Return values of groups along the channels of an image, (1, channels, 1, 1)."""
    return values.repeat_interleave(channels // len(values)).view(1, -1, 1, 1)


def _outputs(values: Tensor, outputs: int) -> Tensor:
    return values.repeat_interleave(outputs // len(values))


def _by_group(values: Tensor, count: int) -> Tensor:
    """Return the sums over the channels of each group and their pixels, (groups,), of values (C, H, W)."""
    return values.reshape(count, -1).sum(1)


def _summed(images: Tensor, count: int) -> Tensor:
    """Return the sums over images (N, C, H, W), dense, of the channels of each group and their pixels, (groups,)."""
    return _last(images).reshape(-1, images.shape[1]).sum(0).view(count, -1).sum(1)


def _last(images: Tensor) -> Tensor:
    return images.permute(0, 2, 3, 1)
