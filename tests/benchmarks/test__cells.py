from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from benchmarks._cells import Cells, interval, latent_values

pytestmark = pytest.mark.skipif(find_spec("analognasbench") is None, reason="analog-nasbench is not installed")


@pytest.fixture(scope="module")
def cells() -> Cells:
    return Cells.load()


def functions(cells: Cells, rows: np.ndarray) -> list[str]:
    return cells.table["function_id"].iloc[rows].tolist()


@pytest.mark.parametrize("final", [False, True])
def test_no_function_is_learned_and_tested(cells: Cells, final: bool) -> None:
    learn, test = cells.split(3, 100, 400, final)
    learned, tested = functions(cells, learn), functions(cells, test)
    assert len(set(learned)) == len(learned) == 100
    assert len(set(tested)) == len(tested) == 400
    assert not set(learned) & set(tested)


def test_what_is_set_aside_is_neither_learned_nor_tested_by_default(cells: Cells) -> None:
    learn, test = cells.split(1, 500, 5000, final=False)
    kept = set(functions(cells, np.flatnonzero(cells.set_aside)))
    assert not cells.set_aside[learn].any()
    assert not set(functions(cells, learn)) & kept
    assert not cells.set_aside[test].any()
    learn, test = cells.split(1, 500, 5000, final=True)
    assert not set(functions(cells, learn)) & kept
    assert cells.set_aside[test].all()


def test_seeds_draw_other_functions_and_other_cells_for_them(cells: Cells) -> None:
    first, again, other = (cells.split(seed, 50, 50, False) for seed in (1, 1, 2))
    assert np.array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0])


@pytest.mark.long
def test_latent_values_are_those_of_functions(cells: Cells) -> None:
    latent = latent_values(cells)
    spread = cells.table.assign(latent=latent).groupby("function_id")["latent"].agg(lambda values: np.ptp(values))
    assert spread.max() < 1e-9
    # The best label is luck: its function is worth less, and another one more.
    assert latent[cells.table["acc_1d"].argmax()] < latent.max() < cells.table["acc_1d"].max()


def test_intervals_are_over_seeds() -> None:
    found = interval([1.0, 2.0, 3.0])
    assert found["mean"] == 2.0
    assert found["low"] == pytest.approx(2 - 4.303 / 3**0.5, abs=1e-3)
