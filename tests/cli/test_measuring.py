from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from analognas.cli import main
from analognas.pages.content import read
from analognas.pages.page import html
from analognas.workspace import Paths

SOURCE = """
from torch import nn


def small():
    return nn.Sequential(nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 10))
"""


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


def test_it_stands_beside_the_winner_in_report_and_page(finished_copy: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(finished_copy.root)
    (finished_copy.root / "beside_winner.py").write_text(SOURCE)
    told = json.loads(call("measure", "beside_winner:small", "--json").stdout)
    assert (told["name"], told["figures"]["params"], told["figures"]["tiles"]) == ("small", 170, 1)
    assert told["cost"]["tiles"] == 1
    assert told["path"] == str(finished_copy.measured / "small")
    shown = call("measure", "beside_winner:small", "--sensitivity").stdout
    assert "small (yours)" in shown
    assert "plain residual" in shown
    assert "Which layers lose it" in shown
    for part in ("winner", "170", f"{told['figures']['acc_1d']:.2f} ± {told['figures']['acc_1d_std']:.2f}"):
        assert part in call("report").stdout
    reported = json.loads(call("report", "--json").stdout)["own"]
    assert [own["name"] for own in reported] == ["small"]
    content = read(finished_copy)
    assert list(content.curves["network"].unique()) == ["winner", "plain residual network", "small (yours)"]
    page = html(content)
    assert "<th>small (yours)</th>" in page
    assert "small (yours), layer by layer" in page
    changed = call("report", "--json")
    assert changed.exit_code == 0
    call("measure", "beside_winner:small", "--name", "other")
    assert (finished_copy.measured / "other").is_dir()


def test_without_a_winner_it_stands_alone(inside: Paths):
    (inside.root / "stands_alone.py").write_text(SOURCE)
    shown = call("measure", "stands_alone:small").stdout
    assert "small (yours)" in shown
    assert "There is no winner that was measured with these data, chip and protocol" in shown.replace("\n", " ")


def test_bad_input_is_one_sentence_and_code_2(inside: Paths):
    done = call("measure", "nowhere:net", "--json")
    assert done.exit_code == 2
    assert json.loads(done.stdout)["kind"] == "InputError"
    assert done.stderr.count("\n") == 1
    assert call("measure").exit_code == 2
    assert call("measure", "a:b", "--name", "..").exit_code == 2


def test_the_examples_of_the_page_run(inside: Paths):
    page = (Path(__file__).parents[2] / "docs" / "own_network.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(bash|python)\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)
    assert [language for language, _ in blocks] == ["python", "bash", "python"]
    (inside.root / "mynets.py").write_text(blocks[0][1])
    done = call(*shlex.split(blocks[1][1])[1:])
    assert done.exit_code == 0
    assert "Small (yours)" in done.stdout
    printed: list[object] = []
    exec(blocks[2][1], {"print": lambda *values: printed.extend(values)})
    assert printed[:3] == [[], 170, ["2"]]
