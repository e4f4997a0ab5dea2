"""The converters of an analog tile and their gradients, as tensors see them.

Two implementations of the same five steps: loops of :mod:`analognas.hardware.kernels` for float32 on a CPU, tensor
operations for everything else. What is computed, and in which order, is aihwkit's (``analog_mvm.py`` and
``inference_torch.py`` in ``aihwkit.simulator.tiles``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from analognas.hardware import kernels
from analognas.hardware.bounds import at_bounds

# Clipped inputs whose terms are computed at once by tensor operations: bounds the memory.
_CHUNK = 1 << 14


@dataclass(frozen=True)
class Converters:
    """A tile's converters; a step of 0 quantises nothing, a bound of infinity clips nothing.

    ``noise`` is the standard deviation of the noise before the output converter, ``out_scale`` multiplies what
    comes out of it.
    """

    inp_step: float
    inp_bound: float
    out_step: float
    out_bound: float
    noise: float
    out_scale: float

    @classmethod
    def of(
        cls, inp_res: float, inp_bound: float, out_res: float, out_bound: float, out_noise: float, out_scale: float
    ) -> Converters:
        """Return the converters of aihwkit's ``IOParameters``, which has these fields."""
        return cls(
            inp_step=_step(inp_res, inp_bound),
            inp_bound=inp_bound if inp_bound > 0 else math.inf,
            out_step=_step(out_res, out_bound),
            out_bound=out_bound if out_bound > 0 else math.inf,
            noise=max(out_noise, 0.0),
            out_scale=out_scale,
        )


@dataclass(frozen=True)
class Window:
    """How a convolution looks at its input: (vertical, horizontal) pairs, and the rows of the matrix on the tile.

    ``rows`` are the first row and the one after the last among channels * kh * kw of the channels at hand.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    rows: tuple[int, int]

    @property
    def dense(self) -> bool:
        """Whether each input is used exactly once per output."""
        return self.kernel == self.stride == (1, 1) and self.padding == (0, 0)


def fast(tensor: Tensor) -> bool:
    """Return whether the loops can take this tensor."""
    return tensor.device.type == "cpu" and tensor.dtype == torch.float32


def keys() -> tuple[np.uint32, np.uint32, np.uint32]:
    """Return three keys of noise, drawn from torch's global generator like all noise of aihwkit."""
    drawn = torch.randint(1 << 32, (3,)).tolist()
    return np.uint32(drawn[0] | 1), np.uint32(drawn[1]), np.uint32(drawn[2])


def dense(tensor: Tensor) -> Tensor:
    """Return the tensor in dense memory, images with their channels last: convolutions are faster there."""
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor.contiguous()


def to_input(x: Tensor, input_range: Tensor | None, converters: Converters) -> Tensor:
    """Return what the tile's input lines carry for ``x`` (dense)."""
    if fast(x):
        out = torch.empty_like(x)
        kernels.to_input(_flat(x), _flat(out), _number(input_range), *_f4(converters.inp_step, converters.inp_bound))
        return out
    value = x
    if input_range is not None:
        bound = abs(input_range.item())
        value = x.clamp(-bound, bound) / input_range
    return _quantise(value, converters.inp_step).clamp(-converters.inp_bound, converters.inp_bound)


def to_output(z: Tensor, converters: Converters, factors: tuple[float, float], gradients: bool) -> Tensor | None:
    """Turn sums of products into the tile's output, in place.

    Args:
        z: the sums (dense).
        converters: of the tile; ``out_scale`` is applied before the ``factors``.
        factors: what the output is multiplied with then.
        gradients: whether to return where gradients pass, if they do not everywhere.
    """
    passing = at_bounds().output
    if fast(z):
        limit = limit_of(converters.out_bound, passing)
        inside = np.empty(z.numel() if gradients else 0, np.uint8)
        scales = tuple(_f4(converters.out_scale, *factors))
        drawn = keys() if converters.noise > 0 else (np.uint32(1), np.uint32(0), np.uint32(0))
        numbers = _f4(converters.noise, converters.out_step, converters.out_bound, limit)
        outside = kernels.to_output(_flat(z), *numbers, scales, drawn, inside)
        return torch.from_numpy(inside) if outside and gradients else None
    if converters.noise > 0:
        z += converters.noise * torch.randn_like(z)
    if converters.out_step != 0:
        z.div_(converters.out_step).round_().mul_(converters.out_step)
    passes = _within(z, converters.out_bound, passing) if gradients else None
    z.clamp_(-converters.out_bound, converters.out_bound)
    for factor in (converters.out_scale, *factors):
        if factor != 1:
            z *= factor
    return None if passes is None or bool(passes.all()) else passes


