from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from analognas.cli import main
from analognas.versioning import sharing
from analognas.versioning.sharing import Exchange
from analognas.workspace import Paths


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Let the exchanges be told and not made; the team's remote has one problem, others have none."""
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).write_text("")
    monkeypatch.chdir(tmp_path)
    found: list[Any] = []

    def exchange(direction: str) -> Any:
        def share(paths: Paths, remote: str | None, progress: Any) -> Exchange:
            progress(1, 2, "half of it")
            found.append((direction, paths.root, remote))
            problems = ["x.json is damaged."] if remote == "team" else []
            return Exchange(direction, remote or "default", copied=3, known=4, problems=problems)

        return share

    for direction in ("push", "pull"):
        monkeypatch.setattr(sharing, direction, exchange(direction))
    return found


@pytest.mark.parametrize(("direction", "said"), [("push", "Pushed 3 results to"), ("pull", "Pulled 3 results from")])
def test_what_was_exchanged_is_told(asked: list[Any], tmp_path: Path, direction: str, said: str):
    done = call(direction)
    assert done.exit_code == 0, done.output
    assert f"{said} default (4 were there already)" in done.stdout
    assert asked == [(direction, tmp_path.resolve(), None)]


@pytest.mark.parametrize("direction", ["push", "pull"])
def test_problems_are_told_one_by_one_and_end_with_1(asked: list[Any], direction: str):
    done = call(direction, "--remote", "team", "--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert (found["direction"], found["remote"], found["copied"]) == (direction, "team", 3)
    assert found["problems"] == ["x.json is damaged."]
    assert done.stderr.splitlines()[-1] == "analognas: x.json is damaged."
    assert [remote for _, _, remote in asked] == ["team"]
