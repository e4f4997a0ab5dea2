"""Whether values exactly at a bound of a tile let their gradients through.

Quantised values lie exactly at the bounds of a converter all the time, and what happens to their gradients there is
neither documented nor the same everywhere: torch's clamp passed them up to 2.13 and passes none since 2.14, and
aihwkit 1.2 has replaced it for one of the three bounds of its tiles. So aihwkit's own tile is asked, once in a process.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch


@dataclass(frozen=True)
class AtBounds:
    """Whether gradients pass exactly at each bound of aihwkit's torch tile.

    ``input_range`` is where inputs are clipped before they are divided by the range, ``input`` and ``output`` are the
    bounds of the two converters.
    """

    input_range: bool
    input: bool
    output: bool


@cache
def at_bounds() -> AtBounds:
    """Return what aihwkit's ``TorchInferenceTile`` does, with the torch and aihwkit at hand (5 ms, then nothing).

    Nothing is drawn from torch's global generator.
    """
    # Powers of two, so that the values are at the bounds without any rounding; the other bounds are out of reach.
    return AtBounds(
        input_range=_passes(1.0, input_range=1.0, inp_bound=4.0, out_bound=4.0),
        input=_passes(2.0, input_range=4.0, inp_bound=0.5, out_bound=4.0),
        output=_passes(2.0, input_range=4.0, inp_bound=4.0, out_bound=0.5),
    )


def _passes(value: float, input_range: float, inp_bound: float, out_bound: float) -> bool:
    """Return whether a gradient comes back from a tile with one weight of 1 to an input of this value."""
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
        tile = _tile(inp_bound, out_bound)
        tile.set_input_range(input_range)
        x = torch.full((1, 1), value, requires_grad=True)
        tile.eval()(x).sum().backward()
    assert x.grad is not None
    return bool(x.grad.item())


def _tile(inp_bound: float, out_bound: float) -> Any:
    from aihwkit.simulator.configs import TorchInferenceRPUConfig
    from aihwkit.simulator.parameters.enums import BoundManagementType, NoiseManagementType

    config = TorchInferenceRPUConfig()
    config.drift_compensation = None
    config.mapping.digital_bias = False
    config.mapping.weight_scaling_omega = 0.0
    config.pre_post.input_range.enable = True
    io = config.forward
    io.inp_res = io.out_res = -1.0
    io.inp_noise = io.out_noise = io.w_noise = 0.0
    io.inp_bound, io.out_bound = inp_bound, out_bound
    io.noise_management, io.bound_management = NoiseManagementType.NONE, BoundManagementType.NONE
    tile = config.tile_class(1, 1, config, bias=False)
    tile.set_weights(torch.ones(1, 1))
    return tile