def to_next(
    z: Tensor, converters: Converters, scale: Tensor, shift: Tensor, before: Tensor | None, rectified: bool
) -> None:
    """Turn sums of products (N, C, H, W) into the input of the next layer, in place: output, scale, shift, sum, ReLU.

    Args:
        z: the sums (dense).
        converters: of the tile.
        scale: what each output is multiplied with (C,), all factors of the tile included.
        shift: what is added then (C,).
        before: what is added then, of the shape of ``z`` (dense).
        rectified: whether negative values become 0.
    """
    if fast(z):
        drawn = keys() if converters.noise > 0 else (np.uint32(1), np.uint32(0), np.uint32(0))
        numbers = _f4(converters.noise, converters.out_step, converters.out_bound)
        pixels = _last(z).reshape(-1, z.shape[1])
        added = np.empty((0, 0), np.float32) if before is None else _last(before).reshape(-1, z.shape[1])
        least = np.float32(0.0 if rectified else -math.inf)
        kernels.to_next(pixels, *numbers, scale.detach().numpy(), shift.detach().numpy(), added, least, drawn)
        return
    to_output(z, replace(converters, out_scale=1.0), (1.0, 1.0), gradients=False)
    z.mul_(scale.view(1, -1, 1, 1)).add_(shift.view(1, -1, 1, 1))
    if before is not None:
        z.add_(before)
    if rectified:
        z.relu_()


def from_output(
    gradient: Tensor, output: Tensor, inside: Tensor | None, factor: float
) -> tuple[Tensor, float | Tensor]:
    """Return the gradient of the sums of products, and the sum of gradient * output.

    Args:
        gradient: of the output.
        output: of ``to_output``, all factors included.
        inside: what ``to_output`` returned.
        factor: product of all factors.
    """
    if fast(gradient):
        out = torch.empty_like(gradient)
        where = np.empty(0, np.uint8) if inside is None else inside.numpy()
        total = kernels.from_output(_flat(gradient), _flat(output), where, np.float32(factor), _flat(out))
        return out, total
    total = (gradient * output).sum()
    out = gradient * factor
    return (out if inside is None else out * inside), total


def from_input(
    d_input: Tensor, x: Tensor, input_range: Tensor | None, converters: Converters, each_once: bool
) -> tuple[Tensor, float | Tensor, tuple[float | Tensor, float | Tensor, float | Tensor] | None]:
    """Return the gradient of ``x``, the sum of (gradient after the range) * (clipped x), and the clipped terms.

    The clipped terms (see ``clipped_terms``) are None unless ``each_once``.

    Args:
        d_input: gradient of the tile's input.
        x: input of ``to_input``.
        input_range: its range.
        converters: of the tile.
        each_once: whether each input is used once (``Window.dense``, or a linear layer).
    """
    passing = at_bounds()
    if fast(x):
        out = torch.empty_like(x)
        number = _number(input_range)
        range_limit = limit_of(abs(float(number)), passing.input_range)
        numbers = _f4(range_limit, converters.inp_step, limit_of(converters.inp_bound, passing.input))
        total, *terms = kernels.from_input(_flat(d_input), _flat(x), number, *numbers, each_once, _flat(out))
        return out, total, (terms[0], terms[1], terms[2]) if each_once else None
    if input_range is None:
        passes = _within(_quantise(x, converters.inp_step), converters.inp_bound, passing.input)
        return d_input * passes, 0.0, None
    bound = abs(input_range.item())
    clipped = x.clamp(-bound, bound)
    passes = _within(_quantise(clipped / input_range, converters.inp_step), converters.inp_bound, passing.input)
    inner = d_input * passes / input_range
    terms = None
    if each_once:
        upper = torch.where(clipped >= input_range, inner, 0).clamp(max=0).sum()
        lower = torch.where(clipped <= -input_range, inner, 0).clamp(min=0).sum()
        terms = upper, lower, (clipped.abs() >= input_range).sum()
    return inner * _within(x, bound, passing.input_range), (inner * clipped).sum(), terms


