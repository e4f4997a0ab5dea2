"""Grouped convolutions on analog tiles: each group is a matrix of its own, so it has tiles of its own.

aihwkit refuses them. A grouped convolution is as many convolutions side by side as it has groups, each of its part of
the channels; put so, every one is an analog layer like any other, with its own scales, input range and drift
compensation. Groups that are alike in their converters are computed at once.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

#: Weights of a tile of which the standard deviation says nothing of outliers: a depthwise kernel of 7x7 has 49.
_FEW = 64


class GroupedConvolution(nn.Module):
    """A grouped convolution as a convolution for each group; computes the same.

    Args:
        layer: the convolution, of zeros as padding, a width in pixels.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.in_channels = layer.in_channels // layer.groups
        outputs = layer.out_channels // layer.groups
        made = []
        for group in range(layer.groups):
            part = nn.Conv2d(
                self.in_channels, outputs, layer.kernel_size, layer.stride, layer.padding, layer.dilation,  # type: ignore[arg-type]
                bias=layer.bias is not None, device=layer.weight.device, dtype=layer.weight.dtype,
            )  # fmt: skip
            of_group = slice(group * outputs, (group + 1) * outputs)
            with torch.no_grad():
                part.weight.copy_(layer.weight[of_group])
                if layer.bias is not None and part.bias is not None:
                    part.bias.copy_(layer.bias[of_group])
            made.append(part)
        self.groups = nn.ModuleList(made)

    def forward(self, x_input: Tensor) -> Tensor:
        """Return the convolution (N, out_channels, H', W') of ``x_input`` (N, in_channels, H, W)."""
        width = self.in_channels
        if x_input.dim() == 4 and self._alike():
            training = next(self.groups[0].analog_tiles()).training  # type: ignore[operator]
            return self._trained(x_input) if training or torch.is_grad_enabled() else self._together(x_input)
        parts = [group(x_input.narrow(-3, place * width, width)) for place, group in enumerate(self.groups)]
        return torch.cat(parts, -3)

    def _alike(self) -> bool:
        """Return whether all groups are fast layers on one tile each, computed and trained in the same way."""
        from analognas.hardware.layers import FastConvolution, tile_converters, uncovered_tile

        if not all(type(group) is FastConvolution for group in self.groups):
            return False
        tiles = [tile for group in self.groups for tile in group.analog_tiles()]  # type: ignore[operator]
        if len(tiles) != len(self.groups) or any(map(uncovered_tile, tiles)):
            return False
        kinds = {(tile.training, tile.input_range is None, tile_converters(tile.rpu_config.forward)) for tile in tiles}
        if len(kinds) > 1:
            return False
        if not (torch.is_grad_enabled() or tiles[0].training):
            return True
        first, layer = tiles[0].rpu_config, self.groups[0]
        return (
            all(tile.out_scaling_alpha is None for tile in tiles)
            # Of a kernel of one pixel with strides the gradients are computed by parts, see ``mvm``.
            and (layer.kernel_size != (1, 1) or layer.stride == (1, 1))
            and all(
                tile.rpu_config.modifier == first.modifier
                and tile.rpu_config.pre_post.input_range == first.pre_post.input_range
                for tile in tiles
            )
        )

    def _trained(self, x: Tensor) -> Tensor:
        """Return what the groups give, computed at once, for gradients and for training."""
        from analognas.hardware.grouped_product import Groups, deviations, product, with_noise
        from analognas.hardware.layers import bias_of, tile_converters

        layers: list[Any] = list(self.groups)
        tiles = [next(layer.analog_tiles()) for layer in layers]
        config, count = tiles[0].rpu_config, len(tiles)
        _, window, _ = next(layers[0].columns())
        groups = Groups(tile_converters(config.forward), window, count, config.pre_post.input_range)
        weights = torch.cat([tile.tile.weight for tile in tiles])
        outputs = len(weights) // count
        scales = torch.cat([_spread(tile.mapping_scales, outputs, weights) for tile in tiles])
        noisy = None
        if tiles[0].training:
            first = tiles[0]
            if first.input_range is not None and first.input_range_update_idx < groups.range_parameters.init_from_data:
                for tile, deviation in zip(tiles, deviations(x.detach(), count, window), strict=True):
                    _follow(tile, deviation)
            noisy = with_noise(weights.detach(), count, config.modifier)
        elif config.drift_compensation is not None:
            scales = scales * torch.cat([_spread(tile.alpha, outputs, weights) for tile in tiles])
        ranges = None if tiles[0].input_range is None else torch.cat([tile.input_range for tile in tiles])
        out = product(x, weights, ranges, noisy, scales, groups)
        biases = [bias_of(layer.analog_module) for layer in layers]
        return out if biases[0] is None else out + torch.cat(biases).view(1, -1, 1, 1)

    def _together(self, x: Tensor) -> Tensor:
        """Return what the groups give, computed at once: noise is drawn in another order than group by group."""
        from analognas.hardware import converters as conv
        from analognas.hardware.grouped_product import input_lines
        from analognas.hardware.layers import bias_of, scale_of, tile_converters
        from analognas.hardware.mvm import kernels_of

        layers: list[Any] = list(self.groups)
        tiles = [next(layer.analog_tiles()) for layer in layers]
        converters = tile_converters(tiles[0].rpu_config.forward)
        own = None
        if tiles[0].input_range is not None:
            own = torch.cat([tile.input_range.expand(self.in_channels) for tile in tiles]).view(1, -1, 1, 1)
        lines = input_lines(conv.dense(x), own, converters)
        _, window, _ = next(layers[0].columns())
        kernels = torch.cat([kernels_of(tile.tile.weight, window, self.in_channels) for tile in tiles])
        out = conv2d(lines, kernels, None, window.stride, window.padding, window.dilation, len(layers))
        out = conv.dense(out)
        scale = torch.cat([scale_of(tile, converters.out_scale) for tile in tiles])
        biases = [bias_of(layer.analog_module) for layer in layers]
        shift = torch.zeros_like(scale) if biases[0] is None else torch.cat(biases)
        conv.to_next(out, converters, scale, shift, None, rectified=False)
        return out


