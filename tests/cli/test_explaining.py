from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from analognas.cli import main
from analognas.workspace import Paths


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), env={"COLUMNS": "80"})


def test_an_architecture_is_explained_on_a_terminal(finished: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(finished.root)
    result = call("explain")
    text, words = result.stdout, " ".join(result.stdout.split())
    for part in ("main blocks, one after the other", "An inference on", "90 % interval", "It is the winner"):
        assert part in words
    for part in ("if nothing was known", "Shapley values"):
        assert part in words
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    more = call("explain", "--features", "20").stdout
    assert len(more.splitlines()) > len(text.splitlines())
    told = json.loads(call("explain", "--json").stdout)
    assert told["id"] in text
    assert json.loads(call("explain", told["id"][:12], "--json").stdout) == told


def test_what_is_no_architecture_is_one_sentence(finished: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(finished.root)
    result = call("explain", "nonsense")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
