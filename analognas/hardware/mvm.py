"""The analog matrix product of one tile, for convolutions and linear layers, without unfolding.

aihwkit unfolds a convolution's input (nine values per pixel for a 3x3 kernel) and then runs the converters' steps
on each of them. The steps work value by value and keep zero, so they may as well run before: quantise, convolve,
quantise. The gradient of the input range is the exception, see ``kernels.clipped_terms``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from analognas.hardware import converters as conv
from analognas.hardware.converters import Converters, Window


def product(
    x: Tensor,
    weight: Tensor,
    input_range: Tensor | None,
    *,
    converters: Converters,
    window: Window | None,
    noisy: Tensor | None,
    scale: float | None,
    alpha: float,
    range_parameters: Any,
) -> Tensor:
    """Return the output of one tile.

    Args:
        x: input (N, C, H, W), or (N, in) for a linear layer.
        weight: trained weights of the tile (O, rows).
        input_range: range of the input, (1,).
        converters: of the tile.
        window: of a convolution; None for a linear layer.
        noisy: the weights that are multiplied with, (O, rows); None: ``weight``.
        scale: the tile's mapping scale, together with the input range; None: the caller multiplies with both.
        alpha: drift compensation.
        range_parameters: aihwkit's ``InputRangeParameter``.
    """
    apply: Callable[..., Tensor] = _Product.apply  # which torch 2.12 does not describe, and 2.15 does
    return apply(x, weight, input_range, converters, window, noisy, scale, alpha, range_parameters)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        input_range: Tensor | None,
        converters: Converters,
        window: Window | None,
        noisy: Tensor | None,
        scale: float | None,
        alpha: float,
        range_parameters: Any,
    ) -> Tensor:
        gradients = any(ctx.needs_input_grad[:3])
        x = conv.dense(x)
        matrix = weight if noisy is None else noisy
        lines = conv.to_input(x, input_range, converters)
        if window is None:
            out = lines @ matrix.T
        else:
            matrix = kernels_of(matrix, window, x.shape[1])
            out = conv.dense(conv2d(lines, matrix, None, window.stride, window.padding, window.dilation))
        if scale is None:
            factors = (1.0, alpha)
        else:
            # In float32 as aihwkit multiplies range and scale.
            own = scale if input_range is None else (input_range * scale).item()
            factors = (own, alpha)
        inside = conv.to_output(out, converters, factors, gradients)
        if gradients:
            ctx.save_for_backward(x, lines, matrix, input_range, out, inside)
            ctx.converters, ctx.window, ctx.range_parameters = converters, window, range_parameters
            ctx.factor = converters.out_scale * factors[0] * factors[1]
            ctx.scaled = scale is not None
            ctx.weight_shape = weight.shape
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, lines, matrix, input_range, out, inside = ctx.saved_tensors
        converters, window = ctx.converters, ctx.window
        need_x, need_weight, need_range = ctx.needs_input_grad[:3]
        sums, total = conv.from_output(conv.dense(gradient), out, inside, ctx.factor)
        d_weight = d_x = d_range = None
        need_lines = need_x or need_range
        if window is None:
            d_lines = sums @ matrix if need_lines else None
            d_weight = sums.T @ lines if need_weight else None
        else:
            d_lines, d_weight = _convolution_gradients(sums, lines, matrix, window, need_lines, need_weight)
            if d_weight is not None:
                d_weight = d_weight.reshape(len(d_weight), -1)[:, slice(*window.rows)]
        if d_lines is not None:
            once = window is None or window.dense
            d_x, inner, terms = conv.from_input(conv.dense(d_lines), x, input_range, converters, once and need_range)
            if need_range:
                if terms is None:
                    terms = conv.clipped_terms(x, sums, matrix, input_range, converters, window)
                d_range = _range_gradient(input_range, inner, terms, _entries(x, window), ctx.range_parameters)
                if ctx.scaled:  # the range multiplies the output too
                    d_range += total / input_range
        return d_x, d_weight, d_range, None, None, None, None, None, None


@cache
def _onednn_overruns() -> bool:
    """Return whether oneDNN computes weight gradients of strided kernels of one pixel with its AVX2 code.

    That writes beyond its memory (seen with torch 2.12 and 2.15), and the process dies. It is used where a processor
    has no AVX-512, or where oneDNN is told so.
    """
    told = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
    return torch.backends.cpu.get_cpu_capability() == "AVX2" or told.startswith("AVX2")


def _convolution_gradients(
    sums: Tensor, lines: Tensor, kernels: Tensor, window: Window, need_lines: bool, need_weight: bool
) -> tuple[Tensor | None, Tensor | None]:
    """Return the gradients of the input and of the kernels, None where one is not needed.

    Of a kernel of one pixel with strides only the pixels that it reads are given to oneDNN where that would otherwise
    write beyond its memory, see ``_onednn_overruns``. The gradients are the same to rounding.
    """
    stride = window.stride
    sparse = window.kernel == (1, 1) and window.padding == (0, 0) and stride != (1, 1) and _onednn_overruns()
    read = conv.dense(lines[:, :, :: stride[0], :: stride[1]]) if sparse else lines
    d_read, d_weight, _ = torch.ops.aten.convolution_backward(
        sums, read, kernels, None, (1, 1) if sparse else stride, window.padding, window.dilation,
        False, [0, 0], 1, [need_lines, need_weight, False],
    )  # fmt: skip
    if not sparse or d_read is None:
        return d_read, d_weight
    d_lines = torch.zeros_like(lines)
    d_lines[:, :, :: stride[0], :: stride[1]] = d_read
    return d_lines, d_weight


def kernels_of(weight: Tensor, window: Window, channels: int) -> Tensor:
    """Return the weights (O, rows) as kernels (O, C, kh, kw); rows that are not on the tile are zero."""
    first, last = window.rows
    whole = channels * window.kernel[0] * window.kernel[1]
    if last - first != whole:
        padded = weight.new_zeros(len(weight), whole)
        padded[:, first:last] = weight
        weight = padded
    return weight.view(len(weight), channels, *window.kernel)


def _entries(x: Tensor, window: Window | None) -> int:
    """Return the number of entries of the unfolded input on the tile."""
    if window is None:
        return x.numel()
    height, width = conv.output_size(window, (x.shape[2], x.shape[3]))
    return len(x) * height * width * (window.rows[1] - window.rows[0])


def range_gradient(
    parameters: Any, input_range: np.float32, inner: float, terms: tuple[float, float, float], entries: int
) -> np.float32:
    """Return the gradient of the range as ``_range_gradient`` does, for numbers."""
    upper, lower, clipped = terms
    gradient = np.float32(upper - lower)
    if parameters.gradient_relative:
        gradient *= input_range * np.float32(parameters.gradient_scale)
    if parameters.decay > 0 and np.float32(1 - clipped / entries) > parameters.input_min_percentage:
        gradient += np.float32(parameters.decay) * input_range
    return gradient - np.float32(inner) / input_range


def _range_gradient(
    input_range: Tensor,
    inner: float | Tensor,
    terms: tuple[float | Tensor, float | Tensor, float | Tensor],
    entries: int,
    parameters: Any,
) -> Tensor:
    """Return the gradient of the range as aihwkit's ``InputRangeForward`` and the division by the range give it."""
    upper, lower, clipped = terms
    gradient: Tensor = torch.zeros_like(input_range) + (upper - lower)
    if parameters.gradient_relative:
        gradient *= input_range * parameters.gradient_scale
    if parameters.decay > 0:
        within = torch.as_tensor(1 - clipped / entries, dtype=input_range.dtype, device=input_range.device)
        gradient += parameters.decay * input_range * (within > parameters.input_min_percentage)
    return gradient - inner / input_range
