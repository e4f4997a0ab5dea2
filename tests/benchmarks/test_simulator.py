import numpy as np
import pandas as pd
import pytest

from benchmarks._cells import Cells
from benchmarks.simulator import choose, compare, twins


@pytest.fixture(scope="module")
def cells() -> Cells:
    return Cells.load()


def test_cells_are_spread_over_the_published_accuracy_and_no_two_are_twins(cells: Cells):
    chosen = choose(cells, 24, seed=0)
    assert chosen == choose(cells, 24, seed=0) != choose(cells, 24, seed=1)
    accuracy = cells.table["acc_1d"].to_numpy()
    assert (np.diff(accuracy[chosen]) > 0).all()
    assert accuracy[chosen[0]] < 65
    assert accuracy[chosen[-1]] > 86
    assert cells.table["function_id"].iloc[chosen].is_unique


def test_twins_agree_as_far_as_the_labels_can(cells: Cells):
    found = twins(cells)
    assert found["acc_1d"] == pytest.approx(0.74, abs=0.02)  # measured before, another way
    assert found["avm"] == pytest.approx(0.56, abs=0.03)


def test_agreement_of_figures():
    rng = np.random.default_rng(0)
    published = pd.DataFrame({"acc_1d": rng.normal(size=30), "avm": rng.normal(size=30)})
    same = compare(published, published * 2 + 1)
    assert same["acc_1d"]["tau"] == same["avm"]["spearman"] == pytest.approx(1)
    other = compare(published, published.iloc[::-1])["acc_1d"]
    assert other["low"] < 0 < other["high"]
