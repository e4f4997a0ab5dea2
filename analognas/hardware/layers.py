"""Analog layers at nearly digital speed: aihwkit's layers and tiles with another forward and backward pass.

Weights, scales, input ranges, programming, drift, clipping and remapping are those of aihwkit's own tiles, which
the layers keep; only the matrix product is computed without unfolding (:mod:`analognas.hardware.mvm`). What that
cannot compute is left to aihwkit, with a warning that names it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import torch
from aihwkit.nn import AnalogConv2d, AnalogLinear
from aihwkit.simulator.parameters.enums import AnalogMVType, BoundManagementType, NoiseManagementType
from aihwkit.simulator.tiles.array import TileModuleArray
from aihwkit.simulator.tiles.inference_torch import TorchInferenceTile
from aihwkit.simulator.tiles.torch_tile import TorchSimulatorTile
from torch import Tensor

from analognas.errors import AnalogNASWarning
from analognas.hardware.converters import Converters, Window, output_size, uses
from analognas.hardware.mvm import product
from analognas.hardware.silence import is_silent, sentence


class FastConvolution(AnalogConv2d):  # type: ignore[misc]
    """``AnalogConv2d`` without unfolding."""

    def forward(self, x_input: Tensor) -> Tensor:
        """Return the noisy convolution (N, out_channels, H', W') of ``x_input`` (N, in_channels, H, W)."""
        if x_input.dim() != 4 or uncovered(self.analog_module):
            return super().forward(x_input)  # type: ignore[no-any-return]
        total: Tensor | None = None
        for (begin, end), window, column in self.columns():
            x = x_input if end - begin == self.in_channels else x_input[:, begin:end]
            total = _add(total, [_tile_output(tile, x, window) for tile in column])
        assert total is not None
        return _with_bias(self.analog_module, total)

    def columns(self) -> Iterator[tuple[tuple[int, int], Window, list[Any]]]:
        """Yield channels (first, one after the last) with the tiles side by side that have rows of them.

        The windows are of these channels. A split may fall inside a channel, which then comes twice.
        """
        taps = self.kernel_size[0] * self.kernel_size[1]
        for (first, last), column in rows_of_tiles(self.analog_module):
            begin, end = first // taps, -(-last // taps)
            rows = (first - begin * taps, last - begin * taps)
            yield (begin, end), _window(self.kernel_size, self.stride, self.padding, self.dilation, rows), column


class FastLinear(AnalogLinear):  # type: ignore[misc]
    """``AnalogLinear`` with fewer passes over its input and output."""

    def forward(self, x_input: Tensor) -> Tensor:
        """Return the noisy product (..., out_features) of ``x_input`` (..., in_features)."""
        if x_input.dim() < 2 or uncovered(self.analog_module):
            return super().forward(x_input)  # type: ignore[no-any-return]
        x = x_input.reshape(-1, x_input.shape[-1])
        total: Tensor | None = None
        for (first, last), column in rows_of_tiles(self.analog_module):
            part = x if last - first == self.in_features else x[:, first:last]
            total = _add(total, [_tile_output(tile, part, None) for tile in column])
        assert total is not None
        out = _with_bias(self.analog_module, total)
        return out.view(*x_input.shape[:-1], out.shape[-1])


_converters = lru_cache(maxsize=256)(Converters.of)
_window = lru_cache(maxsize=256)(Window)
_uses = lru_cache(maxsize=256)(uses)

#: The attribute of a tile that has its modified weights already: those of all tiles are drawn at once.
NOISY = "modified_together"

#: What a layer becomes, and back again.
FAST: dict[type, type] = {AnalogConv2d: FastConvolution, AnalogLinear: FastLinear}


def uncovered(module: Any) -> str | None:
    """Return which setting of a layer's tiles the fast layers do not compute, or None; the layer then is aihwkit's."""
    if isinstance(module, TileModuleArray) and type(module) is not TileModuleArray:
        return f"an array of tiles of the class {type(module).__name__}"
    for _, column in rows_of_tiles(module):
        for tile in column:
            reason = uncovered_tile(tile)
            if reason is not None:
                return reason
    return None


def warn_of_uncovered(layers: Iterator[tuple[str, Any]]) -> None:
    """Warn of what is left to aihwkit in these layers (name, layer), unless that is said elsewhere."""
    if is_silent():
        return
    slow: dict[str, list[str]] = {}
    total = 0
    for name, layer in layers:
        total += 1
        reason = uncovered(layer.analog_module)
        if reason is not None:
            slow.setdefault(reason, []).append(name or type(layer).__name__)
    for reason, names in slow.items():
        # Of a chip it is said in the same words for every network: then Python says it once in a process.
        which = "all layers" if len(names) == total else f"{len(names)} layers ({names[0]} ...)"
        warnings.warn(sentence(reason, which), AnalogNASWarning, stacklevel=3)


def uncovered_tile(tile: Any) -> str | None:
    """Return which setting of a tile the fast layers do not compute, or None."""
    # Exactly these classes: what derives from them computes something else.
    if type(tile) is not TorchInferenceTile or type(tile.tile) is not TorchSimulatorTile:
        return f"a tile of the class {type(tile).__name__}"
    io = tile.rpu_config.forward
    if not _is_factor(tile.alpha, tile.tile.d_size):
        return f"what the drift compensation {type(tile.rpu_config.drift_compensation).__name__} multiplies with"
    if tile.tile.out_noise_values is not None:
        return "forward.out_noise_std"
    if tile.rpu_config.modifier.per_batch_sample and tile.training:
        return "modifier.per_batch_sample"
    return _uncovered_io(
        _is_ideal(io),
        io.mv_type,
        io.noise_management,
        io.bound_management,
        io.inp_noise,
        io.inp_asymmetry,
        io.out_asymmetry,
        io.inp_sto_round,
        io.out_sto_round,
        tile.rpu_config.pre_post.input_range.manage_output_clipping and tile.input_range is not None,
    )


def _is_factor(alpha: Any, columns: int) -> bool:
    """Return whether a drift compensation is one factor, or one for each column, as all of aihwkit's are."""
    if not isinstance(alpha, Tensor):
        return isinstance(alpha, int | float)
    return alpha.numel() == 1 or alpha.shape == (columns,)


