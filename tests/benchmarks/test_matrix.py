import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import matrix
from benchmarks.pipeline import quick


def row(value: float, half: float = 1.0, **changes) -> dict:
    interval = {"value": value, "low": value - half, "high": value + half}
    differences = dict.fromkeys(("difference", "difference_30d", "difference_avm"), interval)
    return {
        "seed": 0, "whole": False, "winner": "a", "acc_1d": [90.0 + value, 90.0], "params": [100, 100], **differences,
        "limits": "held", "measured": True, "tau": 0.5, "upper_bound_holds": False,
    } | changes  # fmt: skip


def test_winners_spreads_and_limits_are_counted():
    rows = [row(-3.0), row(0.5), row(2.0, limits="broken"), row(4.0), {"whole": True, "winner": None, "error": "no"}]
    found = matrix.summary(rows)
    assert (found["seeds"], found["whole"], found["winners"], found["errors"]) == (5, 1, 4, ["no"])
    assert (found["better"], found["worse"]) == (2, 1)
    assert found["difference"]["least"] == -3.0
    assert found["difference"]["median"] == 1.25
    assert found["limits"] == {"held": 3, "not shown": 0, "broken": 1}
    assert "4 of 5 seeds end with a winner" in matrix._line("avx2", found)


def test_nothing_but_errors_is_told_as_such():
    found = matrix.summary([{"whole": True, "winner": None, "error": "no"}])
    assert matrix._line("sse", found).rstrip() == "sse      0 of 1 seeds end with a winner (1 run whole)"


def test_every_set_names_a_flag_of_processors_or_needs_none():
    assert matrix._has("")
    assert not matrix._has("nosuchflag")
    for flag, variables in matrix.SETS.values():
        assert flag or not variables


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(not matrix._has("avx2"), reason="another kind of processor")
def test_seeds_end_with_a_winner_with_the_instructions_of_another_processor(tmp_path: Path):
    command = [
        sys.executable, "-m", "benchmarks.matrix", "--json", "--folder", str(tmp_path), "--seeds", "2", "--whole", "1",
        "--sets", "avx2", "--set", *quick("sample.size=14", "search.T_AVM=0.1", "search.candidates=2"),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    found = json.loads(done.stdout)
    assert found["all"]["winners"] == found["all"]["seeds"] == 2
    assert found["sets"]["avx2"]["capability"] == "AVX2"
    assert {row["winner"] for row in found["sets"]["avx2"]["rows"]} != {None}
    for one in found["sets"].values():
        assert [(row["seed"], row["whole"]) for row in one["rows"]] == [(0, True), (1, False)]
    before = (tmp_path / "avx2" / "seed-1.json").stat().st_mtime_ns
    subprocess.run(command, capture_output=True, check=True, cwd=Path(__file__).parents[2])
    assert (tmp_path / "avx2" / "seed-1.json").stat().st_mtime_ns == before
