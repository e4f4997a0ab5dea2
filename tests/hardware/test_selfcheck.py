from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from analognas.errors import HardwareError
from analognas.hardware import converters as conv
from analognas.hardware.bounds import at_bounds
from analognas.hardware.devices import Devices
from analognas.hardware.selfcheck import check_layers


def test_the_layers_agree_and_nothing_is_drawn() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    assert 0 <= check_layers() < 1e-12
    assert torch.equal(torch.rand(1), expected)


def test_gradients_of_clipped_inputs_that_are_lost_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What aihwkit 1.2 with torch 2.15 gave before: an input range whose clipped inputs count for nothing."""
    wrong = replace(at_bounds(), input=not at_bounds().input)
    monkeypatch.setattr(conv, "at_bounds", lambda: wrong)
    with pytest.raises(HardwareError, match=r"the gradient of (the input|input_range) differs by"):
        check_layers()


def test_devices_that_do_not_age_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Devices, "program", lambda self: None)
    with pytest.raises(HardwareError, match="programming changed the output by 0"):
        check_layers()
