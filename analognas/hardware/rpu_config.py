"""The chip: aihwkit's RPU configurations, by name or from a function of the user's.

aihwkit and torch are loaded by the functions, not by this module.
"""

from __future__ import annotations

import copy
import dataclasses
import enum
import importlib
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from analognas import files
from analognas.errors import HardwareError, MismatchError

if TYPE_CHECKING:
    from analognas.params import HardwareParams

#: Fields of aihwkit's ``TorchInferenceRPUConfig`` that the preset ``analognas-bench`` sets; all others keep
#: aihwkit's defaults. It is the configuration of AnalogNAS-Bench (arXiv 2506.18495), for phase-change memory.
#: aihwkit's own defaults inject no noise in training and scale each input by its maximum, which no such chip does.
ANALOGNAS_BENCH: Mapping[str, Any] = MappingProxyType(
    {
        # Hardware-aware training: Gaussian noise of 6 % of a tile's largest weight in every forward pass. The
        # type decides: a std_dev without it injects nothing.
        "modifier.type": "ADD_NORMAL",
        "modifier.std_dev": 0.06,
        # Weights in conductances: the largest of a tile at full range, one scale per tile; biases digital.
        "mapping.digital_bias": True,
        "mapping.weight_scaling_omega": 1.0,
        "mapping.weight_scaling_columnwise": False,
        # After every step: clip at two standard deviations of the tile, then use the full range again.
        "clip.type": "LAYER_GAUSSIAN",
        "clip.sigma": 2.0,
        "remap.type": "LAYERWISE_SYMMETRIC",
        # Peripherals: 8-bit converters, noise at the ADC's input in units of the full weight times full input.
        "forward.inp_bound": 1.0,
        "forward.inp_res": 1 / 254,
        "forward.out_bound": 10.0,
        "forward.out_res": 1 / 254,
        "forward.out_noise": 0.04,
        "forward.bound_management": "NONE",
        "forward.noise_management": "NONE",
        # One learned, fixed input range per tile; its first value is 3 standard deviations of the data.
        "pre_post.input_range.enable": True,
        "pre_post.input_range.decay": 0.01,
        "pre_post.input_range.init_from_data": 50,
        "pre_post.input_range.init_std_alpha": 3.0,
        "pre_post.input_range.input_min_percentage": 0.995,
    }
)


def analognas_bench() -> Any:
    """Return AnalogNAS-Bench's configuration (arXiv 2506.18495): ``ANALOGNAS_BENCH`` and a PCM-like device."""
    from aihwkit.simulator.configs import TorchInferenceRPUConfig

    return apply_bench(TorchInferenceRPUConfig())


def apply_bench(config: Any) -> Any:
    """Set the fields of ``ANALOGNAS_BENCH`` and its device in one of aihwkit's inference configurations, return it.

    The device is aihwkit's ``PCMLikeNoiseModel`` (Nandakumar et al., ICECS 2019: programming noise, drift, 1/f
    read noise) with a largest conductance of 25 microsiemens, read with global drift compensation (Joshi et
    al., Nature Communications 11, 2020).
    """
    from aihwkit.inference import GlobalDriftCompensation, PCMLikeNoiseModel

    for path, value in ANALOGNAS_BENCH.items():
        *owners, name = path.split(".")
        owner: Any = config
        for part in owners:
            owner = getattr(owner, part)
        current = getattr(owner, name)
        setattr(owner, name, type(current)[value] if isinstance(current, enum.Enum) else value)
    config.noise_model = PCMLikeNoiseModel(g_max=25.0)
    config.drift_compensation = GlobalDriftCompensation()
    return config


PRESETS: Mapping[str, Callable[[], Any]] = MappingProxyType({"analognas-bench": analognas_bench})


