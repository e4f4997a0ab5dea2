"""The digital twin of a converted network: plain torch layers that compute what its tiles do, without noise.

Converters (ranges, steps, bounds), scales and drift compensation are in it, and the weights that the tiles hold when
it is made: the clean ones, or those of programmed devices at their age. It needs neither aihwkit nor this package, so
it can be exported.
"""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from aihwkit.nn import AnalogConv2d, AnalogLinear
from torch import Tensor, nn
from torch.nn.functional import conv2d, linear

from analognas.errors import HardwareError
from analognas.hardware.converters import Converters, Window
from analognas.hardware.layers import FastConvolution, bias_of, rows_of_tiles, tile_converters, uncovered
from analognas.hardware.mvm import kernels_of


def digital_twin(model: nn.Module) -> nn.Module:
    """Return a copy of a converted network without analog layers, in evaluation mode.

    Args:
        model: from ``analognas.hardware.convert``; it is not changed.

    Raises:
        HardwareError: if a layer has a setting that is drawn anew for each input, or is computed by aihwkit alone.
    """
    # What is in the memo is not copied but replaced.
    twins: dict[int, Any] = {}
    for name, layer in model.named_modules():
        if isinstance(layer, AnalogConv2d | AnalogLinear):
            reason = uncovered(layer.analog_module)
            if reason is not None:
                raise HardwareError(
                    f"Layer {name!r} has no digital twin: it has {reason}, which aihwkit alone computes."
                )
            twins[id(layer)] = _twin(layer)
    copied: nn.Module = copy.deepcopy(model, twins)
    return copied.eval()


def _twin(layer: Any) -> nn.Module:
    columns: list[tuple[tuple[int, int], list[nn.Module]]] = []
    if isinstance(layer, AnalogConv2d):
        for (begin, end), window, column in FastConvolution.columns(layer):
            columns.append(((begin, end), [_Tile(tile, window, end - begin) for tile in column]))
    else:
        for rows, column in rows_of_tiles(layer.analog_module):
            columns.append((rows, [_Tile(tile, None, 0) for tile in column]))
    return _Layer(columns, bias_of(layer.analog_module), is_convolution=isinstance(layer, AnalogConv2d))


class _Tile(nn.Module):
    """What one tile does: input converter, products, output converter, scales."""

    weight: Tensor
    scale: Tensor

    def __init__(self, tile: Any, window: Window | None, channels: int) -> None:
        super().__init__()
        weight = tile.tile.weight.detach()
        self.converters: Converters = tile_converters(tile.rpu_config.forward)
        self.window = window
        self.range = None if tile.input_range is None else tile.input_range.item()
        kernels = weight if window is None else kernels_of(weight, window, channels)
        self.register_buffer("weight", kernels.contiguous().clone())
        scale = torch.full_like(weight[:, 0], self.converters.out_scale)
        compensation = tile.alpha if tile.rpu_config.drift_compensation is not None else None
        for factor in (tile.input_range, tile.mapping_scales, tile.out_scaling_alpha, compensation):
            if factor is not None:
                scale = scale * (factor.detach() if isinstance(factor, Tensor) else factor)
        self.register_buffer("scale", scale if window is None else scale.view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the output of the tile for its part of the layer's input."""
        given = self.converters
        if self.range is not None:
            bound = abs(self.range)
            x = x.clamp(-bound, bound) / self.range
        x = _bounded(_quantised(x, given.inp_step), given.inp_bound)
        if self.window is None:
            out = linear(x, self.weight)
        else:
            window = self.window
            out = conv2d(x, self.weight, None, window.stride, window.padding, window.dilation)
        return _bounded(_quantised(out, given.out_step), given.out_bound) * self.scale


class _Layer(nn.Module):
    """The tiles of a layer: outputs side by side, sums over parts of the input, the digital bias."""

    bias: Tensor | None

    def __init__(
        self, columns: list[tuple[tuple[int, int], list[nn.Module]]], bias: Tensor | None, *, is_convolution: bool
    ) -> None:
        super().__init__()
        self.parts = [part for part, _ in columns]
        self.columns = nn.ModuleList(nn.ModuleList(tiles) for _, tiles in columns)
        shape = (-1, 1, 1) if is_convolution else (-1,)
        self.register_buffer("bias", None if bias is None else bias.detach().clone().view(shape))
        self.is_convolution = is_convolution

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's output, (N, C', H', W') or (N, features)."""
        axis = 1 if self.is_convolution else -1
        total: Tensor | None = None
        for (begin, end), column in zip(self.parts, self.columns, strict=True):
            part = x.narrow(axis, begin, end - begin)
            assert isinstance(column, nn.ModuleList)
            out = torch.cat([tile(part) for tile in column], axis)
            total = out if total is None else total + out
        assert total is not None
        return total if self.bias is None else total + self.bias


def _quantised(x: Tensor, step: float) -> Tensor:
    return x if step == 0 else torch.round(x / step) * step


def _bounded(x: Tensor, bound: float) -> Tensor:
    return x if math.isinf(bound) else x.clamp(-bound, bound)