def clipped_terms(
    x: Tensor, gradient: Tensor, weight: Tensor, input_range: Tensor, converters: Converters, window: Window
) -> tuple[float | Tensor, float | Tensor, float | Tensor]:
    """Return what clipped inputs of a convolution add to the gradient of the range; see ``kernels.clipped_terms``.

    Args:
        x: input (N, C, H, W), dense.
        gradient: of the sums of products (N, O, H', W'), dense.
        weight: (O, C, kh, kw).
        input_range: of the tile.
        converters: of the tile.
        window: of the layer on the tile.
    """
    passing = at_bounds().input
    if fast(x):
        return kernels.clipped_terms(  # type: ignore[no-any-return]
            _last(x),
            _last(gradient),
            _last(weight.transpose(0, 1)),
            (*window.stride, *window.padding, *window.dilation),
            window.rows,
            _number(input_range),
            *_f4(converters.inp_step, limit_of(converters.inp_bound, passing)),
        )
    bound = abs(input_range.item())
    kh, kw = window.kernel
    upper, lower, count = x.new_zeros(()), x.new_zeros(()), x.new_zeros((), dtype=torch.int64)
    taps = weight.flatten(2).permute(1, 2, 0)  # (C, kh * kw, O)
    offsets = [torch.arange(size, device=x.device) for size in (kh, kw)]
    for where in torch.split((~(x.abs() < input_range)).nonzero(), _CHUNK):
        n, c, row, column = where.unbind(1)
        value = x[n, c, row, column].clamp(-bound, bound)
        passes = _within(_quantise(value / input_range, converters.inp_step), converters.inp_bound, passing)
        oy, in_y = _positions(row, offsets[0], window, 0, gradient.shape[2])
        ox, in_x = _positions(column, offsets[1], window, 1, gradient.shape[3])
        used = (in_y[:, :, None] & in_x[:, None, :]).flatten(1)
        index = c[:, None] * kh * kw + torch.arange(kh * kw, device=x.device)
        used &= (index >= window.rows[0]) & (index < window.rows[1])
        count += used.sum()
        there = gradient[n[:, None, None], :, oy[:, :, None], ox[:, None, :]].flatten(1, 2)  # (K, kh * kw, O)
        terms = (there * taps[c]).sum(-1) * (used & passes[:, None]) / input_range
        upper += terms[value >= input_range].clamp(max=0).sum()
        lower += terms[value <= -input_range].clamp(min=0).sum()
    return upper, lower, count


def uses(window: Window, shape: tuple[int, int, int]) -> Tensor:
    """Return how often each input (C, H, W) of a convolution appears in its unfolded input, float64."""
    channels, height, width = shape
    kh, kw = window.kernel
    index = torch.arange(channels * kh * kw).view(channels, kh, kw)
    on_tile = ((index >= window.rows[0]) & (index < window.rows[1])).double()
    counted = torch.zeros(channels, height + 2 * window.padding[0], width + 2 * window.padding[1]).double()
    sizes = output_size(window, (height, width))
    for ky in range(kh):
        for kx in range(kw):
            rows = slice(ky * window.dilation[0], ky * window.dilation[0] + sizes[0] * window.stride[0])
            columns = slice(kx * window.dilation[1], kx * window.dilation[1] + sizes[1] * window.stride[1])
            part = counted[:, rows, columns][:, :: window.stride[0], :: window.stride[1]]
            part += on_tile[:, ky, kx, None, None]
    top, left = window.padding
    return counted[:, top : top + height, left : left + width]


def output_size(window: Window, size: tuple[int, int]) -> tuple[int, int]:
    """Return height and width of a convolution's output for those of its input."""
    first, second = (
        (size[i] + 2 * window.padding[i] - window.dilation[i] * (window.kernel[i] - 1) - 1) // window.stride[i] + 1
        for i in (0, 1)
    )
    return first, second


def _positions(where: Tensor, taps: Tensor, window: Window, axis: int, size: int) -> tuple[Tensor, Tensor]:
    """Return the outputs (K, taps) that use an input through each tap, and whether there is one."""
    shifted = where[:, None] + window.padding[axis] - taps * window.dilation[axis]
    position = shifted // window.stride[axis]
    there = (shifted % window.stride[axis] == 0) & (position >= 0) & (position < size)
    return position.clamp(0, size - 1), there


def _quantise(value: Tensor, step: float) -> Tensor:
    return value if step == 0 else (value / step).round_().mul_(step)


def _step(resolution: float, bound: float) -> float:
    """Return the step of a converter; a resolution above 1 is a number of steps."""
    if resolution <= 0:
        return 0.0
    return float((1 / resolution if resolution > 1 else resolution) * (2 * bound))


def limit_of(bound: float, passing: bool) -> float:
    """Return the largest float32 that lets gradients through; ``passing``: whether the bound itself does."""
    return bound if passing else float(np.nextafter(np.float32(bound), np.float32(0)))


def _within(value: Tensor, bound: float, passing: bool) -> Tensor:
    """Return where gradients pass a clipping at ``bound``."""
    return value.abs() <= bound if passing else value.abs() < bound


def _last(images: Tensor) -> NDArray[np.float32]:
    """Return images (N, C, H, W) as an array (N, H, W, C)."""
    return images.detach().permute(0, 2, 3, 1).contiguous().numpy()


def _flat(tensor: Tensor) -> NDArray[np.float32]:
    """Return the memory of a dense tensor."""
    tensor = tensor.detach()
    return (tensor.permute(0, 2, 3, 1) if tensor.dim() == 4 else tensor).reshape(-1).numpy()


def _number(input_range: Tensor | None) -> np.float32:
    return np.float32(math.inf if input_range is None else input_range.item())


def _f4(*values: float) -> Iterator[np.float32]:
    return (np.float32(value) for value in values)
