"""Gradients exactly at the bounds of a tile: those of the aihwkit and torch at hand, whatever these do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from aihwkit.simulator.parameters.enums import WeightModifierType, WeightRemapType
from torch import Tensor, nn

from analognas.hardware import converters as conv
from analognas.hardware.analog import tiles, to_aihwkit
from analognas.hardware.bounds import at_bounds

Maker = Callable[..., Any]
PLACES = ("input_range", "input", "output")


def plain(config: Any) -> None:
    """No noise, no scales: powers of two stay what they are."""
    config.forward.out_noise = 0.0
    config.modifier.type = WeightModifierType.NONE
    config.mapping.weight_scaling_omega = 0.0
    config.remap.type = WeightRemapType.NONE


def at_the_range(config: Any) -> None:
    plain(config)
    config.forward.inp_bound = config.forward.out_bound = 64.0


def at_the_input_converter(config: Any) -> None:
    plain(config)
    config.forward.inp_bound, config.forward.out_bound = 0.5, 64.0


def at_the_output_converter(config: Any) -> None:
    plain(config)
    config.forward.inp_bound, config.forward.out_bound = 64.0, 0.5
    config.forward.inp_res = -1.0  # its steps would be as wide as the output's bound


#: The configuration, the input range, and inputs of which many are at the bound, inside and outside.
CASES = {
    "input_range": (at_the_range, 1.0, [1.0, -1.0, 0.5, -2.0, 2.0, 0.0]),
    "input": (at_the_input_converter, 2.0, [1.0, -1.0, 0.5, -0.25, 1.5, -3.0]),
    "output": (at_the_output_converter, 2.0, [1.0, -1.0, 0.5, -0.25, 1.5, 0.0]),
}


def gradients(model: nn.Module, x: Tensor, gradient: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    x = x.clone().requires_grad_()
    model(x).backward(gradient)
    assert x.grad is not None
    return {"input": x.grad} | {name: value.grad for name, value in model.named_parameters() if value.grad is not None}


def prepared(layer: nn.Module, config: Any, input_range: float, analog: Maker, dtype: torch.dtype) -> nn.Module:
    model = analog(layer, config, dtype).train()
    with torch.no_grad():
        for _, tile in tiles(model):
            tile.input_range.fill_(input_range)
    return model


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kernel", [None, 1, 3])
def test_gradients_at_each_bound_are_aihwkits(
    place: str, kernel: int | None, dtype: torch.dtype, bench: Maker, analog: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, input_range, values = CASES[place]
    torch.manual_seed(0)
    x = torch.tensor(values, dtype=dtype).repeat(4)
    if kernel is None:
        layer: nn.Module = nn.Linear(1, 1, bias=False)
        x = x.view(-1, 1)
    else:
        layer = nn.Conv2d(1, 1, kernel, bias=False)
        x = x.view(1, 1, 4, 6)
    with torch.no_grad():
        weight = next(iter(layer.parameters()))
        weight.zero_()
        weight.view(-1)[weight.numel() // 2] = 1.0  # passes on what is in the middle
    model = prepared(layer, bench(change), input_range, analog, dtype)
    slow = to_aihwkit(model)
    with torch.no_grad():
        gradient = torch.randn_like(slow(x))
    ours, theirs = gradients(model, x, gradient), gradients(slow, x, gradient)
    assert ours.keys() == theirs.keys()
    assert any(name.endswith("input_range") for name in ours)
    for name, expected in theirs.items():
        torch.testing.assert_close(ours[name], expected, rtol=1e-5, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")

    # There is something to be seen here: with the other answer the gradient of the input is another.
    known = at_bounds()
    other = replace(known, **{place: not getattr(known, place)})
    monkeypatch.setattr(conv, "at_bounds", lambda: other)
    assert not torch.allclose(gradients(model, x, gradient)["input"], theirs["input"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_gradient_of_the_range_has_the_terms_of_clipped_inputs(
    dtype: torch.dtype, bench: Maker, analog: Maker
) -> None:
    """Half of the inputs are clipped: aihwkit's gradient of the range, and the formula behind it."""
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 4, 3, padding=1)
    model = prepared(layer, bench(plain), 0.7, analog, dtype)
    (parameters,) = {id(tile): tile.rpu_config.pre_post.input_range for _, tile in tiles(model)}.values()
    assert parameters.gradient_relative
    x = torch.randn(6, 3, 8, 8, dtype=dtype)
    assert 0.4 < float((x.abs() >= 0.7).double().mean()) < 0.6
    slow = to_aihwkit(model)
    with torch.no_grad():
        gradient = torch.randn_like(slow(x))
    ours, theirs = (
        next(value for name, value in gradients(one, x, gradient).items() if name.endswith("input_range"))
        for one in (model, slow)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-4 if dtype == torch.float32 else 1e-12, atol=0)

    # By hand: gradients of the unfolded inputs; at the upper end their negative, at the lower their positive parts.
    unfolded = nn.functional.unfold(x, 3, padding=1)
    weight = layer.weight.detach().to(dtype).view(4, -1)
    with torch.no_grad():
        out = (slow(x) - layer.bias.detach().to(dtype).view(1, -1, 1, 1)).flatten(2)
    terms = torch.einsum("nol,ok->nkl", gradient.flatten(2), weight)
    clipped = terms[unfolded >= 0.7].clamp(max=0).sum() - terms[unfolded <= -0.7].clamp(min=0).sum()
    inputs = (terms * unfolded.clamp(-0.7, 0.7) / 0.7).sum()  # the range divides the input and multiplies the output
    outputs = (gradient.flatten(2) * out).sum() / 0.7
    expected = clipped * 0.7 * parameters.gradient_scale + outputs - inputs
    assert not bool((unfolded.abs() < 0.7).double().mean() > parameters.input_min_percentage)  # so there is no decay
    torch.testing.assert_close(theirs.squeeze(), expected, rtol=1e-3, atol=0.05)
    assert abs(float(clipped * 0.7)) > 10 * abs(float(outputs - inputs))  # what was lost when these were taken for 0


def test_asking_draws_nothing_and_is_done_once() -> None:
    at_bounds.cache_clear()
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    with torch.no_grad():
        first = at_bounds()
    assert torch.equal(torch.rand(1), expected)
    assert at_bounds() is first
