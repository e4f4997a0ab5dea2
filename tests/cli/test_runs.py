from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from analognas.cli import main
from analognas.errors import StageError
from analognas.files import write_sealed
from analognas.versioning import Versioning, history
from analognas.workspace import Paths


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), env={"COLUMNS": "80"})


@pytest.fixture
def here(past: Paths, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """Return a workspace with three runs, and work in it."""
    monkeypatch.chdir(past.root)
    return past


def test_runs_are_a_table_of_80_columns_with_what_compare_takes(here: Paths):
    text = call("runs").stdout
    second, first = (entry.sha[:9] for entry in history.commits(here.root, 2))
    for part in (second, first, ". (here)", "digits", "analognas-bench", "92af7a75", "96.55", "±0.88", "1.42", "held"):
        assert part in text
    assert text.index(second) < text.index(first)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    listed = json.loads(call("runs", "--json").stdout)
    assert [run["subject"] for run in listed] == [None, "second run", "first run"]
    assert [run["run"] for run in listed[1:]] == [second, first]
    assert len(json.loads(call("runs", "--most", "1", "--json").stdout)) == 1


def test_where_nothing_has_run_that_is_said(histories: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(histories.empty("empty").root)
    assert call("runs").stdout == "No run has come to its end here yet: `analognas run`.\n"
    assert json.loads(call("runs", "--json").stdout) == []


def test_two_runs_are_compared_in_words_and_as_json(here: Paths):
    text = call("compare", "HEAD~1", "HEAD").stdout
    words = " ".join(text.split())
    for part in ("train.epochs 20 30", "+2.05", "better", "96.55", "98.60", "not paired", "9,946"):
        assert part in words
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    told = json.loads(call("compare", "HEAD~1", "HEAD", "--json").stdout)
    assert (told["verdict"], told["paired"], told["interval"]) == ("better", False, 0.9)
    assert "is not kept here" in told["unpaired"]
    assert json.loads(call("compare", "HEAD~1", "HEAD", "--unpaired", "--json").stdout)["unpaired"] is None
    assert told["params"] == {"train.epochs": {"a": 20, "b": 30}}
    assert json.loads(call("compare", "HEAD", "--json").stdout)["b"]["here"]


def test_what_is_no_run_is_bad_input(here: Paths):
    for arguments in (("compare", "nonsense"), ("compare", "HEAD~2"), ("compare",)):
        result = call(*arguments)
        assert result.exit_code == 2
        assert "Traceback" not in result.stderr


def test_an_earlier_run_comes_back_and_says_how_to_undo_it(here: Paths, monkeypatch: pytest.MonkeyPatch):
    def checkout(versioning: Versioning, *_: str) -> None:
        for name in ("evaluator", "winner"):
            (versioning.root / "data" / name).mkdir()

    monkeypatch.setattr(Versioning, "checkout", checkout)
    text = call("restore", "HEAD").stdout
    assert "its parameters, its evaluator, and its winner 92af7a759c5029bc" in text
    assert "the next `analognas run` makes them anew" in text
    again = text.rpartition("`analognas restore ")[2].partition("`")[0]
    told = json.loads(call("restore", again, "--json").stdout)
    assert (told["run"], told["lacking"]) == (None, [])
    assert json.loads(call("compare", "HEAD", ".", "--json").stdout)["b"]["acc_1d"] == 90.0


def test_a_sweep_is_one_table_and_one_plot(workspace: Paths, histories: Any, monkeypatch: pytest.MonkeyPatch):
    def run(stage: str, params: Any, paths: Paths, *_: Any) -> None:
        if params.hardware.adc_bits == 5 and stage == "fit":
            raise StageError("Nothing can be fitted.")
        if stage == "train":
            write_sealed(paths.metrics("train"), histories.figures(acc_1d=90.0 + params.hardware.adc_bits))

    monkeypatch.setattr("analognas.runs.sweeping.run_stage", run)
    monkeypatch.setattr("analognas.runs.sweeping.points_seconds", lambda *_: 600.0)
    monkeypatch.chdir(workspace.root)
    result = call("sweep", "hardware.adc_bits=5,6", "--plot", "mine.png")
    for part in ("adc_bits", "failed", "96.00", "92af7a75", "mine.png", "90 %"):
        assert part in result.stdout
    assert "2 of 2 points are to run: about 10 min" in " ".join(result.stderr.split())
    assert "adc_bits 5: Nothing can be fitted." in result.stderr
    assert max(map(len, result.stdout.splitlines())) <= 80
    dry = call("sweep", "hardware.adc_bits=6,7", "--dry-run", "--json")
    assert json.loads(dry.stdout) == {"points": 2, "stored": 1, "seconds": 600}
    told = json.loads(call("sweep", "hardware.adc_bits=6,7", "--json").stdout)
    assert [point["stored"] for point in told["points"]] == [True, False]
    assert call("sweep", "hardware.adc_bits=6").exit_code == 2
