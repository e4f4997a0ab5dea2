from __future__ import annotations

import pytest
import torch
from aihwkit.simulator.parameters.enums import WeightModifierType

from analognas.hardware.grouped_product import with_noise
from analognas.hardware.rpu_config import rpu_config
from analognas.params import HardwareParams


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
