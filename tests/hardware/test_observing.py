from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from analognas.hardware.cost import tiles
from analognas.hardware.observing import observe
from analognas.search_spaces.config_space import ConfigSpace


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.long = nn.Sequential(nn.Conv2d(4, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(4, 4, (1, 3)))
        self.short = nn.Conv2d(4, 4, 1, stride=2)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        y = self.long(x)
        y += self.short(x)[..., : y.shape[-1]]
        out: Tensor = self.head(y.mean((2, 3)))
        return out


def test_layers_have_the_sizes_and_depths_of_the_forward_pass() -> None:
    structure = observe(Residual(), torch.randn(2, 1, 8, 8)).structure
    seen = {layer.name: (layer.depth, layer.out_height, layer.out_width, layer.rows) for layer in structure.layers}
    assert seen == {
        "stem": (1, 8, 8, 9),
        "long.0": (2, 4, 4, 36),
        "long.2": (3, 4, 2, 12),
        "short": (2, 4, 4, 4),
        "head": (4, 1, 1, 4),
    }
    assert (structure.longest_path, structure.shortest_path) == (4, 3)


def test_a_network_of_a_space_is_seen_as_its_space_describes_it() -> None:
    for architecture in ConfigSpace("digits").sample(3, seed=1):
        network, known = architecture.build(), architecture.structure
        seen = observe(network, torch.randn(2, *architecture.space.input_shape)).structure

        def by_name(structure: object) -> dict:
            return {layer.name: layer for layer in structure.layers}  # type: ignore[attr-defined]

        assert by_name(seen) == by_name(known)
        assert (seen.params, seen.macs) == (architecture.params, known.macs)
        assert (seen.longest_path, tiles(seen, 64)) == (known.longest_path, tiles(known, 64))


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell, self.lstm, self.unused = nn.Linear(8, 8), nn.LSTM(8, 8, batch_first=True), nn.Linear(2, 2)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.cell(self.cell(x.squeeze(1)))
        out: Tensor = self.head(self.lstm(x)[0][:, -1])
        return out


def test_uses_are_counted_and_what_is_not_used_is_named() -> None:
    network = Recurrent().train()
    observed = observe(network, torch.randn(2, 1, 5, 8))
    cell, head = observed.structure.layers
    assert (cell.out_height, cell.out_width, cell.macs) == (10, 1, 640)
    assert (head.depth, observed.structure.longest_path) == (3, 3)  # two calls; an LSTM hands on
    assert [(finding.kind, finding.layer, finding.ends) for finding in observed.findings] == [
        ("reused", "cell", False),
        ("unused", "unused", False),
    ]
    assert network.training
    assert not network._forward_hooks
    assert not network.cell._forward_hooks


def test_what_the_network_raises_is_raised_and_no_hook_stays() -> None:
    network = Residual()
    with pytest.raises(RuntimeError):
        observe(network, torch.randn(2, 3, 8, 8))
    assert not network.stem._forward_hooks
    assert network.training
