"""Nothing of a configuration of the user's own is replaced: every leaf of it is found wherever it must be."""

from __future__ import annotations

import copy
import enum
import sys
import types
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from aihwkit.simulator.configs import TorchInferenceRPUConfig
from torch import nn

from analognas.errors import HardwareError
from analognas.hardware.analog import convert, tiles
from analognas.hardware.presets import analognas_bench
from analognas.hardware.recorded import from_record, record
from analognas.hardware.rpu_config import describe
from analognas.params import HardwareParams
from analognas.stages.identity import hardware_id

Path = tuple[str | int, ...]


def chip() -> TorchInferenceRPUConfig:
    """Return a chip of the user's own, with tiles that are not square."""
    config = analognas_bench()
    config.mapping.max_input_size, config.mapping.max_output_size = 12, 7
    return config


def leaves(described: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the path of everything in a description that holds nothing more."""
    if isinstance(described, dict | list):
        for key, value in described.items() if isinstance(described, dict) else enumerate(described):
            yield from leaves(value, (*path, key))
    else:
        yield path


def at(described: Any, path: Path) -> Any:
    for key in path:
        described = described[key]
    return described


def owner(config: Any, path: Path) -> Any:
    for key in path[:-1]:
        config = config[key] if isinstance(config, dict | list) else getattr(config, str(key))
    return config


def others(value: Any) -> Iterator[Any]:
    """Yield values in place of one."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, enum.Enum):
        yield from (other for other in type(value) if other is not value)
    elif isinstance(value, int):
        yield value + 1
    elif isinstance(value, float):
        yield value * 1.25 + 0.015625
    elif isinstance(value, type):
        yield type(f"Own{value.__name__}", (value,), {})
    else:
        assert value is None
        yield "a text"


def changed(path: Path) -> Iterator[Any]:
    """Yield configurations in which one leaf has another value."""
    config = chip()
    where = owner(config, path)
    if path[-1] == "class":
        where.__class__ = type(f"Own{type(where).__name__}", (type(where),), {})
        yield config
        return
    current = where[path[-1]] if isinstance(where, dict | list) else getattr(where, str(path[-1]))
    for value in others(current):
        config = chip()
        where = owner(config, path)
        if isinstance(where, dict | list):
            where[path[-1]] = value  # type: ignore[index]
        else:
            setattr(where, str(path[-1]), value)
        yield config


#: What aihwkit's torch tiles do not simulate with any other value, so that it is refused.
REFUSED = {
    ("forward", "ir_drop"), ("forward", "out_nonlinearity"), ("forward", "r_series"), ("forward", "slope_calibration"),
    ("forward", "v_offset_std"), ("forward", "w_noise"), ("forward", "w_noise_type"), ("forward", "mv_type"),
    ("forward", "w_read_asymmetry_dtod"), ("forward", "out_noise_std"), ("mapping", "digital_bias"),
    ("modifier", "copy_last_column"), ("modifier", "enable_during_test"), ("modifier", "pdrop"),
    ("remap", "max_scale_range"), ("remap", "max_scale_ref"), ("remap", "remapped_wmax"),
}  # fmt: skip
LEAVES = sorted(leaves(describe(chip())), key=str)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that makes a configuration the one that ``own_chip:chip`` returns."""
    module = types.ModuleType("own_chip")
    monkeypatch.setitem(sys.modules, "own_chip", module)

    def use(config: Any) -> HardwareParams:
        module.chip = lambda: config  # type: ignore[attr-defined]
        return HardwareParams(rpu_config="own_chip:chip")

    return use


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 2), nn.Flatten(), nn.Linear(8, 4))


def test_there_are_leaves_of_every_part() -> None:
    assert len(LEAVES) > 100
    parts = {path[0] for path in LEAVES}
    assert parts >= {"forward", "mapping", "modifier", "clip", "remap", "pre_post", "noise_model", "drift_compensation"}
    assert {("mapping", "max_input_size"), ("noise_model", "g_converter", "g_max"), ("runtime", "data_type")} < {
        *LEAVES
    }


@pytest.mark.parametrize("path", LEAVES, ids=lambda path: ".".join(map(str, path)))
def test_every_leaf_is_simulated_recorded_and_part_of_the_id(own: Any, path: Path) -> None:
    unchanged = hardware_id(own(chip()))
    found = 0
    for config in changed(path):
        expected = describe(config)
        assert at(expected, path) != at(describe(chip()), path)
        given = copy.deepcopy(config)
        spec = own(config)
        recorded = record(spec)
        assert recorded["description"] == expected
        assert hardware_id(spec) != unchanged
        rebuilt, again = from_record(recorded)
        assert rebuilt == spec
        assert describe(again) == expected
        try:
            model = convert(network(), again, "aihwkit")
        except HardwareError:
            continue
        simulated = [describe(tile.rpu_config) for _, tile in tiles(model)]
        assert len(simulated) > 1
        assert all(one == expected for one in simulated)
        assert describe(config) == describe(given)
        found += 1
    assert (found == 0) is (path in REFUSED)
