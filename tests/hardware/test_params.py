from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from analognas.errors import HardwareError
from analognas.hardware.presets import PRESETS, Preset
from analognas.hardware.rpu_config import rpu_config, shape_of
from analognas.hardware.tile_shape import TileShape
from analognas.params import HardwareParams


def test_the_tiles_of_a_preset_are_known_without_aihwkit() -> None:
    code = (
        "import sys; from analognas.params import HardwareParams;"
        "assert str(HardwareParams(rpu_config='analognas-512').tile_shape) == '512 x 512';"
        "assert str(HardwareParams(rpu_config='my:chip', tile_size=[64, 8]).tile_shape) == '64 x 8';"
        "sys.exit(any(m in sys.modules for m in ('torch', 'aihwkit')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_preset_may_leave_its_tiles_to_its_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    def make() -> Any:
        made = PRESETS["analognas-bench"].make()
        made.mapping.max_input_size, made.mapping.max_output_size = 96, 0
        return made

    chips = {"mute": Preset(make, None, "", ""), "said": Preset(make, (64, 32), "", "")}
    monkeypatch.setattr("analognas.plugins.target", lambda _, name: f"chips:{name}")
    monkeypatch.setattr("analognas.plugins.imported", lambda name: chips[name.removeprefix("chips:")])
    for name, shape in (("mute", TileShape(96, 0)), ("said", TileShape(64, 32))):
        spec = HardwareParams(rpu_config=name)
        assert spec.tile_shape == shape_of(rpu_config(spec), name) == shape
    assert (chips["mute"].to_dict()["tile_size"], chips["said"].to_dict()["tile_size"]) == (None, [64, 32])


def test_a_preset_that_is_not_there_is_refused_at_once_and_by_name() -> None:
    with pytest.raises(HardwareError, match="did you mean 'analognas-bench'"):
        HardwareParams(rpu_config="analognas-bank")
    assert HardwareParams(rpu_config="not_there:chip").rpu_config == "not_there:chip"  # imported when it is made


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (None, None), (64, 64), ("64", 64), (64.0, 64), ([64, 64], 64), ((128, 64), (128, 64)), ([512, 0], (512, 0)),
        ([0, 0], (0, 0)), (8, 8), (4096, 4096),
    ],
)  # fmt: skip
def test_one_number_stands_for_both_sides_and_none_for_a_side_that_is_not_split(given: Any, stored: Any) -> None:
    assert HardwareParams(tile_size=given).tile_size == stored


@pytest.mark.parametrize("given", [0, 7, 4097, True, 64.5, "wide", [64], [64, 64, 64], [64, True], [64, 7], [64, None]])
def test_what_is_no_size_of_a_tile_is_refused_with_what_is(given: Any) -> None:
    with pytest.raises(ValidationError, match=r"one number of 8 to 4096 for rows and columns, or \[rows, columns\]"):
        HardwareParams(tile_size=given)


@pytest.mark.parametrize(
    "given",
    [{"dac_bits": 1}, {"adc_bits": 25}, {"out_noise": -0.1}, {"g_max": 0}, {"drift_scale": -1}, {"layers": "own"}],
)
def test_what_no_chip_can_be_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(given))):
        HardwareParams(**given)


def test_people_are_told_what_is_set_and_the_tiles_in_any_case() -> None:
    assert HardwareParams().told() == {"rpu_config": "analognas-bench", "tile_size": 256, "layers": "fast"}
    told = HardwareParams(rpu_config="analognas-512", tile_size=(64, 0), adc_bits=6).told()
    assert told == {"rpu_config": "analognas-512", "tile_size": [64, 0], "layers": "fast", "adc_bits": 6}
