"""aihwkit's configurations for compiled tiles on the torch tiles, whose noise can be seeded: what they can do of it.

aihwkit and torch are loaded by the functions, not by this module.
"""

from __future__ import annotations

import copy
import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from analognas.causes import quoted
from analognas.errors import HardwareError
from analognas.plugins import nearest


@dataclass(frozen=True)
class _Limit:
    """A setting that the torch tiles do not simulate for every value: for which they do, and which leaves it out."""

    path: str
    simulated: Callable[[Any], bool]
    without: Any


def _one_of(*names: str) -> Callable[[Any], bool]:
    return lambda value: value.name in names


def _off(value: Any) -> bool:
    return not value > 0


#: ``check_support`` of aihwkit's ``AnalogMVM`` and ``check_rpu_config_support`` of its ``TorchSimulatorTile``, and what
#: these let pass although the torch tiles then fail (drop-connect, output clipping) or compute something else (the
#: worst case of bound management, its test of one bound, a backward pass with noise).
_LIMITS = (
    _Limit("forward.mv_type", _one_of("ONE_PASS"), "ONE_PASS"),
    _Limit("forward.bound_management", _one_of("NONE", "ITERATIVE"), "NONE"),
    _Limit("forward.noise_management", _one_of("NONE", "ABS_MAX", "MAX", "CONSTANT"), "NONE"),
    _Limit("forward.w_noise", _off, 0.0),
    _Limit("forward.w_noise_type", _one_of("NONE"), "NONE"),
    _Limit("forward.ir_drop", _off, 0.0),
    _Limit("forward.out_nonlinearity", _off, 0.0),
    _Limit("forward.slope_calibration", _off, 0.0),
    _Limit("forward.v_offset_std", _off, 0.0),
    _Limit("forward.v_offset_w_min", _off, -1.0),
    _Limit("forward.r_series", _off, 0.0),
    _Limit("forward.w_read_asymmetry_dtod", _off, 0.0),
    _Limit("forward.bm_test_negative_bound", bool, True),
    _Limit("backward.is_perfect", bool, True),
    _Limit("mapping.digital_bias", bool, True),
    _Limit("clip.type", _one_of("NONE", "FIXED_VALUE", "LAYER_GAUSSIAN"), "NONE"),
    _Limit("modifier.type", _one_of("NONE", "COPY", "DISCRETIZE", "MULT_NORMAL", "ADD_NORMAL"), "NONE"),
    _Limit("modifier.pdrop", _off, 0.0),
    _Limit("modifier.enable_during_test", lambda value: not value, False),
    _Limit("modifier.copy_last_column", lambda value: not value, False),
    _Limit("remap.remapped_wmax", lambda value: value == 1.0, 1.0),
    _Limit("remap.max_scale_range", lambda value: value == 0.0, 0.0),
    _Limit("remap.max_scale_ref", lambda value: value == 0.0, 0.0),
    _Limit("pre_post.input_range.manage_output_clipping", lambda value: not value, False),
)


def torch_tiles(config: Any, without: Sequence[str] = ()) -> Any:
    """Return an aihwkit inference configuration for compiled tiles as one for its torch tiles, which analognas takes.

    Every part is carried over: mapping, converters, noise, devices, compensation, clipping, remapping, modifier, input
    ranges, attributes that aihwkit does not know. Nothing is left out unasked: a setting that the torch tiles do not
    simulate is refused, unless it is named in ``without``. The configuration that is given stays as it is.

    Args:
        config: an ``InferenceRPUConfig``, or a preset derived from it (the class or an instance). A
            ``TorchInferenceRPUConfig`` is copied.
        without: settings to leave out, as ``part.name``, e.g. ``("forward.w_noise", "forward.ir_drop")``.

    Raises:
        HardwareError: naming what torch tiles do not simulate, and what to write to leave it out; or if it is no
            configuration for inference.
    """
    from aihwkit.simulator.configs import InferenceRPUConfig, TorchInferenceRPUConfig

    given = config() if isinstance(config, type) else config
    name = type(given).__name__
    if not isinstance(given, InferenceRPUConfig):
        raise HardwareError(
            f"{name} is no InferenceRPUConfig: it says nothing of programming and drift (most of aihwkit's presets are "
            "for training on the chip); give one that is, such as StandardHWATrainingPreset."
        )
    if isinstance(given, TorchInferenceRPUConfig):
        return _leave_out(copy.deepcopy(given), without)
    made = TorchInferenceRPUConfig()
    compiled = InferenceRPUConfig()
    if given.tile_class is not compiled.tile_class:
        raise HardwareError(f"{name} has tiles of its own, {given.tile_class.__name__}: torch tiles compute others.")
    for part, value in copy.deepcopy(vars(given)).items():
        if part != "tile_class":
            setattr(made, part, value)
    _leave_out(made, without)
    values = {limit.path: _value(made, limit.path) for limit in _LIMITS}
    refused = {limit.path: values[limit.path] for limit in _LIMITS if not limit.simulated(values[limit.path])}
    if "forward.bm_test_negative_bound" in refused and made.forward.bound_management.name == "NONE":
        del refused["forward.bm_test_negative_bound"]  # nobody looks at it
    if refused:
        named = ", ".join(f"{path} {_shown(value)}" for path, value in refused.items())
        raise HardwareError(
            f"Torch tiles do not simulate {named} of {name}; to do without: "
            f"torch_tiles(config, without={[*without, *refused]})."
        )
    _try(made, name)
    return made


def _leave_out(config: Any, paths: Sequence[str]) -> Any:
    limits = {limit.path: limit for limit in _LIMITS}
    for path in paths:
        if path not in limits:
            raise HardwareError(f"{path!r} cannot be left out; {nearest(path, limits)}")
        *_, name = path.split(".")
        current, value = _value(config, path), limits[path].without
        setattr(_owner(config, path), name, type(current)[value] if isinstance(current, enum.Enum) else value)
    return config


def _try(config: Any, name: str) -> None:
    """Refuse what aihwkit itself refuses, should it be more than is known here."""
    import torch
    from aihwkit.exceptions import AihwkitException
    from aihwkit.nn import AnalogLinear

    try:
        with torch.random.fork_rng(devices=[]):
            AnalogLinear(2, 2, rpu_config=config)
    except (AihwkitException, NotImplementedError) as error:
        raise HardwareError(
            f"Torch tiles do not simulate a setting of {name} (aihwkit says {quoted(error)}): change it there."
        ) from error


def _owner(config: Any, path: str) -> Any:
    owner = config
    for part in path.split(".")[:-1]:
        owner = getattr(owner, part)
    return owner


def _value(config: Any, path: str) -> Any:
    return getattr(_owner(config, path), path.split(".")[-1])


def _shown(value: Any) -> str:
    return value.name if isinstance(value, enum.Enum) else f"{value:g}" if isinstance(value, float) else str(value)
