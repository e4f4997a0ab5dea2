import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analognas.params import Params
from analognas.params.file import override
from analognas.stages import run_stage
from analognas.workspace import Paths
from benchmarks import shorter


class Known:
    """Predicts what it was told of measured networks, and of others the mean, with the same uncertainty for all."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self.rows = rows.set_index("id")
        self.asked: list[str] = []

    def predict(self, architectures: Any) -> pd.DataFrame:
        ids = [one.id for one in architectures]
        acc = self.rows["acc_1d"].reindex(ids).fillna(self.rows["acc_1d"].mean()).to_numpy()
        return pd.DataFrame({"id": ids, "acc_1d": acc, "acc_1d_std": 0.0, "acc_1d_uncertainty": 1.0})

    assess = predict


def made_up(count: int) -> shorter.Pool:
    ids = [f"n{place:02}" for place in range(count)]
    table = pd.DataFrame({"acc_1d": np.arange(count, dtype=float)}, index=pd.Index(ids, name="id"))
    networks: Any = {name: SimpleNamespace(id=name) for name in ids}
    return shorter.Pool(networks, table, -table, lambda _, rows: Known(rows))


def test_what_is_recommended_is_the_best_by_the_rows_that_were_seen():
    pool = made_up(10)
    assert pool.recommended(pool.long, ["n01", "n05", "n03"]) == "n05"
    assert pool.recommended(pool.short, ["n01", "n05", "n03"]) == "n01"
    # Nothing that was not measured promises as much as n05, then come those at the mean, in order.
    assert pool.looped(pool.long, ["n01", "n05"], 3, 2) == "n07"


def test_all_but_the_first_take_a_third_of_the_time(monkeypatch: pytest.MonkeyPatch):
    pool, taken = made_up(200), []
    order = list(pool.architectures)
    monkeypatch.setattr(shorter.Pool, "recommended", lambda _, table, ids: taken.append((table is pool.long, len(ids))))
    for recommend in shorter.methods(pool, order, 0.37).values():
        recommend()
    costs = [count * (1.0 if long else 0.37) for long, count in taken]
    assert costs[0] == 64
    assert all(20 < cost < 22 for cost in costs[1:])


def test_differences_are_paired_by_seed():
    told = shorter.compared({"today": ["a", "b"], "short": ["b", "c"]}, {"a": 1.0, "b": 2.0, "c": 5.0})
    assert told["short"]["difference"] == 2.0
    assert told["short"]["half_width"] == pytest.approx(12.706 * 1.0, rel=1e-3)
    assert told["today"]["half_width"] == 0


@pytest.mark.slow
def test_two_workspaces_of_one_sample(finished: Paths, finished_copy: Paths, capsys: pytest.CaptureFixture[str]):
    params = override(finished_copy.params, ["characterize.epochs=1"])
    run_stage("characterize", params, finished_copy)
    told_of = ["--long", str(finished.root), "--short", str(finished_copy.root)]
    shorter.main([*told_of, "--seeds", "2", "--truth", "1", "--today", "40", "--share", "0.3", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert set(told["value"]) == {"today", "long", "short", "long, loop", "short, loop"}
    assert Params.load(finished.params).characterize.epochs == 2
