from __future__ import annotations

import time
from pathlib import Path

import pytest

from analognas.tracking.metrics import curves, flat_metrics
from analognas.workspace import Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Return a workspace with tables of curves."""
    found = Paths(tmp_path)
    found.plot("x").parent.mkdir(parents=True)
    found.plot("train.csv").write_text("network,seconds,accuracy,std\nplain net,1,80,1\nplain net,86399.7,70,2.5\n")
    found.plot("search.csv").write_text(
        "search,evaluation,best\nea,4,60\nea,1,\nea,2,50\nea,3,50\nrandom/1,1,60\nrandom/1,2,60\nea,5,\n"
    )
    found.plot("fit.csv").write_text("id,acc_1d\na,90\n")
    return found


def test_numbers_are_found_at_every_depth_and_nothing_else():
    before = time.time()
    found = flat_metrics({"rows": 3, "note": "text", "no": None, "a": {"b": {"c": 0.5}, "list": [1]}}, "fit.")
    assert [(one.key, one.value, one.step) for one in found] == [("fit.rows", 3.0, 0), ("fit.a.b.c", 0.5, 0)]
    assert all(type(one.value) is float for one in found)
    assert all(before - 1 <= one.timestamp / 1000 <= time.time() + 1 for one in found)


def test_drift_is_a_curve_over_the_seconds_since_programming(paths: Paths):
    assert [(one.key, one.step, one.value) for one in curves(paths, "train")] == [
        ("drift.plain_net.accuracy", 1, 80.0), ("drift.plain_net.std", 1, 1.0),
        ("drift.plain_net.accuracy", 86400, 70.0), ("drift.plain_net.std", 86400, 2.5),
    ]  # fmt: skip


def test_the_best_is_a_curve_only_where_it_got_better(paths: Paths):
    assert [(one.key, one.step, one.value) for one in curves(paths, "search")] == [
        ("best.ea", 2, 50.0), ("best.ea", 4, 60.0), ("best.random_1", 1, 60.0),
    ]  # fmt: skip


def test_other_stages_and_missing_tables_have_no_curves(paths: Paths):
    assert curves(paths, "fit") == []
    paths.plot("train.csv").unlink()
    assert curves(paths, "train") == []
