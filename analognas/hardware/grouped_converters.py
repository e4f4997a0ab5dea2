"""The converters of the tiles of a grouped convolution and their gradients, all at once.

What :mod:`analognas.hardware.converters` does for one tile, with an input range for each group and a scale for each
output: loops of :mod:`analognas.hardware.grouped_loops` for float32 on a CPU, tensor operations for everything else.
Images are dense, with their channels last in memory (``converters.dense``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from analognas.hardware import converters as conv
from analognas.hardware import grouped_loops as loops
from analognas.hardware.bounds import at_bounds
from analognas.hardware.converters import Converters, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Clipped inputs whose terms are computed at once by tensor operations: bounds the memory.
_CHUNK = 1 << 14

_uses = lru_cache(maxsize=256)(conv.uses)


def to_input(x: Tensor, ranges: Tensor | None, converters: Converters) -> Tensor:
    """Return what the input lines of all tiles carry for ``x`` (N, C, H, W); ``ranges`` are of the groups."""
    if conv.fast(x):
        out = torch.empty_like(x)
        numbers = _numbers(converters.inp_step, converters.inp_bound)
        loops.to_input(conv._flat(x), conv._flat(out), _of_channels(ranges, x.shape[1]), *numbers)
        return out
    if ranges is None:
        return conv.to_input(x, None, converters)
    own = _channels(ranges, x.shape[1])
    return conv.to_input(conv.dense(_clipped(x, own) / own), None, converters)


def to_output(z: Tensor, converters: Converters, scale: Tensor, gradients: bool) -> Tensor | None:
    """Turn sums of products into the outputs of the tiles, in place.

    Args:
        z: the sums (N, O, H, W).
        converters: of the tiles; their ``out_scale`` is in ``scale`` already.
        scale: what each output is multiplied with, (O,).
        gradients: whether to return where gradients pass, if they do not everywhere.
    """
    passing = at_bounds().output
    if conv.fast(z):
        inside = np.empty(z.numel() if gradients else 0, np.uint8)
        drawn = conv.keys() if converters.noise > 0 else (np.uint32(1), np.uint32(0), np.uint32(0))
        bound = converters.out_bound
        numbers = _numbers(converters.noise, converters.out_step, bound, conv.limit_of(bound, passing))
        outside = loops.to_output(conv._flat(z), *numbers, scale.detach().numpy(), drawn, inside)
        return torch.from_numpy(inside) if outside and gradients else None
    if converters.noise > 0:
        z += converters.noise * torch.randn_like(z)
    if converters.out_step != 0:
        z.div_(converters.out_step).round_().mul_(converters.out_step)
    passes = conv._within(z, converters.out_bound, passing) if gradients else None
    z.clamp_(-converters.out_bound, converters.out_bound).mul_(scale.view(1, -1, 1, 1))
    return None if passes is None or bool(passes.all()) else passes


def from_output(gradient: Tensor, output: Tensor, inside: Tensor | None, scale: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradient of the sums of products, and of each output the sum of gradient * output, (O,).

    Args:
        gradient: of the output.
        output: of ``to_output``.
        inside: what ``to_output`` returned.
        scale: as there.
    """
    if conv.fast(gradient):
        out, totals = torch.empty_like(gradient), np.empty(len(scale))
        where = np.empty(0, np.uint8) if inside is None else inside.numpy()
        loops.from_output(conv._flat(gradient), conv._flat(output), where, scale.numpy(), conv._flat(out), totals)
        return out, torch.from_numpy(totals).to(scale.dtype)
    out = gradient * scale.view(1, -1, 1, 1)
    return (out if inside is None else out * inside), _summed(gradient * output)


def from_input(
    d_input: Tensor, x: Tensor, ranges: Tensor | None, converters: Converters
) -> tuple[Tensor, Tensor | None]:
    """Return the gradient of ``x``, and of each group the sum of (gradient after the range) * (clipped x).

    Args:
        d_input: gradient of the input of the tiles.
        x: input of ``to_input``.
        ranges: as there; without there are no sums.
        converters: of the tiles.
    """
    passing = at_bounds()
    if conv.fast(x):
        out, totals = torch.empty_like(x), np.empty(x.shape[1])
        own = _of_channels(ranges, x.shape[1])
        limits = np.abs(own) if passing.input_range else np.nextafter(np.abs(own), np.float32(0))
        numbers = _numbers(converters.inp_step, conv.limit_of(converters.inp_bound, passing.input))
        loops.from_input(conv._flat(d_input), conv._flat(x), own, limits, *numbers, conv._flat(out), totals)
        return out, None if ranges is None else by_group(torch.from_numpy(totals), len(ranges)).to(ranges.dtype)
    if ranges is None:
        return conv.from_input(d_input, x, None, converters, each_once=False)[0], None
    own_range = _channels(ranges, x.shape[1])
    clipped = _clipped(x, own_range)
    quantised = conv._quantise(clipped / own_range, converters.inp_step)
    inner = d_input * conv._within(quantised, converters.inp_bound, passing.input) / own_range
    total = by_group(_summed(inner * clipped), len(ranges))
    return inner * _within(x, own_range.abs(), passing.input_range), total


