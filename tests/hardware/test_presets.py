"""Every preset is what its source says, works, and is covered as far as it says."""

from __future__ import annotations

import re
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from analognas.errors import AnalogNASWarning, HardwareError
from analognas.hardware.analog import convert
from analognas.hardware.devices import Devices
from analognas.hardware.layers import uncovered
from analognas.hardware.presets import PRESETS
from analognas.hardware.rpu_config import OVERRIDES, describe, rpu_config, shape_of
from analognas.hardware.tile_shape import TileShape
from analognas.params import HardwareParams
from analognas.stages.identity import hardware_id
from analognas.training import hardware_aware

PAGE = Path(__file__).parents[2] / "docs" / "hardware.md"


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 8 * 8, 10)
    )


def config(name: str = "analognas-bench", **given: Any) -> Any:
    return rpu_config(HardwareParams(rpu_config=name, **given))


@pytest.mark.parametrize("name", PRESETS)
def test_a_network_is_trained_programmed_and_drifted_on_every_preset(name: str) -> None:
    torch.manual_seed(1)
    x, y = torch.randn(32, 1, 8, 8), torch.arange(32) % 10
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = convert(network(), config(name))
        hardware_aware.train(model, x, y, epochs=1, batch_size=16, learning_rate=0.02, seed=0)
        devices = Devices(model)
        outputs = []
        for seconds in (1.0, 86_400.0, 2_592_000.0):
            devices.program()
            devices.drift(seconds)
            with torch.no_grad():
                outputs.append(model(x))
    assert all(torch.isfinite(output).all() for output in outputs)
    assert 0 < (outputs[0] - outputs[2]).abs().mean() < 10
    # It is covered as far as it says, and what is not is told exactly once.
    preset = PRESETS[name]
    reasons = {uncovered(layer.analog_module) for layer in model.modules() if hasattr(layer, "analog_module")}
    assert reasons == {preset.slow or None}
    assert devices.together is not (preset.apart or bool(preset.slow))
    assert [one.category for one in caught] == ([AnalogNASWarning] if preset.slow else [])


def test_ids_of_presets_differ_and_the_default_is_what_it_was() -> None:
    ids = {hardware_id(HardwareParams(rpu_config=name)) for name in PRESETS}
    assert len(ids) == len(PRESETS)
    # With every aihwkit that we pin: a winner that names this chip loads under each of them.
    assert hardware_id(HardwareParams()) == "analognas-bench-26c8ee0afbdd"


def test_the_tile_size_is_the_presets_unless_it_is_given() -> None:
    sizes = {name: HardwareParams(rpu_config=name).tile_shape for name in PRESETS}
    assert sizes == {name: preset.tiles for name, preset in PRESETS.items()}
    assert (sizes["analognas"], sizes["analognas-512"]) == (TileShape(256, 256), TileShape(512, 512))
    for name, shape in sizes.items():
        assert shape_of(config(name), name) == shape
    assert HardwareParams(rpu_config="analognas-512", tile_size=64).tile_shape == TileShape(64, 64)
    assert HardwareParams(rpu_config="analognas-512", tile_size=(64, 0)).tile_shape == TileShape(64, 0)
    # What a chip of one's own is made from has the tiles of the preset, too.
    assert shape_of(PRESETS["analognas-bench"].make(), "") == TileShape(256, 256)


def test_analognas_is_the_published_code_with_noise() -> None:
    from aihwkit.simulator.presets import PresetIOParameters

    chip, published = config("analognas"), PresetIOParameters()
    assert (chip.forward.inp_res, chip.forward.out_res) == (1 / 256, 1 / 256)
    for field in ("inp_bound", "out_bound", "out_noise", "noise_management", "w_noise", "inp_sto_round"):
        assert getattr(chip.forward, field) == getattr(published, field), field
    assert chip.forward.bound_management.name == "NONE"
    assert (chip.clip.type.name, chip.clip.fixed_value) == ("FIXED_VALUE", 1.0)
    assert (chip.modifier.type.name, chip.modifier.std_dev) == ("ADD_NORMAL", 0.05)
    assert chip.mapping.learn_out_scaling
    assert chip.noise_model.g_max == 25.0
    assert not chip.pre_post.input_range.enable


def test_aihwkit_standard_differs_from_aihwkits_only_in_what_torch_tiles_cannot_do() -> None:
    from aihwkit.simulator.presets import StandardHWATrainingPreset

    ours, theirs = describe(config("aihwkit-standard")), describe(StandardHWATrainingPreset())
    assert ours["forward"].pop("class") != ""
    theirs["forward"].pop("class")
    changed = {key for key, value in theirs["forward"].items() if ours["forward"][key] != value}
    assert changed == {"w_noise", "w_noise_type", "ir_drop", "noise_management"}
    for part in ("clip", "remap", "pre_post", "modifier", "noise_model", "drift_compensation"):
        assert ours[part] == theirs[part], part
    sizes = {"max_input_size", "max_output_size"}
    assert {key for key, value in theirs["mapping"].items() if ours["mapping"][key] != value} <= sizes
    assert ours["mapping"]["max_input_size"] == theirs["mapping"]["max_input_size"] == 512


