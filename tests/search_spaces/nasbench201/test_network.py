from __future__ import annotations

import pytest
import torch
from torch import nn

from analognas.search_spaces import ConfigSpace
from analognas.search_spaces.nasbench201 import NASBench201Space
from analognas.search_spaces.nasbench201.cell import CONV1X1, CONV3X3, NONE, POOL
from analognas.search_spaces.nasbench201.network import CellModule, NASBench201Network, Reduction

SPACE = NASBench201Space()


def cell(*operations: int, space: ConfigSpace = SPACE, **sizes: int):
    names = ("edge12", "edge13", "edge14", "edge23", "edge24", "edge34")
    return space.architecture({**dict(zip(names, operations, strict=True)), **sizes})


def test_a_cell_is_the_sum_over_its_paths() -> None:
    network = cell(2, 3, 4, 0, 1, 2).build().eval()
    assert isinstance(network, NASBench201Network)
    first = network.stages[0].cells[0]
    x = torch.randn(2, 16, 8, 8)
    op = first.operations
    with torch.no_grad():
        node2 = op["edge12"](x)
        node3 = op["edge13"](x) + node2
        expected = op["edge14"](x) + op["edge34"](node3)
        torch.testing.assert_close(first(x), expected)
    assert set(op) == {"edge12", "edge13", "edge14", "edge23", "edge34"}


def test_a_cell_without_a_path_still_trains() -> None:
    network = cell(1, 1, 1, 1, 1, 1, space=NASBench201Space("digits", channels=2, cells=1), channels=2, cells=1).build()
    out = network(torch.randn(4, 1, 8, 8))
    nn.functional.cross_entropy(out, torch.zeros(4, dtype=torch.long)).backward()
    assert network.head.linear.bias.grad.abs().sum() > 0


def test_a_cell_that_nothing_reaches_gives_zeros() -> None:
    x = torch.randn(2, 4, 5, 5)
    assert not CellModule((NONE,) * 6, 4)(x).any()
    assert not CellModule((CONV3X3, NONE, NONE, NONE, NONE, NONE), 4)(x).any()


def test_pooling_counts_no_padding_and_keeps_the_size() -> None:
    pooled = CellModule((NONE, NONE, POOL, NONE, NONE, NONE), 4)
    torch.testing.assert_close(pooled(torch.ones(1, 4, 5, 5)), torch.ones(1, 4, 5, 5))


@pytest.mark.parametrize(("side", "halved"), [(8, 4), (7, 4), (1, 1)])
def test_a_reduction_doubles_the_channels_and_halves_the_sides_rounded_up(side: int, halved: int) -> None:
    assert Reduction(4, 8).eval()(torch.randn(2, 4, side, side)).shape == (2, 8, halved, halved)


def test_only_the_first_stage_keeps_the_size() -> None:
    network = NASBench201Network((CONV1X1,) * 6, 4, 2, (1, 8, 8), 10).eval()
    x = network.stem(torch.randn(3, 1, 8, 8))
    shapes = []
    for stage in network.stages:
        x = stage(x)
        shapes.append(tuple(x.shape))
    assert shapes == [(3, 4, 8, 8), (3, 8, 4, 4), (3, 16, 2, 2)]
    assert [len(stage.cells) for stage in network.stages] == [2, 2, 2]
    assert network.head(x).shape == (3, 10)
