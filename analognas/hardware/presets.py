"""Chips by name: the RPU configurations that ship with the library or come with a package, each with its source.

aihwkit and torch are loaded by the functions, not by this module.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from analognas.errors import HardwareError
from analognas.hardware.carrying_over import torch_tiles
from analognas.hardware.tile_shape import TileShape, TileSize
from analognas.plugins import resolve

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
        "mapping.max_input_size": 256,
        "mapping.max_output_size": 256,
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

#: Fields that the preset ``analognas`` sets: ``create_rpu_config`` of the published code (github.com/IBM/analog-nas).
ANALOGNAS: Mapping[str, Any] = MappingProxyType(
    {
        # The code sets a noise of 5.0 and no type, which injects none; the paper trains with noise: 5 % it is here.
        "modifier.type": "ADD_NORMAL",
        "modifier.std_dev": 0.05,
        "modifier.rel_to_actual_wmax": True,
        "mapping.max_input_size": 256,
        "mapping.max_output_size": 256,  # "- 1 if digital_bias else 0" in the code
        "mapping.digital_bias": True,
        "mapping.weight_scaling_omega": 1.0,  # "= 0.4", then "= True"
        "mapping.learn_out_scaling": True,
        "clip.type": "FIXED_VALUE",
        "clip.fixed_value": 1.0,
        # aihwkit's PresetIOParameters with other converters; each input is scaled by its largest value.
        "forward.inp_res": 1 / 256,
        "forward.out_bound": 20.0,
        "forward.out_res": 1 / 256,
        "forward.out_noise": 0.1,
        "forward.bound_management": "NONE",
        "forward.noise_management": "ABS_MAX",
    }
)


@dataclass(frozen=True)
class Preset:
    """A chip: how its configuration is made, and what is known of it before that.

    ``tile_size`` is the number of rows and columns of a tile, or (rows, columns), 0 for a side that is not split; it
    is set in the configuration that ``make`` returns. None: what ``make`` returns says it. ``slow`` names the setting
    that the fast layers do not compute, so that aihwkit's own layers do; empty: they compute all. ``apart`` says that
    aihwkit programs and drifts its devices, tile by tile, as it does with its own layers; otherwise those of all tiles
    are programmed and drifted at once.
    """

    make: Callable[[], Any]
    tile_size: TileSize | None
    source: str
    note: str
    slow: str = ""
    apart: bool = False

    @property
    def tiles(self) -> TileShape | None:
        """Rows and columns of a tile, None if only the configuration says them."""
        return None if self.tile_size is None else TileShape.of(self.tile_size)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable description; ``tile_size`` is null if only the configuration says it."""
        return {
            "tile_size": None if self.tiles is None else self.tiles.plain(),
            "source": self.source,
            "note": self.note,
            "layers": "aihwkit" if self.slow else "fast",
            "slow": self.slow or None,
            "devices": "aihwkit" if self.apart or self.slow else "at once",
        }


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

    set_fields(config, ANALOGNAS_BENCH)
    config.noise_model = PCMLikeNoiseModel(g_max=25.0)
    config.drift_compensation = GlobalDriftCompensation()
    return config


def analognas() -> Any:
    """Return the configuration of AnalogNAS (arXiv 2305.10459) as its published code has it: ``ANALOGNAS``.

    PCM-like device of 25 microsiemens, global drift compensation. The code splits layers into tiles of 256 rows
    and 255 columns; the paper's tile counts fit 512 x 512, which is ``analognas-512``.
    """
    from aihwkit.inference import GlobalDriftCompensation, PCMLikeNoiseModel
    from aihwkit.simulator.configs import TorchInferenceRPUConfig

    config = set_fields(TorchInferenceRPUConfig(), ANALOGNAS)
    config.noise_model = PCMLikeNoiseModel(g_max=25.0)
    config.drift_compensation = GlobalDriftCompensation()
    return config


def aihwkit_standard() -> Any:
    """Return aihwkit's ``StandardHWATrainingPreset`` (Rasch et al., Nature Communications 14, 2023) on torch tiles.

    It is made for aihwkit's compiled tiles, whose noise no seed controls. The torch tiles simulate neither its
    short-term read noise (1.75 %) nor its IR drop, so both are off. Its constant noise management divides by 1 and
    is written as none. It injects no weight noise in training; ``hardware.weight_noise`` does.
    """
    from aihwkit.simulator.parameters.enums import NoiseManagementType
    from aihwkit.simulator.presets import StandardHWATrainingPreset

    config = torch_tiles(StandardHWATrainingPreset(), ("forward.w_noise", "forward.w_noise_type", "forward.ir_drop"))
    forward = config.forward
    assert forward.noise_management == NoiseManagementType.CONSTANT
    assert forward.nm_thres == 1.0
    forward.noise_management = NoiseManagementType.NONE
    return config


