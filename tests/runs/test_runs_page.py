"""The page about runs: every command on it is called."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from analognas.cli import main
from analognas.files import read_sealed, write_sealed
from analognas.setup.probe import Speed
from analognas.setup.run_time import Machine
from analognas.versioning import Versioning
from analognas.workspace import Paths

PAGE = (Path(__file__).parents[2] / "docs" / "runs.md").read_text(encoding="utf-8")


def commands(*names: str) -> list[list[str]]:
    """Return the calls of some commands on the page, without the program's name."""
    blocks = re.findall(r"^```bash\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
    lines = [shlex.split(line, comments=True) for block in blocks for line in block.splitlines()]
    return [line[1:] for line in lines if line and line[0] == "analognas" and line[1] in names]


@pytest.mark.parametrize("command", commands("runs", "compare"), ids=" ".join)
def test_what_lists_and_compares_runs(command: list[str], past: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(past.root)
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert result.stdout


@pytest.mark.parametrize("command", commands("restore"), ids=" ".join)
def test_what_brings_a_run_back(command: list[str], past: Paths, monkeypatch: pytest.MonkeyPatch):
    def checkout(versioning: Versioning, *_: str) -> None:
        for name in ("evaluator", "winner"):
            (versioning.root / "data" / name).mkdir()

    monkeypatch.setattr(Versioning, "checkout", checkout)
    monkeypatch.chdir(past.root)
    assert CliRunner().invoke(main, command).exit_code == 0


@pytest.mark.parametrize("command", commands("sweep"), ids=" ".join)
def test_what_varies_a_run(command: list[str], workspace: Paths, histories: Any, monkeypatch: pytest.MonkeyPatch):
    def run(stage: str, _params: Any, paths: Paths, *_: Any) -> None:
        if stage == "train":
            write_sealed(paths.metrics("train"), histories.figures())

    monkeypatch.setattr("analognas.runs.sweeping.run_stage", run)
    monkeypatch.setattr("analognas.runs.sweeping.points_seconds", lambda *_: 600.0)
    monkeypatch.chdir(workspace.root)
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert "92af7a75" in result.stdout


@pytest.mark.parametrize("command", commands("explain"), ids=" ".join)
def test_what_explains(command: list[str], finished: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(finished.root)
    winner = read_sealed(finished.metrics("train"), remedy="")["winner"]["id"]
    typed = [winner[:6] if word == "92af" else word for word in command]
    result = CliRunner().invoke(main, typed)
    assert result.exit_code == 0, result.output
    assert "what it is" in result.stdout


@pytest.mark.parametrize("command", commands("run"), ids=" ".join)
def test_what_looks_before(command: list[str], finished: Paths, monkeypatch: pytest.MonkeyPatch):
    machine = Machine(Speed(1e-9, 5e-9, 1e-9), workers=2)
    monkeypatch.setattr("analognas.setup.planning.timed", lambda *_: machine)
    monkeypatch.chdir(finished.root)
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert "The run would take" in " ".join(result.stdout.split())
