from __future__ import annotations

from typing import Any

import pytest

from benchmarks.characterize import PARTS, judge


def answer(factor: float, acc_1d: float | None) -> dict[str, Any]:
    return {
        "seconds": {part: factor * (1 + place) for place, part in enumerate(PARTS)},
        "each": {"digital": 1.0, "hardware-aware": 3.0 * factor, "drift": 0.5},
        "accuracy": {"acc_digital": 90.0, "acc_hwa": 88.0, "acc_1d": acc_1d, "avm": 1.0},
        "megabytes": 300.0 * factor,
    }


def rows() -> list[dict[str, Any]]:
    pairs = ((0.5, 80.0), (0.2, 81.0), (0.4, 82.5))
    return [{"now": answer(f, acc), "then": answer(1.0, 80.0), "plain_epoch": 2.0} for f, acc in pairs]


def test_ratios_are_medians_over_networks():
    found = judge(rows())
    assert found["ratio"] == dict.fromkeys(PARTS, 0.4)
    assert found["seconds"]["then"]["whole"] == 1.0
    assert found["megabytes"] == {"now": 150, "then": 300}
    assert found["hardware_aware_epoch_by_plain"]["now"] == {"median": 0.6, "most": 0.75}
    assert found["hardware_aware_epoch_by_plain"]["then"]["median"] == 1.5


def test_accuracies_are_compared_in_pairs():
    apart = judge(rows())["accuracy_now_minus_then"]["acc_1d"]
    assert apart["mean"] == pytest.approx(3.5 / 3, abs=1e-3)
    assert apart["standard_error"] == pytest.approx(0.726, abs=1e-3)
    assert apart["networks"] == 3


def test_networks_that_diverged_have_no_part_in_it():
    given = rows()
    given[1]["then"]["accuracy"]["acc_1d"] = None
    given[1]["then"]["seconds"] = dict.fromkeys(PARTS, 0.0) | {"whole": 0.4}  # it ended in its first part
    found = judge(given)
    assert (found["architectures"], found["diverged"]) == (2, 1)
    assert found["accuracy_now_minus_then"]["acc_1d"]["networks"] == 2
    assert found["ratio"] == dict.fromkeys(PARTS, 0.45)
    for row in given:
        row["now"]["accuracy"]["acc_1d"] = None
    assert judge(given) == {"architectures": 0, "diverged": 3}


def test_without_another_commit_there_is_nothing_to_compare():
    found = judge([{key: row[key] for key in ("now", "plain_epoch")} for row in rows()])
    assert set(found["seconds"]) == {"now"}
    assert "ratio" not in found
