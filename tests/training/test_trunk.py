"""The plan of a trunk gives what the network itself gives, forwards and backwards."""

from __future__ import annotations

import copy
import random
from typing import Any

import pytest
import torch
from aihwkit.simulator.parameters.enums import WeightModifierType
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from analognas.hardware import convert, to_aihwkit
from analognas.hardware.analog import tiles
from analognas.hardware.rpu_config import rpu_config
from analognas.hardware.tiles_together import TilesTogether
from analognas.params import HardwareParams
from analognas.search_spaces import ConfigSpace
from analognas.training.trunk import planned, release

SPACE = ConfigSpace("digits", max_params=20_000)
#: Strides, branches, bottlenecks, large kernels; the last one has layers on several tiles, split inside of a channel.
GENES = (
    {"out_channel0": 4, "kernel_size0": 3, "M": 1, "R1": 1, "B1": 1, "convblock1": "basic", "widenfact1": 1},
    {
        "out_channel0": 5, "kernel_size0": 5, "M": 2, "R1": 2, "B1": 2, "convblock1": "basic", "widenfact1": 1,
        "R2": 2, "B2": 1, "convblock2": "bottleneck", "widenfact2": 2,
    },
    {"out_channel0": 8, "kernel_size0": 3, "M": 1, "R1": 1, "B1": 2, "convblock1": "basic", "widenfact1": 1},
)  # fmt: skip


def network(place: int) -> nn.Module:
    torch.manual_seed(place)
    built: nn.Module = SPACE.architecture(GENES[place]).build().train()
    return built


def step(model: nn.Module, forward: nn.Module, images: int = 37) -> dict[str, Tensor]:
    """Return output, gradients and running statistics of a step."""
    generator = torch.Generator().manual_seed(3)
    x, y = torch.randn(images, 1, 8, 8, generator=generator), torch.randint(10, (images,), generator=generator)
    out = forward(x)
    cross_entropy(out, y).backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    statistics = {name: b.clone() for name, b in model.named_buffers() if "running" in name or "batches" in name}
    return {"out": out.detach().clone(), **gradients, **statistics}


def assert_alike(ours: dict[str, Tensor], theirs: dict[str, Tensor], rtol: float = 1e-4) -> None:
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        scale = float(theirs[name].abs().max()) or 1.0
        torch.testing.assert_close(value, theirs[name], rtol=rtol, atol=rtol * scale, msg=lambda text, n=name: n + text)


@pytest.mark.parametrize("place", range(3))
def test_a_digital_step_is_that_of_pytorch(place: int):
    model = network(place)
    other = copy.deepcopy(model)
    forward = planned(model)
    assert forward is not model
    assert_alike(step(model, forward), step(other, other))


def test_gradients_are_added_to_what_is_there():
    model = network(1)
    other = copy.deepcopy(model)
    forward = planned(model)
    step(model, forward)
    step(other, other)
    assert_alike(step(model, forward), step(other, other))