def clipped_terms(
    x: Tensor, gradient: Tensor, kernels: Tensor, ranges: Tensor, converters: Converters, window: Window
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what clipped inputs add to the gradients of the ranges, by group; see ``kernels.clipped_terms``.

    Args:
        x: input (N, C, H, W).
        gradient: of the sums of products (N, O, H', W').
        kernels: (O, C / groups, kh, kw).
        ranges: of the groups.
        converters: of the tiles.
        window: of the layer.
    """
    count, channels, (kh, kw) = len(ranges), x.shape[1], window.kernel
    width, outputs = channels // count, len(kernels) // count
    taps = kernels.view(count, outputs, width, kh * kw).permute(0, 2, 3, 1).reshape(channels, kh * kw, outputs)
    passing = at_bounds().input
    if conv.fast(x):
        upper, lower, clipped = np.empty(channels), np.empty(channels), np.empty(channels, np.int64)
        loops.clipped_terms(
            conv._flat(x), conv._flat(gradient), taps.reshape(-1).numpy(),
            (*x.shape[2:], *gradient.shape[2:], len(kernels), outputs, kh, kw),
            (*window.stride, *window.padding, *window.dilation), _of_channels(ranges, channels),
            *_numbers(converters.inp_step, conv.limit_of(converters.inp_bound, passing)), upper, lower, clipped,
        )  # fmt: skip
        high, low, number = (by_group(torch.from_numpy(terms), count) for terms in (upper, lower, clipped))
        return high.to(ranges.dtype), low.to(ranges.dtype), number
    own = _channels(ranges, channels).view(-1)
    high, low = torch.zeros_like(ranges), torch.zeros_like(ranges)
    number = torch.zeros(count, dtype=torch.int64, device=x.device)
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
        number.index_add_(0, group, used.sum(1))
        seen = there[n[:, None, None], group[:, None, None], :, oy[:, :, None], ox[:, None, :]].flatten(1, 2)
        terms = (seen * taps[c]).sum(-1) * (used & passes[:, None]) / own[c][:, None]
        high.index_add_(0, group, torch.where(value >= own[c], terms.clamp(max=0).sum(1), 0))
        low.index_add_(0, group, torch.where(value <= -own[c], terms.clamp(min=0).sum(1), 0))
    return high, low, number


def deviations(x: Tensor, count: int, window: Window) -> Tensor:
    """Return the standard deviation of the unfolded input of each group, padding included, (groups,)."""
    _, channels, height, width = x.shape
    times = _uses(window, (channels // count, height, width)).to(x.device).repeat(count, 1, 1)
    rows, columns = conv.output_size(window, (height, width))
    entries = len(x) * rows * columns * (window.rows[1] - window.rows[0])
    if conv.fast(x):
        sums, squares = np.empty(channels), np.empty(channels)
        loops.unfolded_sums(
            conv._flat(conv.dense(x)), times.permute(1, 2, 0).reshape(-1).numpy(), channels, sums, squares
        )
        total, of_squares = (by_group(torch.from_numpy(values), count) for values in (sums, squares))
        variance = (of_squares - total.square() / entries).clamp_(min=0) / (entries - 1)
        return variance.sqrt().to(x.dtype)
    values = x.double()
    mean = by_group(values.sum(0) * times, count) / entries
    zeros = entries - len(x) * by_group(times, count)
    centred = values - _channels(mean, channels)
    squared = by_group(centred.square().sum(0) * times, count) + zeros * mean.square()
    return (squared / (entries - 1)).sqrt().to(x.dtype)


def by_group(values: Tensor, count: int) -> Tensor:
    """Return the sums over the channels of each group and their pixels, (groups,), of values (C, ...)."""
    return values.reshape(count, -1).sum(1)


def _clipped(x: Tensor, own: Tensor) -> Tensor:
    bound = own.abs()
    return torch.minimum(torch.maximum(x, -bound), bound)


def _within(x: Tensor, bound: Tensor, passing: bool) -> Tensor:
    return x.abs() <= bound if passing else x.abs() < bound


def _channels(values: Tensor, channels: int) -> Tensor:
    """Return values of groups along the channels of an image, (1, channels, 1, 1)."""
    return values.repeat_interleave(channels // len(values)).view(1, -1, 1, 1)


def _of_channels(ranges: Tensor | None, channels: int) -> NDArray[np.float32]:
    """Return the input range of each channel, (channels,); infinite without ranges."""
    if ranges is None:
        return np.full(channels, math.inf, np.float32)
    return np.repeat(ranges.detach().numpy(), channels // len(ranges))


def _summed(images: Tensor) -> Tensor:
    """Return the sums over images (N, C, H, W), dense, and their pixels, (C,)."""
    return images.permute(0, 2, 3, 1).reshape(-1, images.shape[1]).sum(0)


def _numbers(*values: float) -> Iterator[Any]:
    return (np.float32(value) for value in values)
