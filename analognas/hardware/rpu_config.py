"""The chip: aihwkit's RPU configurations, by name or from a function of the user's.

aihwkit and torch are loaded by the functions, not by this module.
"""

from __future__ import annotations

import copy
import dataclasses
import enum
import math
from collections.abc import Mapping
from typing import Any, Protocol

from analognas import files
from analognas.causes import own_code, quoted
from analognas.errors import HardwareError
from analognas.hardware.presets import PRESETS, preset, said_tiles
from analognas.hardware.tile_shape import TileShape
from analognas.plugins import load

#: Parameters that replace a value of the preset, where they are set.
OVERRIDES = (
    "dac_bits",
    "adc_bits",
    "out_noise",
    "weight_noise",
    "g_max",
    "prog_noise_scale",
    "read_noise_scale",
    "drift_scale",
)


class ChipSpec(Protocol):
    """What describes a chip: the section ``hardware`` of ``params.yaml`` (``hardware.params``), which knows this file.

    Beside these two it has ``OVERRIDES``.
    """

    @property
    def rpu_config(self) -> str:
        """Preset, or ``module:function``."""

    @property
    def tile_size(self) -> int | tuple[int, int] | None:
        """Rows and columns of a tile, None: the configuration's own."""


def rpu_config(spec: ChipSpec) -> Any:
    """Return a new aihwkit RPU configuration.

    Args:
        spec: a preset's name (the library's or a package's) or ``module:function``, and what is set in place of its
            own values: the tile size and ``OVERRIDES``. What is not set stays as the preset or the function has it.
            The module is found as Python finds modules, and in the current folder.

    Raises:
        HardwareError: if there is no such preset, module or function, the function does not return a
            ``TorchInferenceRPUConfig``, or the devices have no such property.
    """
    name = spec.rpu_config
    config = PRESETS[name].make() if name in PRESETS else _from_elsewhere(name)
    tiles = said_tiles(name) if spec.tile_size is None else TileShape.of(spec.tile_size)
    if tiles is not None:
        config.mapping.max_input_size, config.mapping.max_output_size = tiles.rows, tiles.columns
    shape_of(config, name)
    _replace(config, overrides(spec), name)
    return config


def shape_of(config: Any, name: str) -> TileShape:
    """Return the rows and columns of a tile of an aihwkit configuration, called ``name`` in errors.

    Raises:
        HardwareError: if they are no whole numbers.
    """
    sides = {side: getattr(config.mapping, side) for side in ("max_input_size", "max_output_size")}
    for side, value in sides.items():
        if isinstance(value, bool) or not isinstance(value, int):
            raise HardwareError(
                f"hardware.rpu_config {name!r} has mapping.{side} {value!r}: make it a whole number "
                "(0: layers are not split)."
            )
    rows, columns = (max(0, value) for value in sides.values())  # aihwkit splits nothing for 0 and less
    return TileShape(rows, columns)


def overrides(spec: ChipSpec) -> dict[str, int | float]:
    """Return what replaces values of the preset, by its name in ``OVERRIDES``; what is not set is left out."""
    given = {name: getattr(spec, name) for name in OVERRIDES}
    return {name: value for name, value in given.items() if value is not None}


def _replace(config: Any, values: Mapping[str, int | float], name: str) -> None:
    from aihwkit.simulator.parameters.enums import WeightModifierType

    for bits, resolution in (("dac_bits", "inp_res"), ("adc_bits", "out_res")):
        if bits in values:  # aihwkit's convention: a level less at each end, so that zero is one of them
            setattr(config.forward, resolution, 1 / (2 ** int(values[bits]) - 2))
    if "out_noise" in values:
        config.forward.out_noise = float(values["out_noise"])
    if "weight_noise" in values:
        std_dev = float(values["weight_noise"])
        config.modifier.std_dev = std_dev
        config.modifier.type = WeightModifierType.ADD_NORMAL if std_dev > 0 else WeightModifierType.NONE
    _replace_devices(config.noise_model, values, name)


def _replace_devices(devices: Any, values: Mapping[str, int | float], name: str) -> None:
    what = f"{type(devices).__name__} of {name!r}"
    if "g_max" in values:
        converter, g_max = getattr(devices, "g_converter", None), float(values["g_max"])
        if not (hasattr(devices, "g_max") and hasattr(converter, "g_max")):
            raise HardwareError(f"hardware.g_max is set, and {what} has none: leave it null.")
        least, most = getattr(converter, "g_min", 0.0), math.inf
        if type(devices).__name__ == "HermesNoiseModel":  # it refuses what was not measured
            most = devices.prog_coeff_g_max_reference
        if not least < g_max <= most:
            allowed = f"above {least:g} uS" + ("" if most == math.inf else f" and at most {most:g} uS")
            raise HardwareError(f"hardware.g_max is {g_max:g}: for {what} it must be {allowed}.")
        devices.g_max = converter.g_max = g_max  # type: ignore[union-attr]
        if hasattr(devices, "coeff_g_max_reference"):  # ReRAM: absolute noise, as if it had been made with this g_max
            devices.coeff_g_max_reference = g_max
    for scale in ("prog_noise_scale", "read_noise_scale", "drift_scale"):
        if scale in values:
            if not hasattr(devices, scale):
                raise HardwareError(f"hardware.{scale} is set, and {what} has no such scale: leave it null.")
            setattr(devices, scale, float(values[scale]))


