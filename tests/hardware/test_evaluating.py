from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from aihwkit.inference.compensation.drift import PerColumnDriftCompensation
from scipy import stats
from torch import Tensor, fx, nn

from analognas.hardware import convert, images_last
from analognas.hardware import converters as conv
from analognas.hardware.analog import tiles
from analognas.hardware.devices import Devices
from analognas.hardware.evaluating import for_evaluation
from analognas.search_spaces import ConfigSpace

Maker = Callable[..., Any]


class Net(nn.Module):
    """Every way in which layers follow each other: joined, shared, and without batch-norm."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 7, 3, padding=1), nn.BatchNorm2d(7)
        self.block = nn.Sequential(nn.Conv2d(7, 7, 3, 1, 1, bias=False), nn.BatchNorm2d(7), nn.ReLU())
        self.shared, self.after = nn.Conv2d(7, 7, 1), nn.BatchNorm2d(7, affine=False)
        self.alone = nn.Conv2d(7, 5, 3, 2)
        self.head = nn.Linear(5 * 9, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.first(x)))
        x = x + self.block(x)
        shared = self.shared(x)
        x = self.after(shared) + shared
        out: Tensor = self.head(self.alone(x.relu()).flatten(1))
        return out


def silent(config: Any) -> None:
    config.forward.out_noise = 0.0


def no_bounds(config: Any) -> None:
    """Steps so fine that rounding on the other side of one is no difference."""
    config.forward.inp_res = config.forward.out_res = 1e-6


def by_column(config: Any) -> None:
    config.drift_compensation = PerColumnDriftCompensation()


def learned(config: Any) -> None:
    config.mapping.learn_out_scaling = config.mapping.out_scaling_columnwise = True


@pytest.fixture
def network(bench: Maker) -> Callable[..., nn.Module]:
    def make(net: nn.Module, *changes: Any, tile_size: int = 256) -> nn.Module:
        torch.manual_seed(0)
        model = convert(net, bench(*changes, tile_size=tile_size)).train()
        with torch.no_grad():
            for _ in range(3):  # input ranges and batch statistics
                model(torch.randn(16, *shape(net)))
            for _, tile in tiles(model):
                if tile.out_scaling_alpha is not None:
                    tile.out_scaling_alpha.data.uniform_(0.5, 2)
        return model.eval()

    return make


def shape(net: nn.Module) -> tuple[int, ...]:
    return (3, 8, 8) if isinstance(net, Net) else (1, 8, 8)


def resnet() -> nn.Module:
    return ConfigSpace("digits", max_params=20_000).sample(3, seed=1)[-1].build()


@pytest.mark.parametrize("way", ["loops", "images last", "tensors"])
@pytest.mark.parametrize("tile_size", [256, 20])
@pytest.mark.parametrize("make", [Net, resnet])
@pytest.mark.parametrize("changes", [(), (learned,), (by_column,)], ids=["bench", "learned", "by column"])
def test_without_noise_it_computes_the_same(
    network: Maker, make: Any, changes: Any, tile_size: int, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = make()
    model = network(net, silent, no_bounds, *changes, tile_size=tile_size)
    devices = Devices(model)
    devices.program()
    devices.drift(1e6)
    form = for_evaluation(model)
    if way == "tensors":
        monkeypatch.setattr(conv, "fast", lambda tensor: False)
    x = torch.randn(19 if way == "images last" else 5, *shape(net))
    assert images_last.takes(x) == (way == "images last")
    with torch.no_grad():
        expected, found = model(x), form(x)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_what_follows_is_joined_only_where_nothing_else_needs_it(network: Maker) -> None:
    form = for_evaluation(network(Net()))
    assert isinstance(form, fx.GraphModule)
    called = [str(node.target) for node in form.graph.nodes if node.op == "call_module"]
    assert called == ["joined_0", "joined_1", "shared", "after", "alone", "head"]
    assert [form.joined_0.rectified, form.joined_1.rectified] == [True, True]


def test_a_shortcut_is_added_in_the_same_pass(network: Maker) -> None:
    """Also where both terms are convolutions, and where they are not of one shape."""

    class Shortcuts(Net):
        def __init__(self) -> None:
            super().__init__()
            self.way, self.way_norm = nn.Conv2d(3, 7, 1), nn.BatchNorm2d(7)
            self.line, self.line_norm = nn.Conv2d(7, 7, 1), nn.BatchNorm2d(7)

        def forward(self, x: Tensor) -> Tensor:
            x = torch.relu(self.norm(self.first(x)) + self.way_norm(self.way(x)))
            x = (x + self.after(self.shared(x))).relu()
            x = torch.relu(x.mean((2, 3), keepdim=True) + self.line_norm(self.line(x)))
            out: Tensor = self.head(self.alone(x).flatten(1))
            return out

    for tile_size in (256, 20):
        model = network(Shortcuts(), silent, no_bounds, tile_size=tile_size)
        form = for_evaluation(model)
        called = [str(node.target) for node in form.graph.nodes if node.op != "placeholder"]
        assert called == ["joined_1", "joined_0", "joined_2", "mean", "joined_3", "alone", "flatten", "head", "output"]
        for images in (5, 19):
            x = torch.randn(images, 3, 8, 8)
            with torch.no_grad():
                expected, found = model(x), form(x)
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


@pytest.mark.parametrize("way", ["loops", "tensors"])
@pytest.mark.parametrize("changes", [(), (by_column,)], ids=["bench", "by column"])
def test_groups_are_joined_with_what_follows_too(
    network: Maker, changes: Any, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With channels last in all layers: from one layout into the other takes longer than any of them saves."""

    class Separable(Net):
        def __init__(self) -> None:
            super().__init__()
            self.depthwise, self.its_norm = nn.Conv2d(7, 14, 3, padding=1, groups=7), nn.BatchNorm2d(14)
            self.back, self.back_norm = nn.Conv2d(14, 7, 1, groups=7, bias=False), nn.BatchNorm2d(7)

        def forward(self, x: Tensor) -> Tensor:
            x = torch.relu(self.norm(self.first(x)))
            between = self.its_norm(self.depthwise(x)).relu()
            x = torch.relu(self.back_norm(self.back(between)) + x)
            x = x.mean((2, 3), keepdim=True) + self.back_norm(self.back(between))
            out: Tensor = self.head(self.alone(x).flatten(1))
            return out

    model = network(Separable(), silent, no_bounds, *changes)
    devices = Devices(model)
    devices.program()
    devices.drift(1e6)
    form = for_evaluation(model)
    called = [str(node.target) for node in form.graph.nodes if node.op == "call_module"]
    assert called == ["joined_0", "joined_1", "joined_2", "joined_3", "alone", "head"]
    if way == "tensors":
        monkeypatch.setattr(conv, "fast", lambda tensor: False)
    monkeypatch.setattr(images_last, "lines_of", lambda *given: pytest.fail("another layout"))
    x = torch.randn(19, 3, 8, 8)
    with torch.no_grad():
        expected, found = model(x), form(x)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
    given = x.clone().requires_grad_()
    form(given).sum().backward()
    assert given.grad is not None


