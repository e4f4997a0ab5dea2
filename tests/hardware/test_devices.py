"""All devices at once against aihwkit, tile by tile."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from aihwkit.inference import GlobalDriftCompensation, PCMLikeNoiseModel
from aihwkit.inference.compensation.drift import PerColumnDriftCompensation
from aihwkit.simulator.tiles.torch_tile import TorchSimulatorTile
from scipy import stats
from torch import Tensor, nn

from analognas.errors import AnalogNASWarning, HardwareError
from analognas.files import write_json
from analognas.hardware.analog import clean_state, convert, load_clean_state, tiles
from analognas.hardware.devices import Devices
from analognas.hardware.presets import PRESETS
from analognas.hardware.rpu_config import rpu_config
from analognas.params import HardwareParams

Maker = Callable[..., Any]
TIMES = (1.0, 3_600.0, 86_400.0, 2_592_000.0)
#: Chance that the same distribution fails a statistical test.
FALSE_ALARM = 1e-6


def silent(config: Any) -> None:
    config.forward.out_noise = 0.0


def network(config: Any) -> nn.Module:
    torch.manual_seed(0)
    return convert(nn.Sequential(nn.Conv2d(5, 40, 3), nn.Flatten(), nn.Linear(360, 7)), config).eval()


def state(model: nn.Module) -> list[Tensor]:
    """Return weights and compensation of every tile."""
    return [value.detach().clone().view(-1) for _, tile in tiles(model) for value in (tile.tile.weight, tile.alpha)]


@pytest.mark.parametrize("compensation", [GlobalDriftCompensation, PerColumnDriftCompensation])
@pytest.mark.parametrize("draw", [0.0, 0.7, -1.2])
@pytest.mark.parametrize("minimum", [0.0, 3.0])
def test_the_same_draws_give_the_same_weights_and_compensation(
    bench: Maker, monkeypatch: pytest.MonkeyPatch, draw: float, minimum: float, compensation: type
) -> None:
    def configure(config: Any) -> None:
        config.drift_compensation = compensation()
        config.noise_model = PCMLikeNoiseModel(g_max=25.0)
        config.noise_model.g_converter.g_min = minimum

    monkeypatch.setattr("aihwkit.inference.noise.pcm.randn_like", lambda tensor: torch.full_like(tensor, draw))
    model = network(bench(silent, configure, tile_size=20))
    clean = clean_state(model)
    expected = []
    model.program_analog_weights()
    for time in TIMES:
        model.drift_analog_weights(time)
        expected.append(state(model))
    load_clean_state(model, clean)
    devices = Devices(model)
    assert devices.together
    assert len(devices.tiles) == 24
    for _ in range(2):  # programming again starts from the clean weights
        devices.program()
        for time, values in zip(TIMES, expected, strict=True):
            devices.drift(time)
            for ours, theirs in zip(state(model), values, strict=True):
                torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)
    by_column = compensation is PerColumnDriftCompensation
    for _, tile in tiles(model):  # in the form in which aihwkit has them
        assert tile.alpha.shape == ((len(tile.tile.weight),) if by_column else ())
    if by_column:
        assert len({round(float(value), 4) for value in state(model)[1]}) > 1


def test_programming_and_drift_have_the_same_distribution(bench: Maker) -> None:
    """Mean and variance of every weight, and of the compensation, over 300 programmings at 30 days."""
    model = network(bench(tile_size=64))
    clean = clean_state(model)
    torch.manual_seed(1)
    samples: dict[str, list[Tensor]] = {"ours": [], "aihwkit": []}
    for name, found in samples.items():
        load_clean_state(model, clean)
        devices = Devices(model)
        devices.together = name == "ours"
        for _ in range(300):
            devices.program()
            devices.drift(TIMES[-1])
            found.append(torch.cat([values[:40] for values in state(model)]).double())
    ours, theirs = (torch.stack(found) for found in samples.values())
    number = ours.shape[1]
    z = (ours.mean(0) - theirs.mean(0)).abs() / ((ours.var(0) + theirs.var(0)) / 300).sqrt()
    assert z[(ours.var(0) + theirs.var(0)) > 0].max() < stats.norm.isf(FALSE_ALARM / number)
    changing = theirs.var(0) > 0
    spread = (ours.var(0)[changing] / theirs.var(0)[changing]).log().abs().median()
    assert spread < 0.2  # that of variances of 300 numbers is 0.08
    # Devices are independent of each other: so are neighbouring weights.
    centred = (ours[:, changing] - ours[:, changing].mean(0)) / ours[:, changing].std(0)
    assert (centred[:, 1:] * centred[:, :-1]).mean().abs() < stats.norm.isf(FALSE_ALARM) / (300 * number) ** 0.5


def by_column(config: Any) -> None:
    config.drift_compensation = PerColumnDriftCompensation()


@pytest.mark.parametrize("changes", [(), (by_column,)], ids=["of tiles", "of columns"])
def test_aihwkit_goes_on_with_the_same_devices(bench: Maker, changes: Any) -> None:
    model = network(bench(silent, *changes, tile_size=64))
    for _, tile in tiles(model):
        tile.rpu_config.noise_model.read_noise_scale = 0.0
    devices = Devices(model)
    torch.manual_seed(1)
    devices.program()
    devices.drift(TIMES[-1])
    ours = state(model)
    torch.manual_seed(1)
    devices.program()
    for time in (TIMES[0], TIMES[-1]):  # its first drift must not change what the second one starts from
        model.drift_analog_weights(time)
    for before, after in zip(ours, state(model), strict=True):
        torch.testing.assert_close(before, after, rtol=1e-5, atol=1e-6)


DRAWN = Path(__file__).parent / "drawn.json"


def drawn(name: str) -> dict[str, list[float]]:
    """Return what becomes of 20 weights on a chip: noisy in training, programmed, and aged for a day; by both ways."""
    layer = nn.Linear(5, 4)
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(-1, 0.8, 20).view(4, 5))
        layer.bias.zero_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnalogNASWarning)
        model = convert(nn.Sequential(layer), rpu_config(HardwareParams(rpu_config=name))).eval()
    (tile,) = (tile for _, tile in tiles(model))
    clean = clean_state(model)
    torch.manual_seed(1)
    with torch.no_grad():
        noisy = TorchSimulatorTile.modify_weight(tile.tile.weight, tile.rpu_config.modifier, 1)
    found = {"noisy": noisy.flatten().tolist()}
    for how in ("aihwkit", "together"):
        load_clean_state(model, clean)
        devices = Devices(model)
        devices.together = devices.together and how == "together"
        torch.manual_seed(2)
        devices.program()
        found[f"programmed, {how}"] = tile.tile.weight.flatten().tolist()
        devices.drift(TIMES[2])
        found[f"aged, {how}"] = [*tile.tile.weight.flatten().tolist(), float(tile.alpha)]
    return found


@pytest.mark.parametrize("name", PRESETS)
def test_every_aihwkit_makes_the_same_weights_of_the_same_draws(name: str) -> None:
    """Recorded with 1.1.0; so results of one Python are as good as another's.

    ANALOGNAS_WRITE_DRAWN=1 writes the file anew: for a new chip, or noise models that are meant to be others.
    """
    found = drawn(name)
    if os.environ.get("ANALOGNAS_WRITE_DRAWN"):
        before = json.loads(DRAWN.read_text()) if DRAWN.exists() else {}
        write_json(DRAWN, before | {name: {key: [float(f"{v:.8g}") for v in values] for key, values in found.items()}})
    recorded = json.loads(DRAWN.read_text())[name]
    assert found.keys() == recorded.keys()
    for key, values in recorded.items():
        # Processors round differently, and draw normal numbers with other instructions.
        torch.testing.assert_close(torch.tensor(found[key]), torch.tensor(values), rtol=1e-5, atol=1e-6, msg=key)


class OtherDevice(PCMLikeNoiseModel):
    pass


def other_device(config: Any) -> None:
    config.noise_model = OtherDevice(g_max=25.0)


class OtherCompensation(PerColumnDriftCompensation):
    pass


def other_compensation(config: Any) -> None:
    config.drift_compensation = OtherCompensation()


def exact_reference(config: Any) -> None:
    from aihwkit.inference.compensation.drift import GlobalDriftCompensationWithExactReference

    config.drift_compensation = GlobalDriftCompensationWithExactReference()


def input_noise(config: Any) -> None:
    config.forward.inp_noise = 0.1


@pytest.mark.filterwarnings("ignore::analognas.errors.AnalogNASWarning")
@pytest.mark.parametrize(
    "change", [other_device, other_compensation, exact_reference, input_noise], ids=lambda change: change.__name__
)
def test_everything_else_is_left_to_aihwkit(bench: Maker, change: Any) -> None:
    model = network(bench(change, tile_size=64))
    clean = clean_state(model)
    devices = Devices(model)
    assert not devices.together
    torch.manual_seed(2)
    devices.program()
    devices.drift(TIMES[0])
    ours = state(model)
    load_clean_state(model, clean)
    torch.manual_seed(2)
    model.program_analog_weights()
    model.drift_analog_weights(TIMES[0])
    assert all(torch.equal(before, after) for before, after in zip(ours, state(model), strict=True))


def no_compensation(config: Any) -> None:
    config.drift_compensation = None


def test_without_compensation(bench: Maker) -> None:
    model = network(bench(no_compensation))
    devices = Devices(model)
    assert devices.together
    devices.program()
    devices.drift(TIMES[-1])
    assert all(float(tile.alpha) == 1 for _, tile in tiles(model))


def test_a_programmed_model_is_refused_and_the_clean_weights_come_back(bench: Maker) -> None:
    model = network(bench())
    clean = clean_state(model)
    devices = Devices(model)
    devices.program()
    devices.drift(TIMES[-1])
    with pytest.raises(HardwareError, match="programmed"):
        Devices(model)
    load_clean_state(model, clean)
    assert all(torch.equal(value, clean[name]) for name, value in clean_state(model).items())
    Devices(model)
