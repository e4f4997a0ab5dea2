from __future__ import annotations

import pytest
import torch
from aihwkit.simulator.parameters.enums import WeightModifierType

from analognas.hardware.converters import Window
from analognas.hardware.grouped_product import deviations, with_noise
from analognas.hardware.layers import _unfolded_std
from analognas.hardware.rpu_config import rpu_config
from analognas.params import HardwareParams

WINDOW = Window((3, 3), (2, 1), (1, 0), (1, 2), (0, 18))


def test_the_inputs_of_each_group_have_their_own_deviation() -> None:
    x = torch.randn(3, 6, 9, 8, generator=torch.Generator().manual_seed(0)) * torch.arange(1, 7).view(1, -1, 1, 1)
    expected = torch.stack([_unfolded_std(part, WINDOW) for part in x.split(2, 1)])
    torch.testing.assert_close(deviations(x, 3, WINDOW), expected)


@pytest.mark.parametrize("relative", [True, False])
def test_the_noise_of_a_tile_goes_by_its_own_largest_weight(relative: bool) -> None:
    modifier = rpu_config(HardwareParams()).modifier
    modifier.type, modifier.std_dev, modifier.rel_to_actual_wmax = WeightModifierType.ADD_NORMAL, 0.1, relative
    modifier.assumed_wmax = 1.0
    weights = torch.ones(8, 5000)
    weights[4:] = 0.01
    torch.manual_seed(0)
    noise = (with_noise(weights, 2, modifier) - weights).view(2, -1).std(1)
    torch.testing.assert_close(noise, torch.tensor([0.1, 0.001 if relative else 0.1]), rtol=0.02, atol=0)


def test_a_tile_without_weights_has_no_noise_and_where_there_is_none_weights_stay() -> None:
    modifier = rpu_config(HardwareParams()).modifier
    modifier.type, modifier.std_dev, modifier.rel_to_actual_wmax = WeightModifierType.ADD_NORMAL, 0.1, True
    weights = torch.zeros(4, 3)
    assert with_noise(weights, 2, modifier).abs().max() < 1e-20
    modifier.type = WeightModifierType.NONE
    assert with_noise(weights, 2, modifier) is weights
