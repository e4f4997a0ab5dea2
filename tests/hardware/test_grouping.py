from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from analognas.hardware.analog import clean_state, convert, load_clean_state, number_of_tiles, tiles
from analognas.hardware.cost import tiles as counted
from analognas.hardware.grouping import GroupedConvolution, is_grouped, ungrouped, units
from analognas.hardware.observing import observe
from analognas.hardware.rpu_config import rpu_config
from analognas.params import HardwareParams


def network(groups: int = 4) -> nn.Module:
    torch.manual_seed(0)
    grouped = nn.Conv2d(8, 16, (3, 1), stride=2, padding=(1, 0), dilation=(2, 1), groups=groups)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), grouped, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 3)
    )


def images() -> torch.Tensor:
    return torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("groups", [2, 4, 8])
def test_it_computes_what_the_grouped_convolution_does(groups: int) -> None:
    torch.manual_seed(1)
    layer, x = nn.Conv2d(8, 16, 3, stride=2, padding=1, groups=groups).double(), torch.randn(2, 8, 7, 9).double()
    parts = GroupedConvolution(layer)
    assert len(parts.groups) == groups
    torch.testing.assert_close(parts(x), layer(x), atol=1e-13, rtol=0)
    torch.testing.assert_close(parts(x[0]), layer(x[0]), atol=1e-13, rtol=0)


def test_a_network_without_groups_stays_itself_and_one_with_them_is_a_copy() -> None:
    plain = nn.Sequential(nn.Conv2d(1, 2, 3))
    assert ungrouped(plain) is plain
    model = network().eval()
    torch.manual_seed(7)
    replaced, drawn = ungrouped(model), torch.rand(1)
    torch.manual_seed(7)
    assert torch.equal(drawn, torch.rand(1))
    assert is_grouped(model[1])  # type: ignore[index]
    assert not any(map(is_grouped, replaced.modules()))
    torch.testing.assert_close(replaced(images()), model(images()))
    assert not any(module.training for module in replaced.modules())


def test_on_tiles_every_group_is_an_analog_layer_of_its_own() -> None:
    model = network()
    analog = convert(model, rpu_config(HardwareParams(tile_size=8))).eval()
    structure = observe(ungrouped(model), images()).structure
    assert number_of_tiles(analog) == counted(structure, 8) == 2 + 4 + 2
    assert structure.params == sum(parameter.numel() for parameter in model.parameters())
    assert {layer.depth for layer in structure.layers if layer.name.startswith("1.")} == {2}
    names = [name for name, _ in tiles(analog)]
    assert sum(".groups." in name for name in names) == 4
    grouped = ["1.groups.0", "1.groups.1", "5"]
    assert units(analog, grouped) == {"1": ["1.groups.0", "1.groups.1"], "5": ["5"]}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("gradients", [True, False])
def test_it_equals_analog_convolutions_group_by_group(dtype: torch.dtype, gradients: bool) -> None:
    """The reference is a network for each group, put on tiles by itself, with its own scales and converters."""
    config = rpu_config(HardwareParams(out_noise=0, weight_noise=0))
    torch.manual_seed(2)
    layer, x = nn.Conv2d(8, 8, 3, padding=1, groups=4), 2 * torch.randn(2, 8, 6, 6).to(dtype)
    together = convert(nn.Sequential(layer), config).to(dtype).eval()
    alone = [convert(nn.Sequential(part), config).to(dtype).eval() for part in GroupedConvolution(layer).groups]
    for place, (_, tile) in enumerate(tiles(together)):
        (_, other), *_ = tiles(alone[place])
        for one in (tile, other):
            one.input_range.data.fill_(0.7 + 0.3 * place)
            one.alpha = torch.ones_like(one.alpha) * (1 + place)
    with torch.set_grad_enabled(gradients):
        given, reference = (x.clone().requires_grad_(gradients) for _ in range(2))
        found = together(given)
        expected = torch.cat([part(reference[:, 2 * place : 2 * place + 2]) for place, part in enumerate(alone)], 1)
        torch.testing.assert_close(found, expected, atol=1e-11 if dtype == torch.float64 else 1e-5, rtol=0)
        if gradients:
            found.square().sum().backward()
            expected.square().sum().backward()
            near = {"atol": 1e-9 if dtype == torch.float64 else 1e-3, "rtol": 1e-11 if dtype == torch.float64 else 1e-3}
            torch.testing.assert_close(given.grad, reference.grad, **near)
            for place, (_, tile) in enumerate(tiles(together)):
                (_, other), *_ = tiles(alone[place])
                torch.testing.assert_close(tile.input_range.grad, other.input_range.grad, **near)
                torch.testing.assert_close(tile.tile.weight.grad, other.tile.weight.grad, **near)
    assert not torch.allclose(found, layer.to(dtype)(x), atol=1e-3)  # the converters are at work


