from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from analognas.cli import main
from analognas.orchestration import exchange, flows
from analognas.orchestration import retraining as driver
from analognas.tracking import champions
from analognas.tracking.registry import Version
from analognas.workspace import Paths


@pytest.mark.parametrize("command", [["retrain"], ["serve"], ["champion"], ["champion", "rollback"]])
def test_every_command_explains_itself(command: list[str]):
    result = CliRunner().invoke(main, [*command, "--help"])
    assert result.exit_code == 0
    assert ("--json" in result.output) == (command != ["serve"])


def test_the_command_line_says_that_nothing_is_to_be_done(retrained: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(retrained.root)
    monkeypatch.setattr(flows, "server", None)
    result = CliRunner().invoke(main, ["retrain", "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["retrained"] is False
    assert "No evaluator is registered: the first one" in CliRunner().invoke(main, ["champion"]).stdout
    assert CliRunner().invoke(main, ["champion", "rollback"]).exit_code == 2


def test_the_champions_are_told_newest_first_and_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).write_text("")
    monkeypatch.chdir(tmp_path)
    registered = [
        Version(number, aliases, datetime(2026, 1, number, tzinfo=UTC), "", None, False, None, None, None)
        for number, aliases in ((2, ("champion",)), (1, ()))
    ]
    monkeypatch.setattr(champions, "versions", lambda paths: registered)
    told = json.loads(CliRunner().invoke(main, ["champion", "--json"]).stdout)
    assert [(version["version"], version["aliases"], version["here"]) for version in told] == [
        (2, ["champion"], False), (1, [], False),
    ]  # fmt: skip


@pytest.mark.parametrize("hours", ["0", "-1", "often"])
def test_an_interval_is_a_positive_number_of_hours(hours: str) -> None:
    refused = CliRunner().invoke(main, ["serve", "--interval-hours", hours])
    assert refused.exit_code == 2
    assert "--interval-hours" in refused.stderr


@pytest.mark.parametrize(
    ("options", "share", "shares"),
    [
        ([], "scheduled", False),
        (["--share"], "scheduled", True),
        ([], "always", True),
        (["--no-share"], "always", False),
    ],
)
def test_a_retraining_shares_where_it_is_asked(
    workspace: Paths, monkeypatch: pytest.MonkeyPatch, options: list[str], share: str, shares: bool
):
    taken: list[Any] = []

    def run(paths: Paths, params: Any, **how: Any) -> Any:
        taken.append(how["taken"])
        return SimpleNamespace(notes=[], summary=lambda: {"retrained": False})

    monkeypatch.setenv("ANALOGNAS_RUN_SHARE", share)
    monkeypatch.setattr(exchange, "begin", lambda paths, params: ["git is away."])
    monkeypatch.setattr(driver, "run_retraining", run)
    monkeypatch.chdir(workspace.root)
    done = CliRunner().invoke(main, ["retrain", "--json", *options])
    assert done.exit_code == 0, done.output
    assert taken == [["git is away."] if shares else None]
