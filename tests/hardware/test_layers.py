from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from aihwkit.nn import AnalogConv2d
from aihwkit.simulator.parameters.enums import BoundManagementType, NoiseManagementType
from torch import nn

from analognas.hardware.analog import convert, tiles
from analognas.hardware.layers import AnalogConvolution, _is_plain
from analognas.hardware.rpu_config import rpu_config
from analognas.params import HardwareParams


def both(layer: nn.Conv2d, config: Any, prepare: Callable[[nn.Module], None]) -> list[torch.Tensor]:
    """Return the output of our evaluation pass and of aihwkit's for the same layer and the same draws."""
    torch.manual_seed(0)
    model = convert(nn.Sequential(layer), config)
    with torch.no_grad():
        model.train()
        model(torch.rand(4, layer.in_channels, 9, 7))  # sets the input ranges
    model.eval()
    prepare(model)
    x = torch.randn(5, layer.in_channels, 9, 7)
    before = x.clone()
    results = []
    for kind in (AnalogConvolution, AnalogConv2d):
        model[0].__class__ = kind
        torch.manual_seed(1)
        with torch.no_grad():
            results.append(model(x))
        results.append(torch.rand(1))  # as many numbers were drawn
        assert torch.equal(x, before)
    return results


def drifted(model: nn.Module) -> None:
    model.program_analog_weights()
    model.drift_analog_weights(1e6)


SHAPES = [
    (kernel, stride, padding, bias)
    for (kernel, padding), stride, bias in itertools.product([(1, 0), (3, 1), (5, 1)], [1, 2], [False, True])
]


@pytest.mark.parametrize(("kernel", "stride", "padding", "bias"), SHAPES)
def test_evaluation_gives_the_bits_of_aihwkit(kernel: int, stride: int, padding: int, bias: bool) -> None:
    layer = nn.Conv2d(3, 6, kernel, stride, padding, bias=bias)
    ours, our_draw, theirs, their_draw = both(layer, rpu_config(HardwareParams()), drifted)
    assert ours.shape == theirs.shape
    assert torch.equal(ours, theirs)
    assert torch.equal(our_draw, their_draw)


def no_range(config: Any) -> None:
    config.pre_post.input_range.enable = False


def no_noise(config: Any) -> None:
    config.forward.out_noise = 0.0


def no_converters(config: Any) -> None:
    config.forward.inp_res = config.forward.out_res = -1.0
    config.forward.inp_bound = config.forward.out_bound = -1.0
    config.pre_post.input_range.enable = False


def many_levels(config: Any) -> None:
    config.forward.inp_res = config.forward.out_res = 62.0  # the number of steps instead of their size


def no_scales(config: Any) -> None:
    from aihwkit.simulator.parameters.enums import WeightRemapType

    config.mapping.weight_scaling_omega = 0.0
    config.remap.type = WeightRemapType.NONE


def no_compensation(config: Any) -> None:
    config.drift_compensation = None


@pytest.mark.parametrize(
    "change", [no_range, no_noise, no_converters, many_levels, no_scales, no_compensation], ids=lambda c: c.__name__
)
def test_other_configurations_too(change: Callable[[Any], None]) -> None:
    config = rpu_config(HardwareParams())
    change(config)
    ours, our_draw, theirs, their_draw = both(nn.Conv2d(3, 6, 3, padding=1), config, drifted)
    assert torch.equal(ours, theirs)
    assert torch.equal(our_draw, their_draw)


def test_it_is_really_the_cheaper_pass_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    model = convert(nn.Sequential(nn.Conv2d(3, 6, 3)), rpu_config(HardwareParams())).eval()

    def refuse(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(AnalogConv2d, "forward", refuse)
    with torch.no_grad():
        model(torch.rand(1, 3, 8, 8))
    with pytest.raises(AssertionError):  # gradients are aihwkit's business
        model(torch.rand(1, 3, 8, 8))
    with pytest.raises(AssertionError), torch.no_grad():
        model.train()(torch.rand(1, 3, 8, 8))


def absolute_maximum(config: Any) -> None:
    config.forward.noise_management = NoiseManagementType.ABS_MAX


def iterative(config: Any) -> None:
    config.forward.bound_management = BoundManagementType.ITERATIVE


def input_noise(config: Any) -> None:
    config.forward.inp_noise = 0.1


def asymmetry(config: Any) -> None:
    config.forward.out_asymmetry = 0.1


def learned_scale(config: Any) -> None:
    config.mapping.learn_out_scaling = True


def ideal(config: Any) -> None:
    config.forward.is_perfect = True


def split(config: Any) -> None:
    config.mapping.max_input_size = 20


@pytest.mark.parametrize(
    "change",
    [absolute_maximum, iterative, input_noise, asymmetry, learned_scale, ideal, split],
    ids=lambda change: change.__name__,
)
def test_everything_else_is_left_to_aihwkit(change: Callable[[Any], None]) -> None:
    config = rpu_config(HardwareParams())
    change(config)
    model = convert(nn.Sequential(nn.Conv2d(3, 6, 3)), config)
    assert not _is_plain(model[0].analog_module)
    ours, our_draw, theirs, their_draw = both(nn.Conv2d(3, 6, 3), config, drifted)
    assert torch.equal(ours, theirs)
    assert torch.equal(our_draw, their_draw)


def test_tiles_that_derive_from_aihwkits_are_left_alone() -> None:
    from aihwkit.simulator.configs import TorchInferenceRPUConfigIRDropT

    config = TorchInferenceRPUConfigIRDropT()
    config.forward.noise_management = NoiseManagementType.NONE
    config.forward.bound_management = BoundManagementType.NONE
    model = convert(nn.Sequential(nn.Conv2d(3, 6, 3)), config)
    assert not any(_is_plain(tile) for _, tile in tiles(model))
