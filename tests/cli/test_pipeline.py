import json

import pytest
from click.testing import CliRunner, Result

from analognas import orchestration
from analognas.cli import main, pipeline
from analognas.orchestration import sessions
from analognas.workspace import Paths, alone


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def test_a_stage_writes_its_files_and_its_summary_as_json(inside: Paths):
    result = call("stage", "sample", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json.loads(inside.metrics("sample").read_text())
    assert inside.architectures.exists()


def test_the_report_shows_winner_and_baseline(finished: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(finished.root)
    text = call("report").output
    for part in ("winner", "plain residual network", "after 1 month", "AVM", "Kendall tau", "MLflow", "Prefect"):
        assert part in text
    assert "Chip analognas-bench, tiles of 256 x 256\n" in text
    found = json.loads(call("report", "--json").stdout)
    assert found["winner"]["params"] <= 3_000
    assert found["baseline"]["acc_1d"] >= 0
    assert found["hardware"]["tile_size"] == 256


def test_a_stage_is_refused_while_a_run_works_in_the_workspace(inside: Paths):
    with alone(inside):
        result = call("stage", "sample")
    assert result.exit_code == 2
    assert result.stderr.startswith("analognas: Another run works in")
    assert not inside.architectures.exists()


def test_what_the_user_should_know_of_a_run_is_told(inside: Paths, monkeypatch: pytest.MonkeyPatch):
    def run(*_: object, **__: object) -> sessions.RunReport:
        return sessions.RunReport(ran=(), skipped=(), logged=(), notes=("MLflow is away.", "Another note."))

    monkeypatch.setattr(orchestration, "run_pipeline", run)
    monkeypatch.setattr(pipeline, "_report", lambda *_: None)
    result = call("run", "--json")
    assert result.exit_code == 0
    assert result.stderr.splitlines()[-2:] == ["analognas: MLflow is away.", "analognas: Another note."]
