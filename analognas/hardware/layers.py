"""aihwkit's analog convolution with a cheaper evaluation pass that gives the same bits.

aihwkit unfolds the input (nine values per pixel for a 3x3 kernel) and then runs the digital-to-analog
converter's steps on each of them. They work value by value and keep zero, so they may as well run before
unfolding. Training is aihwkit's own: there the input range's gradient depends on the unfolded values.
"""

from __future__ import annotations

from typing import Any

import torch
from aihwkit.nn import AnalogConv2d
from aihwkit.simulator.parameters.enums import AnalogMVType, BoundManagementType, NoiseManagementType
from aihwkit.simulator.tiles.inference_torch import TorchInferenceTile
from aihwkit.simulator.tiles.torch_tile import TorchSimulatorTile
from torch import Tensor
from torch.nn.functional import unfold


class AnalogConvolution(AnalogConv2d):  # type: ignore[misc]
    """``AnalogConv2d`` on one tile, evaluated without gradients; everything else is aihwkit's."""

    def forward(self, x_input: Tensor) -> Tensor:
        """Return the noisy convolution (N, out_channels, H', W') of ``x_input`` (N, in_channels, H, W)."""
        tile = self.analog_module
        if self.training or torch.is_grad_enabled() or x_input.dim() != 4 or not _is_plain(tile):
            return super().forward(x_input)  # type: ignore[no-any-return]
        io = tile.rpu_config.forward
        images, _, height, width = x_input.shape
        value = x_input
        if tile.input_range is not None:
            bound = abs(tile.input_range.item())
            value = value.clamp(-bound, bound).div_(tile.input_range)
        value = _quantize(value, io.inp_res, io.inp_bound)
        value = unfold(value, self.kernel_size, self.dilation, self.padding, self.stride).transpose(-1, -2)
        out = value @ tile.tile.weight.T
        if io.out_noise > 0:
            out += io.out_noise * torch.randn_like(out)
        out = _quantize(out, io.out_res, io.out_bound)
        # The factors are joined in aihwkit's order: a product of floats depends on it.
        scale = tile.input_range
        if tile.mapping_scales is not None:
            mapping = tile.mapping_scales.view(1, 1, -1)
            scale = mapping if scale is None else scale * mapping
        if scale is not None:
            out *= scale
        if tile.rpu_config.drift_compensation is not None:
            out *= tile.alpha
        if tile.digital_bias:
            out += tile.bias
        height, width = self.get_image_size(height, 0), self.get_image_size(width, 1)
        return out.transpose(-1, -2).reshape(images, self.out_channels, height, width)


def _quantize(value: Tensor, resolution: float, bound: float) -> Tensor:
    """Return ``value`` rounded to steps of 2 * resolution * bound and clipped, as aihwkit's converters do."""
    if resolution > 0:
        step = (1 / resolution if resolution > 1 else resolution) * (2 * bound)
        value = (value / step).round_().mul_(step)
    return value.clamp(-bound, bound) if bound > 0 else value


def _is_plain(tile: Any) -> bool:
    """Return whether the layer is one tile whose converters only clip, round and add output noise."""
    # Exactly these classes: what derives from them computes something else.
    if type(tile) is not TorchInferenceTile or type(tile.tile) is not TorchSimulatorTile:
        return False
    io = tile.rpu_config.forward
    return bool(
        not io.is_perfect
        and io.mv_type == AnalogMVType.ONE_PASS
        and io.noise_management == NoiseManagementType.NONE
        and io.bound_management == BoundManagementType.NONE
        and io.inp_noise == io.inp_asymmetry == io.out_asymmetry == 0
        and not (io.inp_sto_round or io.out_sto_round)
        and io.out_scale == 1
        and tile.out_scaling_alpha is None
        and tile.tile.out_noise_values is None
    )