def rpu_config(spec: HardwareParams) -> Any:
    """Return a new aihwkit RPU configuration.

    Args:
        spec: a preset's name or ``module:function``, and the tile size. The tile size replaces the one of the
            configuration, also of the user's own, so that what is counted is what is simulated. The module is
            found as Python finds modules, and in the current folder.

    Raises:
        HardwareError: if there is no such preset, module or function, or the function does not return a
            ``TorchInferenceRPUConfig``.
    """
    name = spec.rpu_config
    config = PRESETS[name]() if name in PRESETS else _users_own(name)
    config.mapping.max_input_size = spec.tile_size
    config.mapping.max_output_size = spec.tile_size
    return config


def _users_own(name: str) -> Any:
    from aihwkit.simulator.configs import TorchInferenceRPUConfig

    module_name, colon, function_name = name.partition(":")
    if not (colon and module_name and function_name):
        known = ", ".join(PRESETS)
        raise HardwareError(f"hardware.rpu_config {name!r} is no preset ({known}) and no module:function.")
    function = _function(name, module_name, function_name)
    try:
        config = function()
    except Exception as error:
        raise HardwareError(
            f"hardware.rpu_config {name!r} raised {type(error).__name__}: {error}; it is called without arguments."
        ) from error
    if not isinstance(config, TorchInferenceRPUConfig):
        # aihwkit's compiled tiles draw noise that no seed controls, so results could not be repeated.
        raise HardwareError(
            f"hardware.rpu_config {name!r} returned {type(config).__name__}; "
            "let it return aihwkit's TorchInferenceRPUConfig, whose noise can be seeded."
        )
    return copy.deepcopy(config)


def _function(name: str, module_name: str, function_name: str) -> Callable[[], Any]:
    here = str(Path.cwd())
    added = here not in sys.path
    if added:  # the user's module lies in the workspace, which an installed command does not search
        sys.path.append(here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise HardwareError(
            f"hardware.rpu_config {name!r}: module {module_name!r} cannot be imported ({error}); "
            "put it into the workspace or install it."
        ) from error
    finally:
        if added:
            sys.path.remove(here)
    function = getattr(module, function_name, None)
    if not callable(function):
        what = "has no" if function is None else "holds no callable"
        raise HardwareError(f"hardware.rpu_config {name!r}: module {module_name!r} {what} {function_name!r}.")
    return function  # type: ignore[no-any-return]


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
        if not all(isinstance(key, str) for key in value):
            raise HardwareError(f"{path} has keys that are no text; it cannot be recorded.")
        return {key: _plain(item, f"{path}.{key}") for key, item in sorted(value.items())}
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


def record(spec: HardwareParams) -> dict[str, Any]:
    """Return what ``hardware.json`` holds: enough to rebuild the configuration and to see that it is the same."""
    description = describe(rpu_config(spec))
    return {
        "rpu_config": spec.rpu_config,
        "tile_size": spec.tile_size,
        "layers": spec.layers,
        "digest": files.digest(description)[:16],
        "description": description,
    }


def from_record(recorded: Mapping[str, Any]) -> tuple[HardwareParams, Any]:
    """Return the hardware of ``record`` and its configuration, rebuilt.

    Raises:
        HardwareError: if the configuration cannot be made here.
        MismatchError: if what is made here is not what was recorded; the message names the first difference.
    """
    from analognas.params import HardwareParams

    spec = HardwareParams(**{name: recorded[name] for name in ("rpu_config", "tile_size", "layers")})
    config = rpu_config(spec)
    difference = _difference(recorded["description"], describe(config), "rpu_config")
    if difference:
        raise MismatchError(
            f"Hardware {spec.rpu_config!r} is no longer what was recorded: {difference}; "
            "use the version of it, and of aihwkit, that the record was made with."
        )
    return spec, config


def _difference(recorded: Any, present: Any, path: str) -> str | None:
    if isinstance(recorded, Mapping) and isinstance(present, Mapping):
        for key in sorted({*recorded, *present}):
            found = _difference(recorded.get(key, "absent"), present.get(key, "absent"), f"{path}.{key}")
            if found:
                return found
        return None
    return None if recorded == present else f"{path} was {recorded!r} and is {present!r}"


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
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        return (
            f"aihwkit's compiled tiles do not run with this torch ({reason}): install the torch version that "
            "analognas pins; the default torch tiles are not affected."
        )
    return None
