from __future__ import annotations

import sys
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from aihwkit.inference import GlobalDriftCompensation
from aihwkit.inference.compensation.drift import GlobalDriftCompensationWithExactReference, PerColumnDriftCompensation
from aihwkit.simulator.configs import QuantizedTorchInferenceRPUConfig
from aihwkit.simulator.parameters.enums import NoiseManagementType, RPUDataType
from aihwkit.simulator.tiles.array import TileModuleArray
from torch import nn

from analognas.errors import AnalogNASWarning, HardwareError
from analognas.hardware import convert, coverage, silence
from analognas.hardware.presets import PRESETS, analognas_bench
from analognas.hardware.rpu_config import rpu_config
from analognas.params import HardwareParams


@pytest.fixture(autouse=True)
def _new_run() -> Iterator[None]:
    coverage.begin()
    yield
    coverage.begin()


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Callable[..., HardwareParams]:
    """Return a function that makes a chip of the user's own from changes of a configuration."""
    module = types.ModuleType("own_chip")
    monkeypatch.setitem(sys.modules, "own_chip", module)

    def make(change: Callable[[Any], Any], **given: Any) -> HardwareParams:
        def chip() -> Any:
            config = analognas_bench()
            return change(config) or config

        module.chip = chip  # type: ignore[attr-defined]
        return HardwareParams(rpu_config="own_chip:chip", **given)

    return make


class OtherArray(TileModuleArray):  # type: ignore[misc]
    pass


class ByInput(GlobalDriftCompensation):  # type: ignore[misc]
    """A factor of a shape that aihwkit's layers can multiply with and the fast ones do not know."""

    def apply(self, forward_output: torch.Tensor, ref_value: torch.Tensor) -> torch.Tensor:
        return torch.full((1, forward_output.shape[1]), 1.5)


class Failing(GlobalDriftCompensation):  # type: ignore[misc]
    def apply(self, forward_output: torch.Tensor, ref_value: torch.Tensor) -> torch.Tensor:
        raise ValueError("nothing to read\nand more")


def set_to(path: str, value: Any) -> Callable[[Any], None]:
    def change(config: Any) -> None:
        *parts, name = path.split(".")
        for part in parts:
            config = getattr(config, part)
        setattr(config, name, value)

    return change


def small_array(config: Any) -> None:
    config.mapping.max_input_size = 3
    config.tile_array_class = OtherArray


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (set_to("forward.out_noise", 0.1), None),
        (set_to("drift_compensation", None), None),
        (set_to("drift_compensation", PerColumnDriftCompensation()), None),
        (set_to("drift_compensation", GlobalDriftCompensationWithExactReference()), None),
        (set_to("drift_compensation", ByInput()), "what the drift compensation ByInput multiplies with"),
        (set_to("forward.noise_management", NoiseManagementType.ABS_MAX), "forward.noise_management ABS_MAX"),
        (set_to("modifier.per_batch_sample", True), "modifier.per_batch_sample"),
        (lambda _: QuantizedTorchInferenceRPUConfig(), "a tile of the class QuantizedTorchInferenceTile"),
        (small_array, "an array of tiles of the class OtherArray"),
    ],
)
def test_what_a_chip_has_that_the_fast_layers_do_not_compute(
    own: Callable[..., HardwareParams], change: Any, reason: str | None
) -> None:
    state = torch.random.get_rng_state()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert coverage.check(own(change)) == reason
    assert caught == []
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (set_to("forward.w_noise", 0.1), "forward.w_noise not supported"),
        (set_to("runtime.data_type", RPUDataType.DOUBLE), "'own_chip:chip' cannot be simulated"),
        (
            set_to("drift_compensation", Failing()),
            r"'own_chip:chip' cannot be simulated \(line \d+ of .* raises ValueError: nothing to read\)",
        ),
    ],
)
def test_a_chip_that_cannot_be_simulated_is_one_sentence(
    own: Callable[..., HardwareParams], change: Any, words: str
) -> None:
    with pytest.raises(HardwareError, match=words) as error:
        coverage.check(own(change))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_what_they_say_they_are(name: str) -> None:
    assert coverage._tried(rpu_config(HardwareParams(rpu_config=name))) == coverage.check(
        HardwareParams(rpu_config=name)
    )


def test_it_is_told_once_in_a_run_whatever_happens_to_the_filters(own: Callable[..., HardwareParams]) -> None:
    slow = own(set_to("forward.inp_noise", 0.1))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(2):
            coverage.tell(slow)
            with warnings.catch_warnings():  # makes Python forget what it has shown
                pass
            coverage.tell(HardwareParams())
        assert len(caught) == 1
        coverage.begin()
        coverage.tell(slow)
    first, second = caught
    assert first.category is AnalogNASWarning
    assert str(first.message) == str(second.message) == silence.sentence("forward.inp_noise", "all layers")
    assert "\n" not in str(first.message)
    coverage.begin()
    coverage.tell(own(set_to("forward.inp_noise", 0.1), layers="aihwkit"))  # that is what they asked for


def test_conversions_are_silent_where_somebody_else_tells(own: Callable[..., HardwareParams]) -> None:
    config = rpu_config(own(set_to("forward.inp_noise", 0.1)))
    with silence.silent():
        convert(nn.Sequential(nn.Linear(3, 3)), config)
    with pytest.warns(AnalogNASWarning, match="forward.inp_noise is not computed by the fast"):
        convert(nn.Sequential(nn.Linear(3, 3)), config)