def test_without_gradients_the_groups_are_computed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    model = convert(nn.Sequential(nn.Conv2d(8, 8, 3, groups=4)), rpu_config(HardwareParams())).eval()
    calls: list[int] = []
    original = GroupedConvolution._together

    def counted(self: Any, *given: Any) -> torch.Tensor:
        calls.append(1)
        return original(self, *given)

    monkeypatch.setattr(GroupedConvolution, "_together", counted)
    with torch.no_grad():
        model(torch.randn(2, 8, 6, 6))
        assert calls == [1]
        model.train()
        model(torch.randn(2, 8, 6, 6))
    model.eval()(torch.randn(2, 8, 6, 6))
    assert calls == [1]


def test_in_training_the_groups_are_computed_at_once_and_all_of_a_tile_is_learned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = rpu_config(HardwareParams(out_noise=0, weight_noise=0))
    config.pre_post.input_range.init_from_data = 2
    torch.manual_seed(2)
    layer = nn.Conv2d(8, 16, 3, stride=2, padding=1, groups=4)
    together, apart = (convert(nn.Sequential(layer), config).to(torch.float64).train() for _ in range(2))
    monkeypatch.setattr(apart[0], "_alike", lambda: False)
    for step in range(4):  # in the first two the input ranges follow the data
        given, reference = (
            (1 + step) * torch.randn(2, 8, 6, 6, generator=torch.Generator().manual_seed(step)).double()
            for _ in range(2)
        )
        out, expected = together(given), apart(reference)
        torch.testing.assert_close(out, expected, atol=1e-11, rtol=0)
        for outputs in (out, expected):
            outputs.square().sum().backward()
    assert sum(type(module).__name__ == "FastConvolution" for module in together.modules()) == 4
    for (name, tile), (_, other) in zip(tiles(together), tiles(apart), strict=True):
        torch.testing.assert_close(tile.input_range, other.input_range, atol=1e-12, rtol=0, msg=name)
        assert int(tile.input_range_update_idx) == int(other.input_range_update_idx) == 2
        torch.testing.assert_close(tile.input_range.grad, other.input_range.grad, atol=1e-9, rtol=1e-11)
        torch.testing.assert_close(tile.tile.weight.grad, other.tile.weight.grad, atol=1e-9, rtol=1e-11)
    bias = together[0].groups[2].analog_module.bias.grad
    torch.testing.assert_close(bias, apart[0].groups[2].analog_module.bias.grad, atol=1e-9, rtol=1e-11)


def _bounded(tile: Any) -> None:
    tile.rpu_config.forward.out_bound = 0.1


def _compensated(tile: Any) -> None:
    tile.alpha = torch.full_like(tile.alpha, 3)


def _scaled(tile: Any) -> None:
    tile.mapping_scales = tile.mapping_scales * 2


def _ranged(tile: Any) -> None:
    tile.input_range.data = tile.input_range.data * 0.3


def _programmed(tile: Any) -> None:
    tile.tile.weight.data = tile.tile.weight.data * 0.5


