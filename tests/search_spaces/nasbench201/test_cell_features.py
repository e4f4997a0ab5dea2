from __future__ import annotations

import itertools

import pytest

from analognas.search_spaces.nasbench201.cell import canonical
from analognas.search_spaces.nasbench201.cell_features import cell_features

CELLS = list(itertools.product(range(5), repeat=6))[::7]


def test_all_cells_have_the_same_names_and_no_infinities() -> None:
    names = {tuple(cell_features(cell)) for cell in CELLS}
    assert len(names) == 1
    assert len(next(iter(names))) == 113
    assert all(abs(value) < 1e3 for cell in CELLS for value in cell_features(cell).values())


def test_cells_of_one_function_look_alike_but_for_pooled_sums() -> None:
    """Pooling a sum is one operation where pooling its terms is several: only there counts differ."""
    seen: dict[str, tuple[float, ...]] = {}
    for cell in CELLS:
        if 4 not in cell:
            known = seen.setdefault(canonical(cell), tuple(cell_features(cell).values()))
            assert known == pytest.approx(tuple(cell_features(cell).values()))


def test_features_are_what_their_names_say() -> None:
    # Edges 12, 13, 14, 23, 24, 34: conv3x3, conv1x1, skip, pool, none, conv3x3.
    found = cell_features((2, 3, 0, 4, 1, 2))
    assert found["alive"] == 1
    assert found["paths"] == 3  # skip; 1x1, 3x3; 3x3, pool, 3x3
    assert (found["count_c3"], found["count_c1"], found["count_pool"], found["weights"]) == (2, 1, 1, 19)
    assert (found["max_depth"], found["min_depth"], found["sum_depth"]) == (2, 0, 4)
    assert (found["max_field"], found["paths_skip_only"]) == (6, 1)
    assert found["profile_110"] == found["profile_201"] == found["profile_000"] == 1
    assert found["sequence_c3_pool_c3"] == found["sequence_c1_c3"] == 1
    assert sum(value for name, value in found.items() if name.startswith("sequence_")) == 3
    assert (found["paths_conv_pool"], found["paths_pool_conv"]) == (1, 1)
    assert (found["of_sums"], found["shared"]) == (1, 0)
    assert found["share_input"] == found["share_c3"] == 0.5


def test_noise_adds_up_along_a_chain_and_is_diluted_by_a_shortcut() -> None:
    chain, beside = cell_features((2, 1, 1, 2, 1, 2)), cell_features((2, 1, 0, 2, 1, 2))
    assert chain["cell_noise_c3"] == 3
    assert beside["cell_noise_c3"] == pytest.approx(1.5)
    assert chain["network_depth"] > beside["network_depth"]


def test_a_dead_cell_has_nothing() -> None:
    found = cell_features((2, 1, 1, 1, 1, 1))
    assert found["alive"] == found["paths"] == found["weights"] == 0
    assert found["cell_log_variance"] == -3
