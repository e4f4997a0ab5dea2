import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from analognas import orchestration
from analognas.cli import main, pipeline
from analognas.files import read_sealed
from analognas.orchestration import sessions
from analognas.params import Params
from analognas.params.file import override
from analognas.results import ResultStore
from analognas.setup.probe import Speed
from analognas.setup.run_time import Machine
from analognas.setup.template import source
from analognas.stages import PROTOCOLS
from analognas.versioning import Versioning
from analognas.versioning.repository import dvc_environment
from analognas.workspace import Paths


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def test_a_stage_writes_its_files_and_its_summary_as_json(inside: Paths):
    result = call("stage", "sample", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == read_sealed(inside.metrics("sample"), remedy="")
    assert inside.architectures.exists()


class Recording:
    """Stands for DVC in a workspace."""

    def __init__(self) -> None:
        self.recorded: list[tuple[str, ...]] = []

    def commit(self, *stages: str) -> None:
        self.recorded.append(stages)


def test_a_stage_is_recorded_unless_dvc_does(inside: Paths, monkeypatch: pytest.MonkeyPatch):
    dvc = Recording()
    monkeypatch.setattr(Versioning, "find", lambda _: dvc)
    assert call("stage", "sample").exit_code == 0
    assert call("stage", "record").exit_code == 0
    assert dvc.recorded == [("record", "sample"), ("record",)]
    monkeypatch.setenv("DVC_STAGE", "dvc.yaml:sample")
    assert call("stage", "sample").exit_code == 0
    assert len(dvc.recorded) == 2


def test_a_stage_with_other_parameters_than_the_file_has_now_is_not_recorded(
    inside: Paths, monkeypatch: pytest.MonkeyPatch
):
    dvc = Recording()
    monkeypatch.setattr(Versioning, "find", lambda _: dvc)

    def edited(*_: Any) -> dict[str, Any]:
        override(inside.params, ["sample.size=11"])
        return {}

    monkeypatch.setattr("analognas.stages.run_stage", edited)
    done = call("stage", "sample")
    assert done.exit_code == 1
    assert "was changed while sample ran" in done.stderr
    assert not dvc.recorded


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


def test_a_stage_is_refused_while_a_run_works_in_the_workspace(inside: Paths, another_run: Callable[..., Any]):
    with another_run(inside):
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


def test_record_takes_down_the_data_that_the_parameters_name_now(inside: Paths):
    before = read_sealed(inside.dataset, remedy="")
    override(inside.params, ["dataset.per_class=20"])
    inside.environment.unlink()
    done = CliRunner().invoke(main, ["stage", "record", "--json"], catch_exceptions=False)
    assert done.exit_code == 0
    now = read_sealed(inside.dataset, remedy="")
    assert json.loads(done.stdout) == now
    assert now["digest"] == before["digest"]
    assert now["split_digest"] != before["split_digest"]
    assert read_sealed(inside.environment, remedy="")["protocol"]["train"] == PROTOCOLS["train"]


def test_a_dry_run_tells_and_writes_nothing(finished: Paths, monkeypatch: pytest.MonkeyPatch):
    machine = Machine(Speed(1e-9, 5e-9, 1e-9), workers=2)
    monkeypatch.setattr("analognas.setup.planning.timed", lambda *_: machine)
    monkeypatch.chdir(finished.root)
    before = finished.params.read_bytes()
    result = CliRunner().invoke(main, ["run", "--dry-run", "--set", "train.epochs=3"], env={"COLUMNS": "80"})
    words = " ".join(result.stdout.split())
    assert result.exit_code == 0
    for part in ("characterize runs", "10 are stored already", "The run would take about", "Nothing is versioned"):
        assert part in words
    assert max(map(len, result.stdout.splitlines())) <= 80
    told = json.loads(call("run", "--dry-run", "--json").stdout)
    assert (told["architectures"], told["stored"]) == (10, 10)
    assert [stage["stage"] for stage in told["stages"]] == list(PROTOCOLS)
    assert finished.params.read_bytes() == before


@pytest.mark.parametrize("more", [("--hours", "1"), ("--quick",)])
def test_a_dry_run_fits_no_protocol(inside: Paths, more: tuple[str, ...]):
    result = call("run", "--dry-run", *more)
    assert result.exit_code == 2
    assert "leave --hours and --quick out" in result.stderr
    assert call("run", "--quick", "--hours", "1").exit_code == 2


@pytest.mark.slow
def test_dvc_runs_again_what_depends_on_data_that_changed(inside: Paths):
    """By `dvc repro` after an edit, and in the temporary copy of an experiment, whose results are kept."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = dvc_environment(inside.root) | {"PATH": path}

    def call(*command: str) -> str:
        done = subprocess.run(command, cwd=inside.root, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def results() -> int:
        return len(list(ResultStore.of(inside.root).keys()))

    override(inside.params, ["dataset.per_class=30", "run.runner=serial"])
    shutil.copyfile(source() / ".gitignore", inside.root / ".gitignore")
    Versioning.init(inside.root)
    call("git", "config", "user.email", "me@example.org")
    call("git", "config", "user.name", "me")
    dvc = (sys.executable, "-m", "dvc")
    call(*dvc, "repro", "characterize")
    call("git", "add", "-A")
    call("git", "commit", "-qm", "first")
    assert "Stage 'characterize' didn't change" in call(*dvc, "repro", "characterize")
    assert results() == 10

    override(inside.params, ["dataset.per_class=20"])
    said = call(*dvc, "repro", "characterize")
    assert "Stage 'sample' didn't change" in said
    assert "Running stage 'characterize'" in said
    assert results() == 20

    call("git", "commit", "-qam", "fewer images")
    call(*dvc, "exp", "run", "--temp", "-S", "dataset.per_class=24", "characterize")
    assert results() == 30
    assert Params.load(inside.params).dataset.per_class == 20
