from __future__ import annotations

from pathlib import Path
from typing import Any

from analognas.retraining.note import note, note_file
from analognas.search_spaces import ConfigSpace
from analognas.stages.rounds import Entry, Round
from analognas.workspace import Paths

FIGURES: dict[str, Any] = {
    "architectures": 24,
    "acc_1d": {"champion": 0.5, "challenger": 0.625, "gain_low": 0.0126},
    "avm": {"champion": None, "challenger": 0.25, "gain_low": None},
    "coverage": {"champion": 0.9, "challenger": 0.8},
    "rmse": {"champion": 4.0, "challenger": 3.5},
}
RECORD = {
    "comparison": FIGURES,
    "champion": {"rows": 12, "digest": "c" * 64},
    "challenger": {"rows": 42, "digest": "d" * 64},
}


def decided(record: dict[str, Any], *reasons: str) -> Round:
    architectures = ConfigSpace("digits").sample(len(reasons))
    entries = tuple(Entry(one, reason) for one, reason in zip(architectures, reasons, strict=True))
    return Round(7, entries, "the gain is real", "accepted", "retrain", record)


def test_a_note_lies_beside_its_round(tmp_path: Path):
    paths = Paths(tmp_path)
    assert note_file(paths, 7) == paths.rounds / "007.md"


def test_a_decision_is_told_with_its_figures():
    lines = note(decided(RECORD, "uncertain", "best", "uncertain")).splitlines()
    assert lines[:3] == ["# Round 007: accepted", "", "The gain is real."]
    assert "On 24 sentinel architectures, which neither has learned from:" in lines
    assert "| Kendall tau, accuracy after one day | 0.500 | 0.625 | +0.125 | +0.013 |" in lines
    assert "| coverage of the 90 % interval | 0.900 | 0.800 | -0.100 |  |" in lines
    assert "| RMSE of the accuracy, points | 4.000 | 3.500 | -0.500 |  |" in lines
    assert "- champion: 12 rows, `cccccccccccc`" in lines
    assert "- challenger: 42 rows, `dddddddddddd`" in lines
    assert lines[-1] == "- architectures of the round: 3 (1 best, 2 uncertain)"


def test_what_is_not_known_is_a_dash_and_has_no_difference():
    assert "| Kendall tau, AVM | - | 0.250 |  |  |" in note(decided(RECORD, "best"))


def test_a_round_that_was_not_compared_has_no_table():
    text = note(decided({}, "best"))
    assert "|" not in text
    assert text.endswith("The gain is real.\n\n- architectures of the round: 1 (1 best)\n")
