"""All tiles of a network at once while it is trained: modified, clipped and remapped in one vector.

aihwkit goes from tile to tile, and on small layers the time is spent on the way. What is done to the weights is what
its ``TorchSimulatorTile`` does (``modify_weight``, ``clip_weights``, ``remap_weights`` in ``torch_tile.py``): where a
configuration asks for something else, aihwkit does it.
"""

# numba ships no types
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from aihwkit.simulator.parameters.enums import WeightClipType, WeightModifierType, WeightRemapType
from torch import Tensor, nn

from analognas.hardware.analog import set_scales_again, tiles
from analognas.hardware.kernels import SUMS, loop
from analognas.hardware.layers import NOISY, FastConvolution, FastLinear, uncovered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]
    Numbers = NDArray[np.int64]

_NONE, _ADDED, _MULTIPLIED = range(3)
_MODIFIERS = {
    WeightModifierType.NONE: _NONE,
    WeightModifierType.COPY: _NONE,
    WeightModifierType.ADD_NORMAL: _ADDED,
    WeightModifierType.MULT_NORMAL: _MULTIPLIED,
}
_CLIPS = {WeightClipType.NONE: 0, WeightClipType.FIXED_VALUE: 1, WeightClipType.LAYER_GAUSSIAN: 2}
_REMAPS = {WeightRemapType.NONE: 0, WeightRemapType.LAYERWISE_SYMMETRIC: 1}


class TilesTogether:
    """The tiles of a network in a training. Between ``begin`` and ``end`` their weights are parts of one vector.

    Args:
        model: for which ``apply_to`` says so.
    """

    def __init__(self, model: nn.Module) -> None:
        self._tiles = [tile for _, tile in tiles(model)]
        config = self._tiles[0].rpu_config
        modifier, clips = config.modifier, [tile.rpu_config.clip for tile in self._tiles]
        self._modifier = _MODIFIERS[modifier.type], np.float32(modifier.std_dev)
        self._largest = np.float32(math.nan if modifier.rel_to_actual_wmax else modifier.assumed_wmax)
        # Groups of few weights are not clipped as others are, see ``grouping``.
        self._clips = (
            np.array([_CLIPS[clip.type] for clip in clips], np.int64),
            np.array([clip.sigma for clip in clips], np.float32),
            np.array([_fixed(clip) for clip in clips], np.float32),
        )
        self._remapped = bool(_REMAPS[config.remap.type])
        #: The weights in order.
        self.parameters: list[nn.Parameter] = [tile.tile.weight for tile in self._tiles]
        self._ends = np.cumsum([weight.numel() for weight in self.parameters], dtype=np.int64)
        self._size = int(self._ends[-1])

    @staticmethod
    def apply_to(model: nn.Module) -> bool:
        """Return whether all tiles of a converted network are alike, and such that this does what aihwkit would."""
        for layer in model.modules():
            if hasattr(layer, "analog_module") and type(layer) not in (FastConvolution, FastLinear):
                return False
        of_network = [tile for _, tile in tiles(model)]
        layers = [layer for layer in model.modules() if type(layer) in (FastConvolution, FastLinear)]
        if not of_network or any(uncovered(layer.analog_module) is not None for layer in layers):
            return False
        first = of_network[0].rpu_config
        known = (
            first.modifier.type in _MODIFIERS and not first.modifier.per_batch_sample
            and first.remap.type in _REMAPS
        )  # fmt: skip
        return known and all(
            tile.rpu_config.modifier == first.modifier
            and tile.rpu_config.clip.type in _CLIPS
            and tile.rpu_config.remap == first.remap
            and tile.tile.weight.dtype == torch.float32
            and tile.tile.weight.device.type == "cpu"
            # One weight has no deviation.
            and (tile.tile.weight.numel() > 1 or tile.rpu_config.clip.type != WeightClipType.LAYER_GAUSSIAN)
            and tile.tile.weight.requires_grad
            and tile.mapping_scales is not None
            and bool((tile.mapping_scales == tile.mapping_scales[0]).all())
            and tile.out_scaling_alpha is None
            for tile in of_network
        )

    def parts(self, values: Tensor) -> list[Tensor]:
        """Return the parts of a vector (n,) that belong to the tiles, in the shapes of their weights."""
        parts = torch.split(values[: self._size], [weight.numel() for weight in self.parameters])
        return [part.view(weight.shape) for part, weight in zip(parts, self.parameters, strict=True)]

    @torch.no_grad()
    def begin(self, values: Tensor) -> None:
        """Take the vector that begins with the weights of all tiles, in order."""
        self._values = values.numpy()[: self._size]
        self._scales = torch.cat([tile.mapping_scales[:1] for tile in self._tiles])
        self._divided = np.array([tile._backward_hook_handle is not None for tile in self._tiles])
        modified = torch.empty(self._size)
        self._modified = modified.numpy()
        for place, (tile, part) in enumerate(zip(self._tiles, self.parts(modified), strict=True)):
            if tile._backward_hook_handle is not None:  # ``scale_gradients`` does it
                tile._backward_hook_handle.remove()
                tile._backward_hook_handle = None
            tile.mapping_scales = self._scales[place : place + 1].expand(len(tile.mapping_scales))
            tile.__dict__[NOISY] = tile.tile.weight.detach() if self._modifier[0] == _NONE else part

    def modify(self) -> None:
        """Draw the weights that the next step is computed with."""
        if self._modifier[0] == _NONE:
            return
        drawn = torch.randn(self._size).numpy()
        _modify(self._values, drawn, self._ends, *self._modifier, self._largest, self._modified)

    def scale_gradients(self, gradient: Tensor) -> None:
        """Divide gradients of weights by the squares of the scales, as aihwkit's ``set_scales`` has it."""
        _scale(gradient.numpy(), self._ends, self._scales.numpy(), self._divided)

    def updated(self) -> None:
        """Clip and remap the weights after they have been changed."""
        _update(self._values, self._ends, *self._clips, self._remapped, self._scales.numpy())
        if self._remapped:
            self._divided[:] = True

    def end(self) -> None:
        """Leave the tiles to aihwkit; their weights have to have memory of their own again."""
        for tile in self._tiles:
            del tile.__dict__[NOISY]
            tile.mapping_scales = tile.mapping_scales.clone()
        for tile, divided in zip(self._tiles, self._divided, strict=True):
            if divided:
                set_scales_again(tile)


