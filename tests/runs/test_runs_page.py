"""The page about runs: every command on it is called."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from analognas.cli import main
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
