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

from analognas.hardware.conversion import FEW


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
        tiles = self._alike() if x_input.dim() == 4 else []
        if tiles:
            learned = tiles[0].training or torch.is_grad_enabled()
            return self._trained(x_input, tiles) if learned else self._together(x_input, tiles)
        width = self.in_channels
        parts = [group(x_input.narrow(-3, place * width, width)) for place, group in enumerate(self.groups)]
        return torch.cat(parts, -3)

    def _alike(self) -> list[Any]:
        """Return the tiles of the groups if all are fast layers on one tile each, computed and trained in the same way.

        Asked at each call, as everything of a tile may be changed in place; so in few steps for each of many tiles.
        """
        from analognas.hardware.layers import FastConvolution, uncovered_tile

        layers: list[Any] = list(self.groups)
        if any(type(group) is not FastConvolution for group in layers):
            return []
        tiles = _of_each(layers, "analog_module")
        layer, first = layers[0], tiles[0]
        if uncovered_tile(first) is not None or any(type(tile) is not type(first) for tile in tiles):
            return []
        if first.training or torch.is_grad_enabled():
            # Of a kernel of one pixel with strides the gradients are computed by parts, see ``mvm``.
            if layer.kernel_size == (1, 1) and layer.stride != (1, 1):
                return []
            if any(scale is not None for scale in _of_each(tiles, "out_scaling_alpha")):
                return []
        insides, configs = _of_each(tiles, "tile"), [tile.rpu_config for tile in tiles]
        told: list[list[Any]] = [
            [tile.training for tile in tiles],
            [type(inside) for inside in insides],
            [values is None for values in _of_each(insides, "out_noise_values")],
            [values is None for values in _of_each(tiles, "input_range")],
            [alpha.shape if isinstance(alpha, Tensor) else () for alpha in _of_each(tiles, "alpha")],
            [config.drift_compensation is None for config in configs],
            [vars(config.forward) for config in configs],
            [vars(config.modifier) for config in configs],
            [vars(config.pre_post.input_range) for config in configs],
        ]
        return tiles if all(each.count(each[0]) == len(tiles) for each in told) else []

    def _window(self) -> Any:
        """Return how each group looks at its channels."""
        _, window, _ = next(self.groups[0].columns())  # type: ignore[operator]
        return window

    def _trained(self, x: Tensor, tiles: list[Any]) -> Tensor:
        """Return what the groups give, computed at once, for gradients and for training."""
        from analognas.hardware.grouped_converters import deviations
        from analognas.hardware.grouped_product import Groups, product, with_noise
        from analognas.hardware.layers import NOISY, tile_converters

        config, count, first = tiles[0].rpu_config, len(tiles), tiles[0]
        window = self._window()
        groups = Groups(tile_converters(config.forward), window, count, config.pre_post.input_range)
        weights = torch.cat(_of_each(_of_each(tiles, "tile"), "weight"))
        scales = _for_outputs(_of_each(tiles, "mapping_scales"), weights)
        noisy = None
        if first.training:
            if first.input_range is not None and first.input_range_update_idx < groups.range_parameters.init_from_data:
                for tile, deviation in zip(tiles, deviations(x.detach(), count, window), strict=True):
                    _follow(tile, deviation)
            drawn = [tile.__dict__.get(NOISY) for tile in tiles]
            noisy = torch.cat(drawn) if all(part is not None for part in drawn) else None
            if noisy is None:
                noisy = with_noise(weights.detach(), count, config.modifier)
        elif config.drift_compensation is not None:
            scales = scales * _for_outputs(_of_each(tiles, "alpha"), weights)
        ranges = None if first.input_range is None else torch.cat(_of_each(tiles, "input_range"))
        out = product(x, weights, ranges, noisy, scales, groups)
        bias = self._bias()
        return out if bias is None else out + bias.view(1, -1, 1, 1)

    def joined(self, x: Tensor, affine: tuple[Tensor, Tensor], other: Tensor | None, rectified: bool) -> Tensor | None:
        """Return the output with what follows it, in evaluation; None where that cannot be computed at once.

        Args:
            x: input (N, in_channels, H, W).
            affine: what the output is multiplied with, and what is added then, (out_channels,) each.
            other: what is added then, of the shape of the output.
            rectified: whether negative values become 0.
        """
        from analognas.hardware.converters import output_size

        tiles = self._alike() if x.dim() == 4 and not torch.is_grad_enabled() else []
        if not tiles or tiles[0].training:
            return None
        if other is not None:
            size = output_size(self._window(), (x.shape[2], x.shape[3]))
            if other.shape != (len(x), len(affine[0]), *size):  # a term for all images or pixels alike
                return None
        return self._together(x, tiles, affine, other, rectified)

    def _together(
        self, x: Tensor, tiles: list[Any], affine: tuple[Tensor, Tensor] | None = None, other: Tensor | None = None,
        rectified: bool = False,
    ) -> Tensor:  # fmt: skip
        """Return what the groups give, computed at once: noise is drawn in another order than group by group."""
        from analognas.hardware import converters as conv
        from analognas.hardware.grouped_converters import to_input
        from analognas.hardware.layers import tile_converters

        config, window = tiles[0].rpu_config, self._window()
        converters = tile_converters(config.forward)
        weights = torch.cat(_of_each(_of_each(tiles, "tile"), "weight"))
        scale = _for_outputs(_of_each(tiles, "mapping_scales"), weights) * converters.out_scale
        ranges = None
        if tiles[0].input_range is not None:
            ranges = torch.cat(_of_each(tiles, "input_range"))
            scale *= ranges.repeat_interleave(len(weights) // len(tiles))
        scale *= _for_outputs(_of_each(tiles, "out_scaling_alpha"), weights)
        if config.drift_compensation is not None:
            scale *= _for_outputs(_of_each(tiles, "alpha"), weights)
        bias = self._bias()
        shift = torch.zeros_like(scale) if bias is None else bias
        if affine is not None:
            scale, shift = scale * affine[0], shift * affine[0] + affine[1]
        lines = to_input(conv.dense(x), ranges, converters)
        kernels = weights.view(len(weights), self.in_channels, *window.kernel)
        out = conv.dense(conv2d(lines, kernels, None, window.stride, window.padding, window.dilation, len(tiles)))
        conv.to_next(out, converters, scale, shift, None if other is None else conv.dense(other), rectified)
        return out

    def _bias(self) -> Tensor | None:
        """Return the digital biases of all groups, (O,), or None."""
        from analognas.hardware.layers import bias_of

        layers: list[Any] = list(self.groups)
        if bias_of(layers[0].analog_module) is None:
            return None
        return torch.cat([bias_of(layer.analog_module) for layer in layers])


def _of_each(modules: list[Any], name: str) -> list[Any]:
    """Return an attribute of each module; torch looks for each in several places, which takes long for many."""
    for kind in ("_parameters", "_buffers", "_modules"):
        if name in vars(modules[0])[kind]:
            try:
                return [vars(module)[kind][name] for module in modules]
            except KeyError:
                break
    return [getattr(module, name) for module in modules]


@torch.no_grad()
def _follow(tile: Any, deviation: Tensor) -> None:
    """Let the input range of a tile follow the data in its first batches, see ``layers``."""
    parameters, index = tile.rpu_config.pre_post.input_range, tile.input_range_update_idx
    if deviation > 0:
        follows = parameters.init_std_alpha * deviation
        tile.input_range.data.copy_((tile.input_range.data * index + follows) / (index + 1))  # in place, see ``layers``
        index.data += 1
    tile.input_range.data.abs_()


def _for_outputs(values: list[Any], weights: Tensor) -> Tensor:
    """Return the numbers of tiles (one of each, or one for each output, or None for 1) for each output, (O,).

    Args:
        values: of the tiles.
        weights: of all tiles, (O, rows).
    """
    outputs = len(weights) // len(values)
    kinds = {type(value) for value in values}
    if kinds == {type(None)}:
        return weights.new_ones(len(weights))
    if outputs == 1 and kinds <= {Tensor, nn.Parameter} and {value.dim() for value in values} == {1}:
        return torch.cat(values).detach().to(weights)
    parts = [weights.new_ones(()) if value is None else torch.as_tensor(value).to(weights) for value in values]
    return torch.cat([part.detach().reshape(-1).expand(outputs) for part in parts])


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
                    few = tile.in_size * tile.out_size < FEW
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
