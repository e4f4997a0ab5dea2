"""One small layer trained, programmed and aged by the fast layers and by aihwkit's: do they still compute the same?

The fast layers compute what aihwkit's do by other means, so another torch or aihwkit may change one and not the other
(with torch 2.15 the gradients of clipped inputs did). The tests hold them against each other in every respect; this
is the part of it that tells in a second whether the versions at hand fit together.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from analognas.errors import HardwareError
from analognas.hardware.analog import clean_state, convert, tiles, to_aihwkit
from analognas.hardware.devices import Devices
from analognas.hardware.params import HardwareParams
from analognas.hardware.rpu_config import rpu_config

#: Largest difference, relative to the largest value. In float64 it is rounding (3e-15 was seen); in float32 sums that
#: are rounded otherwise may fall on the other side of a converter's step, which outputs and what is made of them show.
_LARGEST = {torch.float64: 1e-9, torch.float32: 2e-2}
_MONTH = 30 * 86_400.0


def check_layers() -> float:
    """Train, program and age a small convolution both ways and return the largest relative difference, float64.

    Draws from a generator of its own: torch's global one is as it was before.

    Raises:
        HardwareError: naming what differs, and by how much.
    """
    with torch.random.fork_rng(devices=[]):
        _check(torch.float32)
        return _check(torch.float64)


def _check(dtype: torch.dtype) -> float:
    torch.manual_seed(0)
    fast = _network(dtype)
    slow = to_aihwkit(fast)
    x, gradient = torch.randn(4, 2, 8, 8, dtype=dtype), torch.randn(4, 3, 8, 8, dtype=dtype)
    pairs = [
        (name, ours, theirs)
        for (name, ours), theirs in zip(
            _step(fast, x, gradient).items(), _step(slow, x, gradient).values(), strict=True
        )
    ]
    largest = max(_difference(dtype, *pair) for pair in pairs)
    if dtype == torch.float32:  # aihwkit cannot program in float64
        _program(fast, x)
    return largest


def _network(dtype: torch.dtype) -> nn.Module:
    from aihwkit.simulator.parameters.enums import WeightModifierType

    config = rpu_config(HardwareParams())
    config.forward.out_noise, config.modifier.type = 0.0, WeightModifierType.NONE
    model = convert(nn.Sequential(nn.Conv2d(2, 3, 3, padding=1)), config).to(dtype)
    for _, tile in tiles(model):  # past its start, and so narrow that many inputs are clipped
        tile.input_range.data.fill_(0.8)
        tile.input_range_update_idx.data.fill_(config.pre_post.input_range.init_from_data)
    return model.train()


def _step(model: nn.Module, x: Tensor, gradient: Tensor) -> dict[str, Tensor]:
    """Take a step of training; return output, gradients and what was trained."""
    from aihwkit.optim import AnalogSGD

    optimizer = AnalogSGD(model.parameters(), lr=1e-3)
    optimizer.regroup_param_groups(model)
    x = x.clone().requires_grad_()
    out = model(x)
    out.backward(gradient)
    assert x.grad is not None
    tensors = {"the output": out.detach(), "the gradient of the input": x.grad}
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            tensors[f"the gradient of {name.rpartition('.')[2]}"] = parameter.grad.clone()
    optimizer.step()
    return tensors | {f"{name.rpartition('.')[2]} after a step": tensor for name, tensor in clean_state(model).items()}


def _difference(dtype: torch.dtype, name: str, ours: Tensor, theirs: Tensor) -> float:
    scale = float(theirs.abs().max().clamp(min=1e-6))
    # A few sums of float32 on the other side of a step: one value in a hundred may be off by it, not by more.
    errors = (ours - theirs).abs().flatten().double() / scale
    difference = float(errors.max() if dtype == torch.float64 else errors.mean())
    if not difference <= _LARGEST[dtype]:
        raise HardwareError(f"{name} differs by {difference:.1e} of its largest value ({dtype})")
    return difference


@torch.no_grad()
def _program(model: nn.Module, x: Tensor) -> None:
    """Program and age the devices; the weights must become others, and the output stay near to what it was."""
    model.eval()
    before, weights = model(x), clean_state(model)
    devices = Devices(model)
    for what, act in (("programming", devices.program), ("a month", lambda: devices.drift(_MONTH))):
        act()
        now: list[Any] = [tile.tile.weight.clone() for _, tile in tiles(model)]
        error = (model(x) - before).norm() / before.norm()
        changed = any(not torch.equal(weight, old) for weight, old in zip(now, _weights(weights), strict=True))
        if not (changed and error < 1):
            raise HardwareError(f"{what} changed the output by {float(error):.1e} of its norm")


def _weights(state: dict[str, Tensor]) -> list[Tensor]:
    return [tensor for name, tensor in state.items() if name.endswith("tile.weight")]
