import json
from typing import Any

import pandas as pd
import pytest

from analognas import artifacts
from analognas.files import write_parquet
from analognas.workspace import Paths


@pytest.fixture
def created(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was handed to Prefect."""
    made: list[Any] = []
    for kind in ("table", "markdown"):
        monkeypatch.setattr(f"prefect.artifacts.create_{kind}_artifact", lambda content, **_: made.append(content))
    return made


def test_results_are_a_table_of_plain_values_best_first(tmp_path: Any, created: list[Any]):
    paths = Paths(tmp_path)
    rows = {"id": ["a", "b", "c"], "status": ["ok", "diverged", "ok"], "params": [1, 2, 3], "tiles": [1, 1, 1]}
    measured = {name: [80.123, None, 90.0] for name in ("acc_digital", "acc_1d", "acc_1d_std", "avm")}
    write_parquet(paths.surrogate, pd.DataFrame(rows | measured))
    artifacts.results_table(paths)
    table = created[0]
    assert [row["id"] for row in table] == ["c", "a", "b"]
    assert [row["acc_1d"] for row in table] == [90.0, 80.12, ""]
    assert json.loads(json.dumps(table)) == table


def test_a_server_that_refuses_an_artifact_is_no_reason_to_fail(tmp_path: Any, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError

    monkeypatch.setattr("prefect.artifacts.create_table_artifact", refuse)
    columns = ("id", "status", "params", "tiles", "acc_digital", "acc_1d", "acc_1d_std", "avm")
    write_parquet(Paths(tmp_path).surrogate, pd.DataFrame({name: [1.0] for name in columns}))
    artifacts.results_table(Paths(tmp_path))


def test_the_summary_shows_winner_and_baseline_over_time(finished: Paths, created: list[Any]):
    artifacts.summary(finished)
    text = created[0]
    assert text.startswith("```\n")
    for words in ("digits", "winner", "plain residual network", "after 1 day", "AVM"):
        assert words in text