@torch.no_grad()
def _follow(tile: Any, deviation: Tensor) -> None:
    """Let the input range of a tile follow the data in its first batches, see ``layers``."""
    parameters, index = tile.rpu_config.pre_post.input_range, tile.input_range_update_idx
    if deviation > 0:
        follows = parameters.init_std_alpha * deviation
        tile.input_range.data = (tile.input_range.data * index + follows) / (index + 1)
        index.data += 1
    tile.input_range.data = tile.input_range.data.abs()


def _spread(value: Any, outputs: int, like: Tensor) -> Tensor:
    """Return a number, or one for each output of a tile, or None for 1, as a number for each output."""
    if value is None:
        return like.new_ones(outputs)
    return torch.as_tensor(value, dtype=like.dtype, device=like.device).detach().reshape(-1).expand(outputs)


def is_grouped(layer: nn.Module) -> bool:
    """Return whether a layer is a grouped convolution that is put on tiles group by group."""
    return type(layer) is nn.Conv2d and layer.groups > 1


def ungrouped(model: nn.Module) -> nn.Module:
    """Return a network with ``GroupedConvolution`` in place of grouped convolutions: a copy if it has any.

    Torch's generators are left as they were.
    """
    parts: dict[int, Any] = {}  # what is in the memo is not copied but replaced
    with torch.random.fork_rng(devices=[]):  # layers are made with drawn weights first
        for layer in model.modules():
            if is_grouped(layer):
                assert isinstance(layer, nn.Conv2d)
                parts[id(layer)] = GroupedConvolution(layer).train(layer.training)
    if not parts:
        return model
    replaced: nn.Module = copy.deepcopy(model, parts)
    return replaced


def unclipped(model: nn.Module) -> nn.Module:
    """Return a converted network, changed in place, in which no group of few weights is clipped at their deviation.

    aihwkit's ``LAYER_GAUSSIAN`` clips a tile after each step of training at so many standard deviations of its weights.
    That cuts outliers off a large matrix, whose mean is about 0. The nine weights of a depthwise kernel may all be
    alike: their deviation is then small or nothing, they shrink at every step, and the training diverges.
    """
    from aihwkit.simulator.parameters.enums import WeightClipType

    for module in model.modules():
        if isinstance(module, GroupedConvolution):
            for layer in module.groups:
                for tile in layer.analog_tiles():  # type: ignore[operator]
                    clip = getattr(tile.rpu_config, "clip", None)
                    few = tile.in_size * tile.out_size < _FEW
                    if few and clip is not None and clip.type == WeightClipType.LAYER_GAUSSIAN:
                        clip.type = WeightClipType.NONE  # the configuration of a tile is its own
    return model


def units(model: nn.Module, names: list[str]) -> dict[str, list[str]]:
    """Return which of these analog layers belong together, by the name of what they are: groups of one convolution."""
    grouped = {name for name, module in model.named_modules() if isinstance(module, GroupedConvolution)}
    together: dict[str, list[str]] = {}
    for name in names:
        owner = name.rpartition(".groups.")[0]
        together.setdefault(owner if owner in grouped else name, []).append(name)
    return together