def pcm_hermes() -> Any:
    """Return AnalogNAS-Bench's training and peripherals with the devices of IBM's HERMES project chip.

    aihwkit's ``HermesNoiseModel`` was fitted to that chip's phase-change memory (Le Gallo et al., Nature
    Electronics 6, 2023; Khaddam-Aljameh et al., JSSC 57, 2022), here with two devices per weight and sign, as on
    the chip: 20.7 microsiemens. Its cores have 256 x 256 unit cells and 8-bit converters.
    """
    from aihwkit.inference.noise.hermes import HermesNoiseModel

    config = analognas_bench()
    config.noise_model = HermesNoiseModel(num_devices=2)
    return config


def reram_cmo() -> Any:
    """Return AnalogNAS-Bench's training and peripherals with filamentary CMO/HfOx ReRAM devices.

    aihwkit's ``ReRamCMONoiseModel`` (Falcone et al., IBM Research Europe, Zurich), with the conductances of
    aihwkit's example, 9 to 88.19 microsiemens, programmed to within 2 %. One device per weight: what all devices
    lose alike moves all weights, which a common factor does not mend, so there is no drift compensation.
    """
    from aihwkit.inference import ReRamCMONoiseModel

    config = analognas_bench()
    config.noise_model = ReRamCMONoiseModel(g_max=88.19, g_min=9.0, acceptance_range=2)
    config.drift_compensation = None
    return config


_PAPER = "AnalogNAS, arXiv 2305.10459, and its code, github.com/IBM/analog-nas"
_ABS_MAX = "forward.noise_management ABS_MAX"

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "analognas-bench": Preset(
            analognas_bench,
            256,
            "AnalogNAS-Bench, arXiv 2506.18495",
            "PCM-like, 25 uS; 8-bit converters, learned input ranges",
        ),
        "analognas": Preset(
            analognas, 256, _PAPER, "PCM-like, 25 uS; 8-bit converters, inputs scaled one by one", slow=_ABS_MAX
        ),
        "analognas-512": Preset(
            analognas, 512, _PAPER, "the same on tiles of 512, which its tile counts fit", slow=_ABS_MAX
        ),
        "aihwkit-standard": Preset(
            aihwkit_standard,
            512,
            "aihwkit's StandardHWATrainingPreset, arXiv 2302.08469",
            "PCM-like, 25 uS; 8-bit converters, learned output scales; without its IR drop and read noise",
        ),
        "pcm-hermes": Preset(
            pcm_hermes,
            256,
            "aihwkit's HermesNoiseModel, doi 10.1038/s41928-023-01010-1",
            "devices of IBM's HERMES project chip, 20.7 uS; peripherals of analognas-bench",
            apart=True,
        ),
        "reram-cmo": Preset(
            reram_cmo,
            256,
            "aihwkit's ReRamCMONoiseModel (Falcone et al.)",
            "CMO/HfOx ReRAM, 9 to 88 uS, one device a weight; peripherals of analognas-bench",
            apart=True,
        ),
    }
)


#: What names a chip.
_NAMED = "hardware.rpu_config"


def preset(name: str) -> Preset:
    """Return the preset of this name, the library's or an installed package's.

    Raises:
        HardwareError: if there is none, or the package's cannot be imported or is no ``Preset``.
        InputError: if two packages use the name.
    """
    if name in PRESETS:
        return PRESETS[name]
    of_a_package: Preset = resolve("chip", name, dict.fromkeys(PRESETS, ""), HardwareError, _problem, what=_NAMED)
    return of_a_package


def _problem(loaded: Any) -> str | None:
    if isinstance(loaded, Preset):
        return None
    return f"is a {type(loaded).__name__}: let its entry point name an analognas.hardware.presets.Preset."


def said_tiles(name: str) -> TileShape | None:
    """Return the rows and columns of a tile that a preset says; None for ``module:function`` and where it says none.

    Raises:
        InputError: if there is no such preset; see ``preset``.
    """
    return None if ":" in name else preset(name).tiles


def set_fields(config: Any, values: Mapping[str, Any]) -> Any:
    """Set fields of a configuration, ``part.name`` by value, enums by their names; return it."""
    for path, value in values.items():
        *owners, name = path.split(".")
        owner: Any = config
        for part in owners:
            owner = getattr(owner, part)
        current = getattr(owner, name)
        setattr(owner, name, type(current)[value] if isinstance(current, enum.Enum) else value)
    return config