def _fixed(clip: Any) -> float:
    """Return the value at which weights are clipped whatever they are."""
    fixed = clip.fixed_value
    return float(fixed) if fixed > 0 or clip.type == WeightClipType.FIXED_VALUE else math.inf


@loop(SUMS)
def _modify(weights: Array, drawn: Array, ends: Numbers, kind: int, std: Any, assumed: Any, out: Array) -> None:
    start = 0
    for end in ends:
        part, noise, into = weights[start:end], drawn[start:end], out[start:end]
        if kind == _MULTIPLIED:
            for i in range(part.size):
                into[i] = part[i] + part[i] * std * noise[i]
        else:
            largest = assumed
            if math.isnan(assumed):
                largest = np.float32(0)
                for value in part:
                    largest = max(largest, abs(value))
            factor = std * largest
            for i in range(part.size):
                into[i] = part[i] + factor * noise[i]
        start = end


@loop()
def _scale(gradient: Array, ends: Numbers, scales: Array, divided: NDArray[np.bool_]) -> None:
    start = 0
    for place in range(ends.size):
        end = ends[place]
        if divided[place]:
            square = scales[place] * scales[place]
            part = gradient[start:end]
            for i in range(part.size):
                part[i] /= square
        start = end


@loop(SUMS)
def _update(
    weights: Array, ends: Numbers, clips: Numbers, sigmas: Array, most: Array, remapped: bool, scales: Array
) -> None:
    start = 0
    for place in range(ends.size):
        end = ends[place]
        part = weights[start:end]
        if clips[place] > 0:
            bound = most[place]
            if clips[place] == 2:
                total = 0.0
                for value in part:
                    total += value
                mean = total / part.size
                squares = 0.0
                for value in part:
                    squares += (value - mean) ** 2
                bound = min(bound, np.float32(math.sqrt(squares / (part.size - 1))) * sigmas[place])
            for i in range(part.size):
                part[i] = min(max(part[i], -bound), bound)
        if remapped:
            largest = np.float32(0)
            for i in range(part.size):
                part[i] *= scales[place]
                largest = max(largest, abs(part[i]))
            for i in range(part.size):
                part[i] /= largest
            scales[place] = largest
        start = end
