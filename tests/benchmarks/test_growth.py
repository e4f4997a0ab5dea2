import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import growth


def test_a_slope_of_one_is_in_proportion_and_of_two_quadratic():
    def points(power: int) -> list[dict[str, float]]:
        return [{"size": size, "seconds": 0.01 * size**power, "megabytes": 0.0} for size in (10, 100, 1_000)]

    assert growth.slope(points(1), "seconds") == 1.0
    assert growth.slope(points(2), "seconds") == 2.0
    assert growth.slope(points(1), "megabytes") is None
    assert growth.slope(points(1)[:1], "seconds") is None


@pytest.mark.parametrize("task", sorted(growth.TASKS))
def test_every_task_is_measured_over_three_decades(task: str):
    sizes = growth.TASKS[task][2]
    assert sizes[-1] / sizes[0] == 1_000
    point = growth.measure(task, sizes[0])
    assert point["size"] == sizes[0]
    assert 0 < point["seconds"] < 30


def test_the_least_of_some_rounds_is_compared_with_that_of_an_earlier_commit(monkeypatch):
    seconds = {"now": [0.2, 0.1], "then": [1.0, 1.2]}

    def elsewhere(task: str, size: int, code: Path = Path("now")) -> dict[str, float]:
        return {"size": size, "seconds": seconds[code.name].pop(0), "megabytes": 5.0, "whole": 50.0}

    monkeypatch.setattr(growth, "_elsewhere", elsewhere)
    point = growth.compared("search", 400, Path("then"), rounds=2)
    assert (point["seconds"], point["then"]["seconds"], point["times_faster"]) == (0.1, 1.0, 10.0)


def test_code_that_does_not_run_is_said(tmp_path):
    with pytest.raises(SystemExit, match="store of 10 does not run with the code in"):
        growth._elsewhere("store", 10, tmp_path)  # a folder without the package


@pytest.mark.slow
def test_it_prints_one_json_object():
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.growth", "--json", "--tasks", "splits", "store", "--largest", "1000"],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    report = json.loads(done.stdout)
    assert set(report) == {"splits", "store"}
    assert [point["size"] for point in report["splits"]["points"]] == [100, 1_000]