def test_devices_of_hermes_and_reram() -> None:
    hermes, reram = config("pcm-hermes"), config("reram-cmo")
    assert (hermes.noise_model.num_devices, hermes.noise_model.g_max) == (2, 20.7)
    assert (reram.noise_model.g_min, reram.noise_model.g_max, reram.noise_model.acceptance_range) == (9.0, 88.19, 2)
    assert reram.noise_model.coeff_dict.keys() >= {2}  # otherwise aihwkit takes 0.2 % without a word
    assert reram.drift_compensation is None


def test_bits_and_noise_replace_those_of_the_preset() -> None:
    chip = config(dac_bits=6, adc_bits=9, out_noise=0.1, weight_noise=0.02)
    assert (chip.forward.inp_res, chip.forward.out_res) == (1 / 62, 1 / 510)
    assert (chip.forward.out_noise, chip.modifier.std_dev) == (0.1, 0.02)
    assert chip.modifier.type.name == "ADD_NORMAL"
    assert config(weight_noise=0).modifier.type.name == "NONE"
    assert config("aihwkit-standard", weight_noise=0.1).modifier.type.name == "ADD_NORMAL"  # it has none itself


@pytest.mark.parametrize("name", ["analognas-bench", "pcm-hermes", "reram-cmo"])
def test_devices_are_as_if_they_had_been_made_like_that(name: str) -> None:
    from aihwkit.inference import PCMLikeNoiseModel, ReRamCMONoiseModel
    from aihwkit.inference.noise.hermes import HermesNoiseModel

    given = {"g_max": 15.0, "prog_noise_scale": 2.0, "read_noise_scale": 0.5, "drift_scale": 0.0}
    made = {
        "analognas-bench": lambda: PCMLikeNoiseModel(**given),
        "pcm-hermes": lambda: HermesNoiseModel(num_devices=2, **given),
        "reram-cmo": lambda: ReRamCMONoiseModel(g_min=9.0, acceptance_range=2, **given),
    }[name]()
    expected = config()
    expected.noise_model = made
    assert describe(config(name, **given))["noise_model"] == describe(expected)["noise_model"]


def test_what_replaces_a_value_is_part_of_the_id_only_where_it_changes_something() -> None:
    values = {
        "dac_bits": 6, "adc_bits": 6, "out_noise": 0.1, "weight_noise": 0.1, "g_max": 20.0,
        "prog_noise_scale": 2.0, "read_noise_scale": 2.0, "drift_scale": 2.0,
    }  # fmt: skip
    assert set(values) == set(OVERRIDES)
    ids = {hardware_id(HardwareParams(**{name: value})) for name, value in values.items()}
    assert len(ids | {hardware_id(HardwareParams())}) == len(values) + 1
    assert hardware_id(HardwareParams(dac_bits=8, adc_bits=8, out_noise=0.04)) == hardware_id(HardwareParams())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rpu_config": "reram-cmo", "g_max": 5.0}, "g_max is 5: .* above 9 uS"),
        ({"rpu_config": "pcm-hermes", "g_max": 25.0}, "g_max is 25: .* at most 20.7 uS"),
        ({"rpu_config": "tests_own:chip", "drift_scale": 2.0}, "drift_scale is set, .* has no such scale: leave it"),
        ({"rpu_config": "tests_own:chip", "g_max": 2.0}, "g_max is set, .* has none: leave it null"),
    ],
)
def test_devices_without_such_a_property_are_refused(given: dict[str, Any], words: str, monkeypatch: Any) -> None:
    import types

    def chip() -> Any:
        made = config()
        made.noise_model = object()
        return made

    module = types.ModuleType("tests_own")
    module.chip = chip  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tests_own", module)
    with pytest.raises(HardwareError, match=words) as error:
        rpu_config(HardwareParams(**given))
    assert "\n" not in str(error.value)


def test_the_chip_of_the_page_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    module, carried_over = pages
    (tmp_path / "mychip.py").write_text(module)
    (tmp_path / "standardchip.py").write_text(carried_over)
    monkeypatch.chdir(tmp_path)
    assert HardwareParams(rpu_config="mychip:chip").tile_shape == TileShape(256, 256)
    standard, preset = describe(config("standardchip:chip")), describe(config("aihwkit-standard"))
    assert (standard["mapping"].pop("max_output_size"), preset["mapping"].pop("max_output_size")) == (0, 512)
    assert standard["forward"].pop("noise_management").endswith("CONSTANT")
    assert preset["forward"].pop("noise_management").endswith("NONE")
    assert standard == preset
    assert config("mychip:chip").noise_model.drift_scale == 1.5
    assert config("mychip:chip", drift_scale=0.0).noise_model.drift_scale == 0.0


def test_the_page_tells_every_preset_as_it_is() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| (\d+) \| (.*) \|$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert {name: int(size) for name, size, _ in rows} == {name: one.tile_size for name, one in PRESETS.items()}
    assert all(isinstance(one.tile_size, int) for one in PRESETS.values())
    for name, _, rest in rows:
        assert rest.split(" | ")[-2:] == [
            "aihwkit" if PRESETS[name].slow else "fast",
            "aihwkit" if PRESETS[name].apart or PRESETS[name].slow else "at once",
        ], name
        described = PRESETS[name].to_dict()
        assert rest.split(" | ")[-2:] == [described["layers"], described["devices"]], name
