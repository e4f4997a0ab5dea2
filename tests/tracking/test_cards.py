import json
from pathlib import Path

import pytest

from analognas.folders import read_folder, write_folder
from analognas.params import Params
from analognas.tracking import cards
from analognas.workspace import Paths


def test_the_card_of_a_winner_is_that_of_its_folder_and_what_it_was_made_from(finished: Paths):
    card = cards.of_version(finished, Params.load(finished.params), "winner")
    assert card.startswith((finished.winner / "card.md").read_text().rstrip())
    assert "- data: digits, digest `" in card
    assert "- made with: torch " in card


def test_a_run_is_described_by_its_report(finished: Paths):
    assert cards.of_run(finished).startswith("## digits: test accuracy while the chip drifts")


def test_the_card_of_an_evaluator_has_a_line_for_each_target_and_the_chip(finished: Paths):
    params = Params.validated({"hardware": {"adc_bits": 6}})
    lines = cards.of_version(finished, params, "evaluator").splitlines()
    fitted = json.loads(finished.metrics("fit").read_text())["architectures"]
    assert lines[0] == f"Evaluator, fitted to {fitted} architectures; out of fold, with 95 % intervals:"
    rows = [line for line in lines if line.startswith("|")]
    assert [row.split("|")[1].strip() for row in rows[2:]] == [
        "accuracy after 1 day", "AVM", "standard deviation after 1 day",
    ]  # fmt: skip
    assert "- chip: analognas-bench, adc_bits 6" in lines


def test_the_card_of_a_winner_without_weights_is_the_report(finished_copy: Paths):
    """As of one that was looked up in a table: nothing was trained, so there is no card in its folder."""
    _, files = read_folder(finished_copy.winner, "winner.json", remedy="")
    row = json.loads((finished_copy.winner / "winner.json").read_text())["row"]
    architecture = {"architecture.json": files["architecture.json"]}
    write_folder(finished_copy.winner, "winner.json", {"row": row, "source": "analognas-bench"}, architecture)
    card = cards.of_version(finished_copy, Params.load(finished_copy.params), "winner")
    assert card.startswith(cards.of_run(finished_copy).rstrip())
    assert "- data: digits, digest `" in card


@pytest.mark.parametrize("folder", ["evaluator", "winner"])
def test_a_workspace_without_files_gives_a_card_of_what_is_known(tmp_path: Path, folder: str):
    assert cards.of_version(Paths(tmp_path), Params(), folder) == "- chip: analognas-bench\n"
    assert cards.of_run(Paths(tmp_path)) == ""
