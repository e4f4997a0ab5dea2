from __future__ import annotations

import pytest

from analognas.errors import SpaceError
from analognas.search_spaces import ConfigSpace
from analognas.search_spaces.nasbench201 import NASBench201Space

SPACE = NASBench201Space()


def cell(*operations: int, space: ConfigSpace = SPACE, **sizes: int):
    names = ("edge12", "edge13", "edge14", "edge23", "edge24", "edge34")
    return space.architecture({**dict(zip(names, operations, strict=True)), **sizes})


def test_the_space_is_the_published_one() -> None:
    assert SPACE.size() == 15_625 == len({one.id for one in SPACE.enumerate()})
    assert SPACE.name == "nasbench201-cifar10"
    assert list(SPACE.sample(1)[0].genes) == ["edge12", "edge13", "edge14", "edge23", "edge24", "edge34"]


def test_parameters_are_those_of_the_publication() -> None:
    """1.532 M for the cell of 3x3 convolutions only, 0.073 M without convolutions (NAS-Bench-201's API)."""
    assert cell(2, 2, 2, 2, 2, 2).params == pytest.approx(1.531546e6, rel=1e-3)
    assert cell(1, 1, 1, 1, 1, 1).params == pytest.approx(0.073306e6, rel=1e-3)


def test_dead_edges_cost_nothing() -> None:
    dead, alive = cell(2, 1, 0, 1, 1, 1), cell(1, 1, 0, 1, 1, 1)
    assert dead.params == alive.params
    assert dead.function_id == alive.function_id
    assert dead.id != alive.id


def test_width_and_depth_are_genes_only_where_they_are_asked_for() -> None:
    small = NASBench201Space("digits", channels=4, cells=1)
    (one,) = small.sample(1)
    assert (one.genes["channels"], one.genes["cells"]) == (4, 1)
    wide = ConfigSpace("digits", family="nasbench201", ranges={"channels": [4, 8], "cells": [1, 2]})
    assert {a.genes["channels"] for a in wide.sample(60)} == {4, 5, 6, 7, 8}
    twins = [cell(1, 1, 2, 1, 1, 1, space=wide, channels=4, cells=n).function_id for n in (1, 2)]
    assert twins[0] != twins[1]
    assert set(wide.mutations) == {"operation", "size"}


@pytest.mark.parametrize("value", [5, -1, "conv3x3"])
def test_an_unknown_operation_is_refused(value: int | str) -> None:
    with pytest.raises(SpaceError, match="edge14"):
        SPACE.architecture(dict.fromkeys(("edge12", "edge13", "edge23", "edge24", "edge34"), 0) | {"edge14": value})


def test_paths_through_the_network() -> None:
    structure = cell(2, 1, 0, 2, 1, 2).structure  # three convolutions in a row beside a shortcut
    assert structure.longest_path == 1 + 15 * 3 + 2 * 2 + 1
    assert structure.shortest_path == 1 + 2 * 1 + 1
    assert structure.skips == 15
    assert max(layer.depth for layer in structure.layers) == structure.longest_path
    assert structure.widths == (16, 32, 64)
