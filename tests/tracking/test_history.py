from __future__ import annotations

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from analognas import tracking
from analognas.files import file_digest, read_sealed, write_sealed
from analognas.params import Params
from analognas.tracking import history
from analognas.workspace import Paths


def test_recorded_parameters_are_put_together_of_those_of_the_stages():
    stages = {
        "sample": {"base.seed": "0", "space.ranges.M": "[1, 2]", "dataset.name": "digits", "environment.torch": "2"},
        "search": {"search.T_AVM": "None", "search.optimizer": "ea_optimized", "search.constraints": "{}"},
    }
    client: Any = SimpleNamespace(get_run=lambda run: SimpleNamespace(data=SimpleNamespace(params=stages[run])))
    run = SimpleNamespace(stages={stage: stage for stage in stages})
    assert history._recorded(client, run) == {  # type: ignore[arg-type]
        "dataset": {"name": "digits"},
        "environment": {"torch": 2},
        "base": {"seed": 0},
        "space": {"ranges": {"M": [1, 2]}},
        "search": {"T_AVM": None, "optimizer": "ea_optimized", "constraints": {}},
    }


def test_what_was_recorded_of_the_data_is_told_where_it_was(monkeypatch: pytest.MonkeyPatch):
    run = history.Logged("1", "s", datetime.now(UTC), {}, whole=False)
    for sections, name in (
        ({"dataset": {"name": "digits"}, "base": {"seed": 1}}, "digits"),
        ({"base": {"seed": 1}}, None),
    ):
        monkeypatch.setattr(history, "_recorded", lambda *_, sections=sections: dict(sections))
        files = history._small(SimpleNamespace(), run)  # type: ignore[arg-type]
        assert json.loads(files["params.yaml"]) == {"base": {"seed": 1}}
        assert json.loads(files.get("data/dataset.json", b"{}")).get("name") == name


def test_without_a_database_nothing_is_asked_and_none_is_made(workspace: Paths):
    assert history.logged(workspace, Params.load(workspace.params), 5) == []
    assert not (workspace.root / "mlflow.db").exists()


@pytest.mark.slow
def test_what_was_logged_comes_back_byte_for_byte(finished_copy: Paths, monkeypatch: pytest.MonkeyPatch):
    paths, params = finished_copy, Params.load(finished_copy.params)
    assert tracking.sync(paths, params, None).warning is None
    winner, evaluator, before = file_digest(paths.winner), file_digest(paths.evaluator), paths.params.read_bytes()
    train = read_sealed(paths.metrics("train"), remedy="")
    write_sealed(paths.metrics("train"), train | {"notes": ["another one"]})
    (paths.winner / "card.md").write_text("another one")
    assert tracking.sync(paths, params, None).warning is None
    (_, newer), (run, files) = history.logged(paths, params, 5)
    assert json.loads(newer["data/metrics/train.json"])["notes"] == ["another one"]
    assert run.whole
    assert files["params.yaml"] == before
    history.fetch(paths, params, run, there := paths.root / "there")
    assert file_digest(Paths(there).winner) == winner
    assert file_digest(Paths(there).evaluator) == evaluator
    assert read_sealed(Paths(there).metrics("train"), remedy="") == train
    assert Paths(there).plot("train.png").is_file()
    # As it was logged by earlier versions: without the files that git holds.
    monkeypatch.setattr(history, "WORKSPACE", "nowhere")
    (older,) = [found for found, _ in history.logged(paths, params, 5) if found.run == run.run]
    history.fetch(paths, params, older, there := paths.root / "once_more")
    assert not older.whole
    assert file_digest(Paths(there).winner) == winner
    assert read_sealed(Paths(there).metrics("fit"), remedy="") == read_sealed(paths.metrics("fit"), remedy="")
    recorded = Params.load(there / "params.yaml")
    assert not Paths(there).dataset.exists()
    assert (recorded.train, recorded.hardware) == (params.train, params.hardware)
