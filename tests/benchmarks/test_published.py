from __future__ import annotations

from importlib.util import find_spec

import pytest

from benchmarks import published
from benchmarks._cells import Cells

pytestmark = pytest.mark.skipif(find_spec("analognasbench") is None, reason="analog-nasbench is not installed")


def test_only_digital_accuracies_are_learnt() -> None:
    cells = Cells.load()
    table = published.digital(cells).table
    for name in ("acc_1d", "acc_30d", "acc_60s", "acc_hwa"):
        assert table[name].equals(cells.table["acc_digital"].rename(name))
    assert table["id"].equals(cells.table["id"])


def test_every_cell_is_tested_and_more_cells_help() -> None:
    found = published.measure([20, 78], [0], ["xgboost"])
    few, more = (found["tau"]["xgboost"][size]["mean"] for size in (20, 78))
    assert 0.3 < few < more < 0.95