@pytest.mark.parametrize("together", [1, 40])
def test_the_noise_is_that_of_the_network(network: Maker, together: int) -> None:
    """Mean and variance of every output over 2,000 passes (false alarm rate 1e-6)."""
    model = network(Net())
    form = for_evaluation(model)
    x = torch.randn(1, 3, 8, 8).expand(together, 3, 8, 8)
    torch.manual_seed(1)
    with torch.no_grad():
        ours, theirs = (torch.cat([one(x) for _ in range(2_000 // together)]).double() for one in (form, model))
    z = (ours.mean(0) - theirs.mean(0)).abs() / ((ours.var(0) + theirs.var(0)) / 2_000).sqrt()
    assert z.max() < stats.norm.isf(1e-6 / 4)
    assert (ours.var(0) / theirs.var(0)).log().abs().max() < stats.norm.isf(1e-6 / 4) * (4 / 2_000) ** 0.5 * 1.15


def test_it_sees_later_weights_and_follows_the_seed(network: Maker) -> None:
    model = network(Net(), silent)
    form = for_evaluation(model)
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        before = form(x)
        assert torch.equal(before, form(x))
        devices = Devices(model)
        devices.program()
        devices.drift(1.0)
        assert not torch.equal(before, form(x))
        for _, tile in tiles(model):
            tile.rpu_config.forward.out_noise = 0.04
        torch.manual_seed(1)
        first = form(x)
        assert not torch.equal(first, form(x))
        torch.manual_seed(1)
        assert torch.equal(first, form(x))


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm(self.conv(x))
        return out if out.sum() > 0 else -out


def test_what_cannot_be_traced_stays_as_it_is(network: Maker, bench: Maker) -> None:
    for net in (Branching(), nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())):
        model = convert(net, bench()).eval()
        assert for_evaluation(model) is model