@lru_cache(maxsize=256)
def _uncovered_io(
    ideal: bool, mv_type: Any, noise: Any, bound: Any, inp_noise: float, inp_asymmetry: float,
    out_asymmetry: float, inp_sto_round: bool, out_sto_round: bool, output_clipping: bool,
) -> str | None:  # fmt: skip
    settings = {
        f"forward.mv_type {mv_type.name}": mv_type != AnalogMVType.ONE_PASS,
        # Scales per patch, rounded per patch: the same pixel has as many values as patches.
        f"forward.noise_management {noise.name}": noise != NoiseManagementType.NONE,
        f"forward.bound_management {bound.name}": bound != BoundManagementType.NONE,
        # Drawn anew for each patch.
        "forward.inp_noise": inp_noise > 0,
        "forward.inp_asymmetry": inp_asymmetry != 0,
        "forward.out_asymmetry": out_asymmetry != 0,
        "forward.inp_sto_round": inp_sto_round,
        "forward.out_sto_round": out_sto_round,
    }
    if ideal:  # none of these is looked at
        settings = {}
    settings["pre_post.input_range.manage_output_clipping"] = output_clipping
    return next((name for name, is_set in settings.items() if is_set), None)


def tile_converters(io: Any) -> Converters:
    """Return the converters of aihwkit's ``IOParameters``."""
    if _is_ideal(io):
        return _converters(0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    return _converters(io.inp_res, io.inp_bound, io.out_res, io.out_bound, io.out_noise, io.out_scale)


def _is_ideal(io: Any) -> bool:
    return bool(io.is_perfect or io.mv_type == AnalogMVType.IDEAL)


def rows_of_tiles(module: Any) -> Iterator[tuple[tuple[int, int], list[Any]]]:
    """Yield the rows (first, one after the last) of a layer's matrix with the tiles side by side that hold them."""
    if not isinstance(module, TileModuleArray):
        yield (0, module.in_size), [module]
        return
    first = 0
    for rows, column in zip(module.in_sizes, module.array, strict=True):
        yield (first, first + rows), list(column)
        first += rows


def _add(total: Tensor | None, parts: list[Tensor]) -> Tensor:
    out = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
    return out if total is None else total + out


def bias_of(module: Any) -> Any:
    """Return the digital bias of a layer (out,), None if it has none."""
    return module.bias if isinstance(module, TileModuleArray) or module.digital_bias else None


def scale_of(tile: Any, scale: float) -> Tensor:
    """Return all that is multiplied with the output of a tile's converter, per channel or (1,)."""
    own = torch.full_like(tile.tile.weight[:, 0], scale)
    for factor in (tile.input_range, tile.mapping_scales, tile.out_scaling_alpha):
        if factor is not None:
            own *= factor
    if tile.rpu_config.drift_compensation is not None:
        own *= tile.alpha
    return own


def _with_bias(module: Any, out: Tensor) -> Tensor:
    bias = bias_of(module)
    return out if bias is None else out + _view(bias, out)


def _tile_output(tile: Any, x: Tensor, window: Window | None) -> Tensor:
    """Return the output of one tile: all of aihwkit's ``TorchInferenceTile.forward`` but the bias."""
    config = tile.rpu_config
    noisy = None
    if tile.training:
        _initialise_range(tile, x, window)
        # All kinds of modifiers are straight-through: the gradient is that of the weights themselves.
        noisy = tile.__dict__.get(NOISY)
        if noisy is None:
            with torch.no_grad():
                noisy = TorchSimulatorTile.modify_weight(tile.tile.weight, config.modifier, len(x))
    mapping = tile.mapping_scales
    joint = mapping is None or mapping.numel() == 1 or bool((mapping == mapping[0]).all())
    compensated = not tile.training and config.drift_compensation is not None
    alpha = tile.alpha if compensated else 1.0
    by_column = alpha if isinstance(alpha, Tensor) and alpha.numel() > 1 else None
    out = product(
        x,
        tile.tile.weight,
        tile.input_range,
        converters=tile_converters(config.forward),
        window=window,
        noisy=noisy,
        scale=None if not joint else 1.0 if mapping is None else mapping[0].item(),
        alpha=float(alpha) if by_column is None else 1.0,
        range_parameters=config.pre_post.input_range,
    )
    if by_column is not None:
        out = out * _view(by_column, out)
    if not joint:
        scale = mapping if tile.input_range is None else tile.input_range * mapping
        out = out * _view(scale, out)
    if tile.out_scaling_alpha is not None:
        out = out * _view(tile.out_scaling_alpha, out)
    return out


@torch.no_grad()
def _initialise_range(tile: Any, x: Tensor, window: Window | None) -> None:
    """Let the input range follow the data in its first batches, as aihwkit's ``apply_input_range`` does."""
    if tile.input_range is None:
        return
    parameters, index = tile.rpu_config.pre_post.input_range, tile.input_range_update_idx
    if index >= parameters.init_from_data:
        return
    std = _unfolded_std(x, window)
    if std > 0:
        followed = (tile.input_range.data * index + parameters.init_std_alpha * std) / (index + 1)
        # In place: in a training its memory is a part of the vector of all parameters, where it is learned afterwards.
        tile.input_range.data.copy_(followed)
        index.data += 1
    tile.input_range.data.abs_()


def _unfolded_std(x: Tensor, window: Window | None) -> Tensor:
    """Return the standard deviation of the unfolded input, padding included."""
    if window is None:
        return x.std()
    _, channels, height, width = x.shape
    times = _uses(window, (channels, height, width)).to(x.device)
    rows, columns = output_size(window, (height, width))
    entries = len(x) * rows * columns * (window.rows[1] - window.rows[0])
    values = x.double()
    mean = (values.sum(0) * times).sum() / entries
    zeros = entries - len(x) * times.sum()
    squares = ((values - mean).square().sum(0) * times).sum() + zeros * mean.square()
    return (squares / (entries - 1)).sqrt().to(x.dtype)


def _view(values: Tensor, out: Tensor) -> Tensor:
    """Return values per output, (O,) or (1,), in a shape that is multiplied with ``out`` (N, O, ...)."""
    return values.view(1, -1, *(1,) * (out.dim() - 2))
