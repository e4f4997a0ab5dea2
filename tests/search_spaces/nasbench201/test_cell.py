from __future__ import annotations

import itertools

import pytest

from analognas.search_spaces.nasbench201.cell import canonical, live, paths

CELLS = list(itertools.product(range(5), repeat=6))


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ((2, 1, 1, 1, 1, 2), (1, 1, 1, 1, 1, 1)),  # nothing leaves node 2, nothing reaches node 3
        ((1, 2, 1, 3, 3, 2), (1, 2, 1, 1, 1, 2)),  # nothing reaches node 2
        ((2, 2, 0, 2, 1, 1), (1, 1, 0, 1, 1, 1)),  # nothing leaves node 3
        ((2, 3, 4, 2, 3, 0), (2, 3, 4, 2, 3, 0)),
    ],
)
def test_an_edge_on_no_path_is_dead(cell: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert live(cell) == expected


def test_paths_list_their_operations() -> None:
    assert paths((2, 3, 4, 0, 1, 2)) == ((4,), (3, 2), (2, 0, 2))
    assert paths((1,) * 6) == ()


# Edges: 12, 13, 14, 23, 24, 34. Skip 0, none 1, conv3x3 2, conv1x1 3, pool 4.
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((1, 2, 1, 1, 1, 0), (2, 1, 1, 1, 0, 1)),  # a convolution through node 3 or node 2
        ((2, 1, 1, 1, 0, 1), (1, 1, 2, 1, 1, 1)),  # ... or directly
        ((0, 1, 1, 0, 1, 2), (1, 1, 2, 1, 1, 1)),  # identities before it
        ((2, 3, 1, 1, 0, 0), (3, 2, 1, 1, 0, 0)),  # the order of a sum
        ((2, 3, 1, 1, 2, 3), (3, 2, 1, 1, 3, 2)),  # nodes 2 and 3 exchanged
        ((2, 1, 1, 4, 1, 0), (2, 1, 1, 1, 4, 1)),  # pooled on one edge or the next
        ((2, 0, 1, 0, 1, 4), (2, 1, 4, 1, 4, 1)),  # pooling a sum is the sum of what is pooled
    ],
)
def test_cells_of_the_same_function_share_a_text(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    assert canonical(a) == canonical(b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((1, 1, 2, 1, 1, 1), (1, 1, 3, 1, 1, 1)),  # another operation
        ((2, 0, 1, 1, 0, 1), (2, 0, 0, 1, 0, 1)),  # with and without a shortcut
        ((2, 1, 2, 1, 0, 1), (2, 1, 1, 0, 0, 0)),  # two convolutions, or one counted twice
        ((2, 2, 1, 1, 2, 2), (2, 1, 2, 1, 2, 1)),  # two chains, or a chain and one convolution
        ((4, 0, 1, 0, 1, 2), (4, 1, 2, 1, 2, 1)),  # a convolution of a sum is not the sum of convolutions
    ],
)
def test_cells_of_different_functions_do_not(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    assert canonical(a) != canonical(b)


def test_all_cells_fall_into_the_known_number_of_functions() -> None:
    texts = {canonical(cell) for cell in CELLS}
    assert len(texts) == 5044
    assert sum(canonical(cell) == "0" for cell in CELLS) == sum(not paths(cell) for cell in CELLS)


def test_dead_edges_never_matter() -> None:
    for cell in CELLS[::37]:
        assert canonical(cell) == canonical(live(cell))
