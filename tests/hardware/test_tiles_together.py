"""All tiles at once, against aihwkit's methods tile by tile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from aihwkit.simulator.parameters.enums import WeightClipType, WeightModifierType, WeightRemapType
from torch import Tensor, nn

from analognas.hardware.analog import convert, tiles, to_aihwkit
from analognas.hardware.layers import NOISY
from analognas.hardware.tiles_together import TilesTogether

Maker = Callable[..., Any]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 5, 3), nn.Flatten(), nn.Linear(80, 4))


def begun(model: nn.Module) -> tuple[TilesTogether, Tensor]:
    together = TilesTogether(model)
    values = torch.cat([weight.detach().reshape(-1) for weight in together.parameters])
    for weight, part in zip(together.parameters, together.parts(values), strict=True):
        weight.data = part
    together.begin(values)
    return together, values


def changed(model: nn.Module) -> None:
    """Change the weights as a step would."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for _, tile in tiles(model):
            tile.tile.weight += 0.3 * torch.randn(tile.tile.weight.shape, generator=generator)


@pytest.mark.parametrize("clip", [WeightClipType.NONE, WeightClipType.FIXED_VALUE, WeightClipType.LAYER_GAUSSIAN])
@pytest.mark.parametrize("remap", [WeightRemapType.NONE, WeightRemapType.LAYERWISE_SYMMETRIC])
def test_weights_are_clipped_and_remapped_as_aihwkit_does(bench: Maker, clip: Any, remap: Any):
    def change(config: Any) -> None:
        config.clip.type, config.clip.fixed_value, config.clip.sigma = clip, 0.7, 1.5
        config.remap.type = remap

    model = convert(network(), bench(change, tile_size=30))
    other = to_aihwkit(model)
    assert TilesTogether.apply_to(model)
    together, _ = begun(model)
    for _ in range(3):
        changed(model)
        together.updated()
        changed(other)
        for _, tile in tiles(other):
            tile.post_update_step()
    together.end()
    assert len(list(tiles(model))) > 5
    for (name, ours), (_, theirs) in zip(tiles(model), tiles(other), strict=True):
        torch.testing.assert_close(ours.tile.weight, theirs.tile.weight, rtol=1e-5, atol=1e-6, msg=name)
        torch.testing.assert_close(ours.mapping_scales, theirs.mapping_scales, rtol=1e-5, atol=1e-7, msg=name)
        assert NOISY not in ours.__dict__


def test_each_tile_is_clipped_as_its_own_configuration_says(bench: Maker):
    torch.manual_seed(0)
    model = convert(nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 8, 3)), bench())
    other = to_aihwkit(model)
    kinds = [WeightClipType.NONE, WeightClipType.LAYER_GAUSSIAN, WeightClipType.FIXED_VALUE, WeightClipType.NONE]
    for net in (model, other):
        for (_, tile), kind in zip(tiles(net), kinds, strict=False):
            tile.rpu_config.clip.type, tile.rpu_config.clip.fixed_value = kind, 0.3
            tile.rpu_config.clip.sigma = 1.2
    assert TilesTogether.apply_to(model)
    together, _ = begun(model)
    changed(model)
    together.updated()
    together.end()
    changed(other)
    for (name, ours), (_, theirs) in zip(tiles(model), tiles(other), strict=True):
        before = theirs.tile.weight.detach().clone()
        theirs.post_update_step()
        torch.testing.assert_close(ours.tile.weight, theirs.tile.weight, rtol=1e-5, atol=1e-6, msg=name)
        kind = theirs.rpu_config.clip.type
        kept = torch.allclose(before / before.abs().max(), theirs.tile.weight)
        assert kept == (kind == WeightClipType.NONE)


def test_gradients_are_divided_as_aihwkits_hooks_do_afterwards_too(bench: Maker):
    model = convert(network(), bench())
    other = to_aihwkit(model)
    together, values = begun(model)
    gradient = torch.ones_like(values)
    together.scale_gradients(gradient)
    for part, (_, tile) in zip(together.parts(gradient), tiles(other), strict=True):
        tile.tile.weight.sum().backward()
        torch.testing.assert_close(part, tile.tile.weight.grad)
    together.end()
    for (_, ours), (_, theirs) in zip(tiles(model), tiles(other), strict=True):
        ours.tile.weight.sum().backward()
        torch.testing.assert_close(ours.tile.weight.grad, theirs.tile.weight.grad)


@pytest.mark.parametrize("kind", [WeightModifierType.ADD_NORMAL, WeightModifierType.MULT_NORMAL])
def test_modified_weights_have_the_deviation_that_is_asked_for(bench: Maker, kind: Any):
    def change(config: Any) -> None:
        config.modifier.type, config.modifier.std_dev = kind, 0.1

    model = convert(network(), bench(change))
    together, _ = begun(model)
    drawn = []
    for _ in range(400):
        together.modify()
        drawn.append([tile.__dict__[NOISY].clone() for _, tile in tiles(model)])
    for place, (_, tile) in enumerate(tiles(model)):
        weight = tile.tile.weight.detach()
        noise = torch.stack([draw[place] for draw in drawn]) - weight
        unit = weight.abs() if kind == WeightModifierType.MULT_NORMAL else weight.abs().max().expand_as(weight)
        large = unit > 0.1 * unit.max()
        torch.testing.assert_close((noise.std(0) / unit)[large].mean(), torch.tensor(0.1), rtol=0.03, atol=0)
        assert float((noise.mean(0) / unit)[large].abs().max()) < 0.03


def test_without_a_modifier_the_weights_themselves_are_taken(bench: Maker):
    def change(config: Any) -> None:
        config.modifier.type = WeightModifierType.NONE

    model = convert(network(), bench(change))
    together, values = begun(model)
    together.modify()
    values.fill_(0.25)
    assert all((tile.__dict__[NOISY] == 0.25).all() for _, tile in tiles(model))


@pytest.mark.parametrize("what", ["modifier", "remap", "scaling", "layers"])
def test_anything_else_is_left_to_aihwkit(bench: Maker, what: str):
    def change(config: Any) -> None:
        if what == "modifier":
            config.modifier.type = WeightModifierType.DISCRETIZE
        elif what == "remap":
            config.remap.type = WeightRemapType.CHANNELWISE_SYMMETRIC
        elif what == "scaling":
            config.mapping.learn_out_scaling = True

    model = convert(network(), bench(change))
    assert not TilesTogether.apply_to(to_aihwkit(model) if what == "layers" else model)