@pytest.mark.parametrize("gradients", [True, False])
@pytest.mark.parametrize("change", [_bounded, _compensated, _scaled, _ranged, _programmed])
def test_what_is_changed_in_one_tile_later_counts_at_once(change: Any, gradients: bool) -> None:
    """Nothing of a tile is remembered from call to call."""
    config = rpu_config(HardwareParams(out_noise=0, weight_noise=0))
    torch.manual_seed(2)
    model, x = convert(nn.Sequential(nn.Conv2d(6, 6, 3, groups=6)), config).eval(), 2 * torch.randn(2, 6, 6, 6)
    with torch.set_grad_enabled(gradients):
        before = model(x)
        change(next(tile for name, tile in tiles(model) if ".3." in name))
        after = model(x)
    changed = ((before - after).abs() > 1e-4).flatten(2).any(2).any(0)
    assert changed.tolist() == [place == 3 for place in range(6)]


def test_the_same_seed_gives_the_same_bytes() -> None:
    """Outputs on any number of threads; oneDNN's sums of gradients go by it, and stages run on one."""
    config = rpu_config(HardwareParams())
    torch.manual_seed(2)
    network, threads = nn.Sequential(nn.Conv2d(6, 6, 3, groups=6), nn.Conv2d(6, 8, 1)), torch.get_num_threads()
    found = []
    try:
        for number in (1, 1, 2):
            torch.set_num_threads(number)
            torch.manual_seed(3)
            model = convert(network, config).train()
            x = torch.randn(9, 6, 6, 6, requires_grad=True)
            out = model(x)
            out.square().sum().backward()
            ranges = [tile.input_range.grad for _, tile in tiles(model)]
            weights = [tile.tile.weight.grad for _, tile in tiles(model)]
            with torch.no_grad():
                found.append([out.detach(), model.eval()(x), x.grad, *ranges, *weights])
    finally:
        torch.set_num_threads(threads)
    first, second, other = found
    assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))
    assert all(torch.equal(one, two) for one, two in zip(first[:2], other[:2], strict=True))


def test_a_group_of_few_weights_is_not_clipped_at_their_deviation() -> None:
    from aihwkit.optim import AnalogSGD
    from aihwkit.simulator.parameters.enums import WeightClipType

    few, many = nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(32, 32, 3, groups=2)
    with torch.no_grad():
        few.weight.copy_(torch.ones(4, 1, 3, 3) + 0.01 * torch.randn(4, 1, 3, 3))
    analog = convert(nn.Sequential(few, nn.Conv2d(4, 32, 1), many), rpu_config(HardwareParams())).train()
    clips = {name: tile.rpu_config.clip.type for name, tile in tiles(analog)}
    assert [name for name, kind in clips.items() if kind == WeightClipType.NONE] == [
        f"0.groups.{place}.analog_module" for place in range(4)
    ]
    assert list(clips.values()).count(WeightClipType.LAYER_GAUSSIAN) == 3
    optimizer = AnalogSGD(analog.parameters(), lr=1e-6)
    optimizer.regroup_param_groups(analog)
    for _ in range(5):
        optimizer.zero_grad()
        analog(torch.randn(2, 4, 6, 6)).sum().backward()
        optimizer.step()
    for place in range(4):
        (tile,) = analog[0].groups[place].analog_tiles()
        torch.testing.assert_close(
            tile.tile.weight * tile.mapping_scales, few.weight[place].view(1, -1), atol=1e-3, rtol=0
        )


def test_its_clean_weights_come_back() -> None:
    config = rpu_config(HardwareParams())
    first = convert(network(), config).eval()
    torch.manual_seed(9)
    second = convert(network(), config).eval()
    load_clean_state(second, clean_state(first))
    torch.manual_seed(4)
    expected = first(images())
    torch.manual_seed(4)
    torch.testing.assert_close(second(images()), expected)