def _from_elsewhere(name: str) -> Any:
    from aihwkit.simulator.configs import TorchInferenceRPUConfig

    function = _function(name) if ":" in name else preset(name).make
    try:
        config = function()
    except Exception as error:
        raise HardwareError(
            f"hardware.rpu_config {name!r} fails ({own_code(error)}): mend it; it is called without arguments."
        ) from error
    if not isinstance(config, TorchInferenceRPUConfig):
        # aihwkit's compiled tiles draw noise that no seed controls, so results could not be repeated.
        raise HardwareError(
            f"hardware.rpu_config {name!r} returned {type(config).__name__}; let it return aihwkit's "
            "TorchInferenceRPUConfig, whose noise can be seeded; analognas.hardware.torch_tiles makes one of an "
            "InferenceRPUConfig."
        )
    return copy.deepcopy(config)


def _function(name: str) -> Any:
    function = load(name, f"hardware.rpu_config {name!r}", HardwareError)
    if not callable(function):
        raise HardwareError(
            f"hardware.rpu_config {name!r} is no callable but a {type(function).__name__}: name the function that "
            "makes the configuration."
        )
    return function


def describe(config: Any) -> dict[str, Any]:
    """Return the whole configuration as plain JSON values, the same for equal configurations.

    Nested parameters become mappings with their ``class``; enums and classes become their names; the noise
    model, its conductance converter and the drift compensation are described by class and attributes.

    Raises:
        HardwareError: if the configuration holds something that has no description, such as a function.
    """
    described = _plain(config, "rpu_config")
    assert isinstance(described, dict)
    return described


def digest(config: Any) -> str:
    """Return 16 hexadecimal digits that identify the configuration."""
    return files.digest(describe(config))[:16]


def _plain(value: Any, path: str) -> Any:
    if isinstance(value, enum.Enum):
        return f"{type(value).__name__}.{value.name}"
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)  # JSON has no infinity
    if isinstance(value, type):
        return _name(value)
    if isinstance(value, Mapping):
        if not all(isinstance(key, str | int | float) for key in value):
            raise HardwareError(f"{path} has keys that are neither text nor numbers; it cannot be recorded.")
        named = sorted((str(key), item) for key, item in value.items())
        if len(dict(named)) < len(named):
            raise HardwareError(f"{path} has keys that look alike as text; it cannot be recorded.")
        return {key: _plain(item, f"{path}.{key}") for key, item in named}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{path}[{index}]") for index, item in enumerate(value)]
    if hasattr(value, "tolist"):  # numpy and torch
        return _plain(value.tolist(), path)
    if not hasattr(value, "__dict__") or hasattr(value, "__code__") or path.count(".") > 20:
        raise HardwareError(
            f"{path} is a {type(value).__name__}, which cannot be recorded; use plain values and aihwkit's classes."
        )
    # Attributes beyond a dataclass's fields are described too: a mistyped one must not go unnoticed.
    names = {field.name for field in dataclasses.fields(value)} if dataclasses.is_dataclass(value) else set()
    names |= set(vars(value))
    described = {name: _plain(getattr(value, name), f"{path}.{name}") for name in sorted(names)}
    return {"class": _name(type(value)), **described}


def _name(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def compiled_tiles_problem() -> str | None:
    """Return why aihwkit's compiled tiles do not run with this torch, in one sentence, or None if they do.

    analognas does not need them: its default configuration uses the tiles written in torch.
    """
    try:
        import torch
        from aihwkit.nn import AnalogLinear
        from aihwkit.simulator.configs import InferenceRPUConfig

        layer = AnalogLinear(2, 2, rpu_config=InferenceRPUConfig())
        layer.eval()
        with torch.no_grad():
            layer(torch.zeros(1, 2))
    except Exception as error:  # a mismatch shows in many ways, from a missing symbol to a refused tensor
        return (
            f"aihwkit's compiled tiles do not run with this torch (it says {quoted(error)}): install the torch version "
            "that analognas pins; the default torch tiles are not affected."
        )
    return None
