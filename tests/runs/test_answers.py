from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analognas.errors import StageError
from analognas.files import file_digest, read_sealed, write_sealed, write_text
from analognas.runs import Run, answers, find
from analognas.workspace import Paths

TIMES = [1.0, 86_400.0, 2_592_000.0]


class Kept:
    """Keeps a winner of one file, or none."""

    recorded = False

    def __init__(self, content: str | None) -> None:
        self.content = content

    def fetch(self, to: Path) -> None:
        raise AssertionError

    def winner(self, to: Path) -> bool:
        if self.content is not None:
            write_text(to / "content", self.content)
        return self.content is not None


def with_winner(paths: Paths, run: Run, content: str | None, right: Any = None) -> Run:
    """Return a run whose winner is kept; if ``right`` is given, its answers are remembered."""
    kept = Kept(content)
    if right is not None:
        kept.winner(place := paths.private() / "tried")
        memo = paths.private() / answers.FOLDER / f"{file_digest(place)[:32]}.json"
        write_sealed(memo, {"times": TIMES, "repeats": 4, "right": right})
    return replace(run, source=kept)


def test_what_is_remembered_is_not_worked_out_again(past: Paths):
    run = find(past, ".")
    a = with_winner(past, run, "a", [[4, 4, 0], [4, 2, 0], [3, 0, 0]])
    b = with_winner(past, run, "b", [[4, 4, 4], [4, 4, 4], [4, 4, 4]])
    known = answers.of_both(past, a, b)
    assert known.problem is None
    assert known.a is not None
    assert known.b is not None
    assert {name: values.tolist() for name, values in known.a.items()} == {
        "acc_1d": [100, 50, 0], "acc_30d": [75, 0, 0], "avm": [25, 100, 0],
    }  # fmt: skip
    assert known.b["avm"].tolist() == [0, 0, 0]


def test_why_there_are_none_is_a_sentence(past: Paths, monkeypatch: pytest.MonkeyPatch):
    run = find(past, ".")
    a = with_winner(past, run, "a", [[4, 4], [4, 2], [3, 0]])
    for other, words in (
        (with_winner(past, run, None), "is not kept here: `analognas pull`"),
        (with_winner(past, run, "b", [[4], [4], [4]]), "tested on different images"),
        (with_winner(past, run, "c"), "winner.json"),  # nobody's folder
    ):
        told = answers.of_both(past, a, other)
        assert (told.a, told.b) == (None, None)
        assert words in str(told.problem)

    def fail(_: Kept, __: Path) -> bool:
        raise StageError("DVC fails.")

    monkeypatch.setattr(Kept, "winner", fail)
    assert answers.of_both(past, a, a).problem == "DVC fails."


def test_the_answers_are_those_that_were_measured(finished: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = find(finished, ".")
    workspace = Paths(tmp_path / "workspace")
    write_text(workspace.params, finished.params.read_text())
    known = answers.of_both(workspace, run, run)
    assert known.problem is None
    assert known.a is not None
    for name, values in known.a.items():
        assert np.mean(values) == pytest.approx(run.train["winner"][name], abs=1e-9)
    (memo,) = (workspace.private() / answers.FOLDER).glob("*.json")
    content = read_sealed(memo, remedy="")
    assert np.shape(content["right"]) == (4, len(known.a["acc_1d"]))
    monkeypatch.setattr(answers, "_worked_out", None)
    again = answers.of_both(workspace, run, run)
    assert again.a is not None
    assert all(np.array_equal(again.a[name], values) for name, values in known.a.items())


def test_other_data_and_other_answers_are_no_pair(finished: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from analognas.training import Winner

    workspace = Paths(tmp_path / "workspace")
    write_text(workspace.params, finished.params.read_text())
    run = find(finished, ".")
    other = replace(run, dataset={**run.dataset, "digest": "e" * 64})
    assert "are not those of this workspace now" in str(answers.of_both(workspace, other, run).problem)
    right = np.zeros((2, 4, 10), dtype=bool)
    monkeypatch.setattr(Winner, "answers", lambda *_: right)
    assert "are not those of the run" in str(answers.of_both(workspace, run, run).problem)
