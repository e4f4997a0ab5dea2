from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from analognas.errors import AnalogNASWarning, HardwareError
from analognas.hardware.analog import convert, is_programmed, tiles
from analognas.hardware.devices import Devices
from analognas.hardware.rpu_config import rpu_config
from analognas.hardware.twin import digital_twin
from analognas.params import HardwareParams


class Network(nn.Module):
    """A strided and a plain convolution, a sum, pooling and a linear layer with a bias."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 12, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(12)
        self.second = nn.Conv2d(12, 12, 3, padding=1, bias=False)
        self.head = nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.first(x)))
        return self.head((x + self.second(x)).mean((2, 3)))


def network(preset: str = "analognas-bench", tile_size: int = 32, layers: str = "fast", **changes: Any) -> nn.Module:
    """Return a converted network whose input ranges are set and whose batch-norm has seen something; it is quiet."""
    torch.manual_seed(0)
    config = rpu_config(HardwareParams(rpu_config=preset, tile_size=tile_size, layers=layers))
    for name, value in changes.items():
        setattr(config.forward, name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnalogNASWarning)
        model = convert(Network(), config, layers)
    with torch.no_grad():
        model.train()
        for _ in range(3):
            model(torch.randn(16, 2, 9, 9))
    return quiet(model.eval())


def quiet(model: nn.Module) -> nn.Module:
    """Return it without noise of the converters."""
    silent = copy.deepcopy(model)
    for _, tile in tiles(silent):
        tile.rpu_config.forward.out_noise = 0.0
        tile.rpu_config.forward.w_noise = 0.0
    return silent


@pytest.mark.parametrize("layers", ["fast", "aihwkit"])
@pytest.mark.parametrize("tile_size", [32, 256])  # the second convolution has 108 rows: four tiles or one
def test_it_computes_what_the_tiles_do(layers: str, tile_size: int):
    model = network(tile_size=tile_size, layers=layers)
    x = torch.randn(20, 2, 9, 9)
    with torch.no_grad():
        expected, found = model(x), digital_twin(model)(x)
    step = expected.abs().max() * 0.02  # a sum may fall on the other side of a converter's step
    assert (found - expected).abs().max() < step
    assert (found - expected).abs().mean() < step / 20


def test_without_converters_it_is_exact():
    model = network(is_perfect=True)
    x = torch.randn(5, 2, 9, 9)
    with torch.no_grad():
        torch.testing.assert_close(digital_twin(model)(x), model(x), rtol=1e-5, atol=1e-5)


def test_the_converters_are_in_it():
    model = network()
    head = digital_twin(model).head
    beyond = torch.sign(torch.randn(5, 12)) * 1000  # the input range
    with torch.no_grad():
        torch.testing.assert_close(head(beyond), head(2 * beyond), rtol=0, atol=0)
        values = head(torch.randn(2000, 12))
    assert len(values[:, 0].unique()) < 512  # levels of 9 bits, no continuum


def test_programmed_devices_with_their_drift_are_in_it():
    model = network()
    x = torch.randn(20, 2, 9, 9)
    with torch.no_grad():
        clean = digital_twin(model)(x)
        devices = Devices(model)
        devices.program()
        devices.drift(2_592_000.0)
        aged, expected = digital_twin(model)(x), model(x)
    assert (aged - expected).abs().mean() < (clean - expected).abs().mean() / 20
    assert is_programmed(model)


def test_it_needs_no_analog_layer_and_keeps_none():
    model = network()
    before = model.first.analog_module.tile.weight.clone()
    twin = digital_twin(model)
    twin.first.columns[0][0].weight.zero_()
    assert torch.equal(model.first.analog_module.tile.weight, before)
    assert not [module for module in twin.modules() if "aihwkit" in type(module).__module__]


def test_what_is_drawn_for_each_input_has_no_twin():
    model = network()
    for _, tile in tiles(model):
        tile.rpu_config.forward.inp_noise = 0.1
    with pytest.raises(HardwareError, match=r"Layer 'first' has no digital twin: it has forward\.inp_noise"):
        digital_twin(model)
