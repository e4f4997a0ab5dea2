from __future__ import annotations

from typing import Any

import pytest
import torch
from aihwkit.inference import PCMLikeNoiseModel
from aihwkit.inference.compensation.drift import PerColumnDriftCompensation
from aihwkit.simulator import presets
from aihwkit.simulator.configs import InferenceRPUConfig, SingleRPUConfig, TorchInferenceRPUConfig
from aihwkit.simulator.parameters.enums import (
    BoundManagementType,
    NoiseManagementType,
    WeightClipType,
    WeightModifierType,
)
from torch import nn

from analognas.errors import HardwareError
from analognas.hardware import convert, torch_tiles
from analognas.hardware.carrying_over import _LIMITS
from analognas.hardware.presets import analognas_bench
from analognas.hardware.rpu_config import describe

STANDARD = ("forward.w_noise", "forward.w_noise_type", "forward.ir_drop")


def compiled() -> InferenceRPUConfig:
    """Return a configuration for compiled tiles of which every part is unusual."""
    config = InferenceRPUConfig()
    config.mapping.max_input_size, config.mapping.max_output_size = 100, 0
    config.forward.out_noise, config.forward.inp_noise = 0.03, 0.01
    config.noise_model = PCMLikeNoiseModel(g_max=17.0)
    config.drift_compensation = PerColumnDriftCompensation()
    config.modifier.type, config.modifier.std_dev = WeightModifierType.ADD_NORMAL, 0.07
    config.clip.sigma = 1.5
    config.pre_post.input_range.enable = True
    config.runtime.offload_input = True
    config.forward.mistyped = 3
    return config


def test_everything_is_carried_over_and_the_original_stays() -> None:
    given = compiled()
    before = describe(given)
    made = torch_tiles(given)
    assert type(made) is TorchInferenceRPUConfig
    after = describe(made)
    assert {key for key in {*before, *after} if before.get(key) != after.get(key)} == {
        "class", "tile_class", "simulator_tile_class",
    }  # fmt: skip
    made.forward.out_noise = 9.0
    made.noise_model.g_max = 1.0
    assert describe(given) == before
    torch.manual_seed(0)
    model = convert(nn.Sequential(nn.Linear(150, 4)), torch_tiles(given), "aihwkit").eval()
    model.program_analog_weights()
    model.drift_analog_weights(1e6)
    assert torch.isfinite(model(torch.randn(2, 150))).all()


def test_a_configuration_for_torch_tiles_is_copied() -> None:
    given = analognas_bench()
    made = torch_tiles(given)
    assert made is not given
    assert describe(made) == describe(given)
    assert type(torch_tiles(presets.FloatingPointPreset)) is presets.FloatingPointPreset


def test_the_standard_preset_is_refused_by_name_and_taken_without_what_is_named() -> None:
    with pytest.raises(HardwareError) as error:
        torch_tiles(presets.StandardHWATrainingPreset)
    assert "\n" not in str(error.value)
    assert "forward.w_noise 0.0175, forward.w_noise_type PCM_READ, forward.ir_drop 1 of Standard" in str(error.value)
    assert f"torch_tiles(config, without={list(STANDARD)})" in str(error.value)
    for given in (presets.StandardHWATrainingPreset, presets.StandardHWATrainingPreset()):
        made = torch_tiles(given, without=STANDARD)
        assert (made.mapping.max_input_size, made.mapping.max_output_size) == (512, 0)
        assert (made.forward.w_noise, made.forward.ir_drop, made.forward.out_noise) == (0.0, 0.0, 0.04)


SETTINGS: dict[str, Any] = {
    "forward.bound_management": BoundManagementType.SHIFT,
    "forward.noise_management": NoiseManagementType.AVERAGE_ABS_MAX,
    "forward.w_noise": 0.01,
    "forward.ir_drop": 1.0,
    "forward.out_nonlinearity": 0.1,
    "forward.slope_calibration": 0.1,
    "forward.v_offset_std": 0.1,
    "forward.v_offset_w_min": 0.1,
    "forward.r_series": 0.1,
    "forward.w_read_asymmetry_dtod": 0.1,
    "backward.is_perfect": False,
    "mapping.digital_bias": False,
    "clip.type": WeightClipType.AVERAGE_CHANNEL_MAX,
    "modifier.type": WeightModifierType.DROP_CONNECT,
    "modifier.pdrop": 0.1,
    "modifier.enable_during_test": True,
    "modifier.copy_last_column": True,
    "remap.remapped_wmax": 0.5,
    "remap.max_scale_range": 1.0,
    "remap.max_scale_ref": 1.0,
    "pre_post.input_range.manage_output_clipping": True,
}


@pytest.mark.parametrize("path", SETTINGS)
def test_what_torch_tiles_do_not_simulate_is_refused_by_name(path: str) -> None:
    config = compiled()
    *parts, name = path.split(".")
    owner: Any = config
    for part in parts:
        owner = getattr(owner, part)
    setattr(owner, name, SETTINGS[path])
    with pytest.raises(HardwareError, match=f"do not simulate {path} .* of InferenceRPUConfig; to do without"):
        torch_tiles(config)
    made = torch_tiles(config, without=[path])
    torch.manual_seed(0)
    model = convert(nn.Sequential(nn.Linear(5, 4)), made, "aihwkit").train()
    model(torch.randn(3, 5)).sum().backward()


def test_all_limits_are_tried() -> None:
    own = {"forward.mv_type", "forward.w_noise_type", "forward.bm_test_negative_bound"}
    assert {limit.path for limit in _LIMITS} == {*SETTINGS, *own}


def test_a_bound_that_nobody_tests_is_no_reason() -> None:
    config = compiled()
    config.forward.bm_test_negative_bound = False
    with pytest.raises(HardwareError, match=r"forward\.bm_test_negative_bound False"):
        torch_tiles(config)
    config.forward.bound_management = BoundManagementType.NONE
    assert torch_tiles(config).forward.bm_test_negative_bound is False


@pytest.mark.parametrize("given", [presets.ReRamESPreset, SingleRPUConfig(), 3], ids=str)
def test_what_is_for_training_on_the_chip_is_refused(given: Any) -> None:
    with pytest.raises(HardwareError, match=r"is no InferenceRPUConfig: .*StandardHWATrainingPreset"):
        torch_tiles(given)


def test_only_what_torch_tiles_lack_can_be_left_out() -> None:
    with pytest.raises(HardwareError, match=r"'forward.irdrop' cannot be left out; did you mean 'forward.ir_drop'"):
        torch_tiles(compiled(), without=["forward.irdrop"])


def test_tiles_of_ones_own_are_refused() -> None:
    config = compiled()
    config.tile_class = type("OwnTile", (config.tile_class,), {})
    with pytest.raises(HardwareError, match="tiles of its own, OwnTile"):
        torch_tiles(config)
