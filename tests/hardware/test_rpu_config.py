from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from analognas.errors import HardwareError
from analognas.hardware.recorded import from_record, record
from analognas.hardware.rpu_config import compiled_tiles_problem, describe, digest, rpu_config
from analognas.hardware.tile_shape import TileShape
from analognas.params import HardwareParams

BENCH = HardwareParams()

OWN_CHIP = """
from aihwkit.inference import PCMLikeNoiseModel
from aihwkit.simulator.configs import InferenceRPUConfig, TorchInferenceRPUConfig

CHIP = TorchInferenceRPUConfig()
CHIP.forward.out_noise = 0.01
CHIP.mapping.max_input_size, CHIP.mapping.max_output_size = 128, 100

def chip():
    return CHIP

def compiled():
    return InferenceRPUConfig()

def number():
    return 3

def fails():
    raise RuntimeError("no chip today")

NOT_CALLABLE = 1
"""


@pytest.fixture
def own_chip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a workspace folder with the user's module in it."""
    (tmp_path / "my_chip.py").write_text(OWN_CHIP)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("my_chip", None)


def test_importing_the_package_loads_neither_torch_nor_aihwkit() -> None:
    code = (
        "import sys, analognas.hardware, analognas.params; from analognas.hardware.rpu_config import PRESETS;"
        "sys.exit(any(m in sys.modules for m in ('torch', 'aihwkit')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_bench_is_the_configuration_of_analognas_bench() -> None:
    from aihwkit.inference import GlobalDriftCompensation, PCMLikeNoiseModel
    from aihwkit.simulator.configs import TorchInferenceRPUConfig
    from aihwkit.simulator.parameters.enums import (
        BoundManagementType,
        NoiseManagementType,
        WeightClipType,
        WeightModifierType,
        WeightRemapType,
    )

    config = rpu_config(BENCH)
    assert type(config) is TorchInferenceRPUConfig
    # The type is what switches the noise on.
    assert (config.modifier.type, config.modifier.std_dev) == (WeightModifierType.ADD_NORMAL, 0.06)
    assert config.modifier.rel_to_actual_wmax
    assert config.mapping.digital_bias is True
    assert config.mapping.weight_scaling_omega == 1.0
    assert config.mapping.weight_scaling_columnwise is False
    assert (config.clip.type, config.clip.sigma) == (WeightClipType.LAYER_GAUSSIAN, 2.0)
    assert config.remap.type == WeightRemapType.LAYERWISE_SYMMETRIC
    forward = config.forward
    assert (forward.out_noise, forward.inp_bound, forward.out_bound) == (0.04, 1.0, 10.0)
    assert forward.inp_res == forward.out_res == 1 / 254
    assert forward.bound_management == BoundManagementType.NONE
    assert forward.noise_management == NoiseManagementType.NONE
    assert not forward.is_perfect
    ranges = config.pre_post.input_range
    assert (ranges.enable, ranges.decay, ranges.init_from_data) == (True, 0.01, 50)
    assert (ranges.init_std_alpha, ranges.input_min_percentage) == (3.0, 0.995)
    assert type(config.noise_model) is PCMLikeNoiseModel
    assert config.noise_model.g_max == 25.0
    assert config.noise_model.t_0 == 20.0
    assert type(config.drift_compensation) is GlobalDriftCompensation


def test_tile_size_sets_both_sides_of_a_tile() -> None:
    config = rpu_config(HardwareParams(tile_size=64))
    assert (config.mapping.max_input_size, config.mapping.max_output_size) == (64, 64)


def test_every_call_gives_a_configuration_of_its_own() -> None:
    first = rpu_config(BENCH)
    first.modifier.std_dev = 1.0
    assert rpu_config(BENCH).modifier.std_dev == 0.06


def test_users_own_chip_is_found_in_the_workspace_and_not_changed(own_chip: Path) -> None:
    path = list(sys.path)
    config = rpu_config(HardwareParams(rpu_config="my_chip:chip", tile_size=64))
    assert config.forward.out_noise == 0.01
    assert config.mapping.max_input_size == 64
    assert sys.modules["my_chip"].CHIP.mapping.max_input_size == 128
    assert sys.path == path


@pytest.mark.parametrize(("rows", "columns"), [(128, 128), (128, 64), (512, 0), (0, 0), (-1, 32), (4, 9_999)])
def test_the_tiles_of_ones_own_chip_are_its_own(own_chip: Path, rows: int, columns: int) -> None:
    spec = HardwareParams(rpu_config="my_chip:chip")
    mapping = rpu_config(spec).mapping  # imports the module
    assert (mapping.max_input_size, mapping.max_output_size) == (128, 100)
    chip = sys.modules["my_chip"].CHIP
    chip.mapping.max_input_size, chip.mapping.max_output_size = rows, columns
    mapping = rpu_config(spec).mapping
    assert (mapping.max_input_size, mapping.max_output_size) == (rows, columns)
    assert spec.tile_size is None
    assert spec.tile_shape == TileShape(max(0, rows), columns)
    assert spec.told() == {"rpu_config": "my_chip:chip", "tile_size": spec.tile_shape.plain(), "layers": "fast"}
    recorded = json.loads(json.dumps(record(spec)))
    assert recorded["tile_size"] == spec.tile_shape.plain()
    assert from_record(recorded)[0] == spec
    # What was asked for in its place is recorded as well.
    asked = HardwareParams(rpu_config="my_chip:chip", tile_size=(32, 16))
    assert from_record(record(asked))[0] == asked
    assert record(asked)["description"]["mapping"]["max_output_size"] == 16


def test_a_size_that_is_no_whole_number_is_refused(own_chip: Path) -> None:
    spec = HardwareParams(rpu_config="my_chip:chip")
    rpu_config(spec)
    sys.modules["my_chip"].CHIP.mapping.max_output_size = 64.0
    with pytest.raises(HardwareError, match=r"'my_chip:chip' has mapping.max_output_size 64.0: make it a whole number"):
        rpu_config(spec)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("analognas-bank", ["unknown hardware.rpu_config", "did you mean 'analognas-bench'", "module:function"]),
        ("my_chip:", ["names no module", "module:name"]),
        ("my_chop:chip", ["my_chop", "cannot be imported"]),
        ("my_chip:chop", ["my_chip has no chop"]),
        ("my_chip:NOT_CALLABLE", ["is no callable but a"]),
        ("my_chip:number", ["returned int", "TorchInferenceRPUConfig"]),
        ("my_chip:fails", ["RuntimeError", "no chip today"]),
        # Compiled tiles draw noise that no seed controls.
        (
            "my_chip:compiled",
            ["returned InferenceRPUConfig", "TorchInferenceRPUConfig", "analognas.hardware.torch_tiles"],
        ),
    ],
)
def test_a_wrong_chip_is_one_sentence(own_chip: Path, name: str, words: list[str]) -> None:
    with pytest.raises(HardwareError) as error:
        rpu_config(HardwareParams(rpu_config=name))
    assert "\n" not in str(error.value)
    assert all(word in str(error.value) for word in [*words, name])