def test_few_images_and_networks_that_cannot_be_traced_are_left_to_pytorch():
    model = network(0)
    other = copy.deepcopy(model)
    assert_alike(step(model, planned(model), images=5), step(other, other, images=5), rtol=1e-6)

    class Deciding(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    deciding = Deciding()
    assert planned(deciding) is deciding


def test_a_network_that_draws_or_counts_is_left_to_pytorch():
    class Drawing(nn.Module):
        def __init__(self, counts: bool) -> None:
            super().__init__()
            self.layers, self.counts, self.count = network(0), counts, 0

        def forward(self, x: Tensor) -> Tensor:
            if self.counts:
                self.count += 1
            elif random.random() < 0.5:
                return -self.layers(x)
            return self.layers(x)

    state = random.getstate()
    for counts in (False, True):
        drawing = Drawing(counts)
        assert planned(drawing) is drawing
    assert random.getstate() == state


def test_a_value_that_something_else_reads_is_no_part_of_a_plan():
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.norm = nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
            self.second, self.last = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
            self.linear = nn.Linear(8, 10)

        def forward(self, x: Tensor) -> Tensor:
            middle = self.norm(self.first(x)).relu()
            out = self.last(self.second(middle))
            return self.linear(torch.cat([out.mean((2, 3)), middle.mean((2, 3))], 1))

    torch.manual_seed(0)
    model = Branching()
    other = copy.deepcopy(model)
    assert planned(model) is model
    assert_alike(step(model, planned(model)), step(other, other), rtol=1e-6)


def test_a_branch_that_leads_nowhere_is_no_part_of_a_plan():
    class Dead(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.norm = nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
            self.second, self.last = nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
            self.linear = nn.Linear(4, 10)

        def forward(self, x: Tensor) -> Tensor:
            self.norm(self.first(x))
            return self.linear(self.last(self.second(x)).mean((2, 3)))

    torch.manual_seed(0)
    model = Dead()
    other = copy.deepcopy(model)
    assert_alike(step(model, planned(model)), step(other, other), rtol=1e-5)


@pytest.mark.parametrize("place", range(2))
def test_batches_of_several_sizes_take_turns(place: int):
    model = network(place)
    other = copy.deepcopy(model)
    forward = planned(model)
    for images in (37, 36, 38, 37):
        ours, theirs = step(model, forward, images), step(other, other, images)
    assert_alike(ours, theirs, rtol=3e-4)
    release(forward)
    assert_alike(step(model, forward), step(other, other), rtol=3e-4)
    release(model)  # which is no plan


def config(tile_size: int, steps: bool) -> Any:
    """Return a configuration without noise, with or without the steps of converters."""
    made = rpu_config(HardwareParams(tile_size=max(8, tile_size)))
    made.mapping.max_input_size = made.mapping.max_output_size = tile_size
    made.forward.out_noise = 0.0
    made.modifier.type = WeightModifierType.NONE
    if not steps:
        made.forward.inp_res = made.forward.out_res = -1.0
    return made


def step_together(model: nn.Module) -> dict[str, Tensor]:
    """Return what a planned step gives, with the gradients that the optimizer takes."""
    together = TilesTogether(model)
    values = torch.cat([weight.detach().reshape(-1) for weight in together.parameters])
    for weight, part in zip(together.parameters, together.parts(values), strict=True):
        weight.data = part
    together.begin(values)
    together.modify()
    forward = planned(model)
    assert forward is not model
    given = step(model, forward)
    together.end()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    of_tiles = [names[id(weight)] for weight in together.parameters]
    gradient = torch.cat([given[name].reshape(-1) for name in of_tiles])
    together.scale_gradients(gradient)
    return given | dict(zip(of_tiles, together.parts(gradient), strict=True))


@pytest.mark.parametrize("tile_size", [256, 40])  # of which the second splits layers, inside of channels too
@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("ranges", ["learned", "begun"])
def test_a_step_on_tiles_is_that_of_aihwkit(place: int, tile_size: int, ranges: str):
    model = convert(network(place), config(tile_size, steps=False)).train()
    if ranges == "learned":
        with torch.no_grad():
            for _, tile in tiles(model):
                tile.input_range.fill_(0.9)  # a part of the inputs is clipped
                tile.input_range_update_idx.fill_(1e6)
    other = to_aihwkit(model).train()
    assert TilesTogether.apply_to(model)
    ours, theirs = step_together(model), step(other, other)
    for name in [name for name in theirs if name not in ours]:
        assert "analog_ctx" in name or "input_range_update_idx" in name
        del theirs[name]
    assert any("input_range" in name for name in theirs)
    assert_alike(ours, theirs, rtol=2e-3)
    indices = [[float(tile.input_range_update_idx.detach()) for _, tile in tiles(either)] for either in (model, other)]
    assert indices[0] == indices[1]


def test_with_the_steps_of_converters_few_outputs_are_others():
    model = convert(network(0), config(256, steps=True)).train()
    other = to_aihwkit(model).train()
    ours, theirs = step_together(model), step(other, other)
    error = (ours["out"] - theirs["out"]).abs() / theirs["out"].abs().max()
    assert float(error.median()) < 1e-5
    assert float(error.max()) < 0.05
