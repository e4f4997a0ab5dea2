"""Configurations and layers for the comparison with aihwkit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from analognas.hardware.analog import convert, tiles
from analognas.hardware.rpu_config import rpu_config
from analognas.params import HardwareParams

Change = Callable[[Any], None]


@pytest.fixture
def bench() -> Callable[..., Any]:
    """Return a function that makes AnalogNAS-Bench's configuration with changes."""

    def make(*changes: Change, tile_size: int = 256) -> Any:
        config = rpu_config(HardwareParams(tile_size=max(8, tile_size)))
        config.mapping.max_input_size = config.mapping.max_output_size = tile_size
        for change in changes:
            change(config)
        return config

    return make


@pytest.fixture
def analog() -> Callable[..., nn.Module]:
    """Return a function that puts one layer on tiles, with an input range of its own for each, past their start."""

    def make(layer: nn.Module, config: Any, dtype: torch.dtype = torch.float32) -> nn.Module:
        model = convert(nn.Sequential(layer), config).to(dtype)
        with torch.no_grad():
            for _, tile in tiles(model):
                if tile.input_range is not None:
                    tile.input_range.data = torch.rand(1, dtype=dtype) + 0.8  # clips some of normal inputs
                    tile.input_range_update_idx.data.fill_(1e6)
        return model

    return make