def test_description_is_complete_json_and_stable() -> None:
    description = describe(rpu_config(BENCH))
    text = json.dumps(description, allow_nan=False)
    assert " at 0x" not in text
    assert describe(rpu_config(BENCH)) == description
    assert description["modifier"]["type"] == "WeightModifierType.ADD_NORMAL"
    assert description["modifier"]["std_dev"] == 0.06
    assert description["noise_model"]["class"].endswith("PCMLikeNoiseModel")
    assert description["noise_model"]["g_converter"]["g_max"] == 25.0
    assert description["drift_compensation"]["class"].endswith("GlobalDriftCompensation")
    assert description["tile_class"].endswith("TorchInferenceTile")
    assert description["mapping"]["max_input_size"] == 256


def test_description_is_the_same_in_another_process() -> None:
    code = (
        "from analognas.hardware.rpu_config import digest, rpu_config; from analognas.params import HardwareParams;"
        "print(digest(rpu_config(HardwareParams())))"
    )
    there = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert there.split()[-1] == digest(rpu_config(BENCH))


def test_every_change_changes_the_digest() -> None:
    from aihwkit.inference import PCMLikeNoiseModel
    from aihwkit.simulator.parameters.enums import WeightModifierType

    def noise(config: Any) -> None:
        config.noise_model = PCMLikeNoiseModel(g_max=25.0, drift_scale=0.5)

    def compensation(config: Any) -> None:
        config.drift_compensation = None

    def modifier(config: Any) -> None:
        config.modifier.type = WeightModifierType.NONE

    def mistyped(config: Any) -> None:
        config.forward.out_niose = 0.1

    def infinite(config: Any) -> None:
        config.forward.out_bound = float("inf")

    digests = {digest(rpu_config(BENCH)), digest(rpu_config(HardwareParams(tile_size=64)))}
    for change in (noise, compensation, modifier, mistyped, infinite):
        config = rpu_config(BENCH)
        change(config)
        json.dumps(describe(config), allow_nan=False)
        digests.add(digest(config))
    assert len(digests) == 7


@pytest.mark.parametrize("thing", [lambda: 0, {(1, 2): 3}, {1: 2, "1": 3}, object()])
def test_what_cannot_be_recorded_is_refused(thing: Any) -> None:
    config = rpu_config(BENCH)
    config.noise_model.curve = thing
    with pytest.raises(HardwareError, match=r"rpu_config\.noise_model\.curve"):
        describe(config)


def test_arrays_are_described_by_their_values() -> None:
    import numpy as np
    import torch

    config = rpu_config(BENCH)
    config.noise_model.curve = {"a": np.array([1.5, 2.0]), "b": torch.tensor([1.0]), "c": (1, None)}
    assert describe(config)["noise_model"]["curve"] == {"a": [1.5, 2.0], "b": [1.0], "c": [1, None]}


def test_record_rebuilds_the_hardware(own_chip: Path) -> None:
    spec = HardwareParams(rpu_config="my_chip:chip", tile_size=100)
    recorded = json.loads(json.dumps(record(spec)))
    rebuilt, config = from_record(recorded)
    assert rebuilt == spec
    assert describe(config) == recorded["description"]
    assert recorded["digest"] == digest(config)


def test_problem_of_compiled_tiles_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import aihwkit.nn

    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("weights must be a CPU tensor\nand more lines")

    monkeypatch.setattr(aihwkit.nn, "AnalogLinear", refuse)
    problem = compiled_tiles_problem()
    assert problem is not None
    assert "weights must be a CPU tensor" in problem
    assert "\n" not in problem


def test_compiled_tiles_of_the_pinned_versions_run() -> None:
    assert compiled_tiles_problem() is None
