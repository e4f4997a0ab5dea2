from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from analognas.evaluators.columns import COLUMNS, TARGETS
from analognas.evaluators.model import Prediction
from analognas.evaluators.reporting import frame, metrics_report, out_of_fold


class Recorder:
    """A fit that is only noted; it predicts the number of its call."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Any, int]] = []

    def __call__(self, learn: Any, asked: Any, seed: int) -> Mapping[str, Prediction]:
        self.calls.append((learn, asked, seed))
        value = np.full(int(asked.sum()), float(len(self.calls)))
        return {target: Prediction(value, value + 0.1, value - 1, value + 1, -value) for target in TARGETS}


def measured(n: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {target: rng.uniform(10, 90, n) for target in TARGETS}


@pytest.mark.parametrize(("rows", "repeats"), [(49, 2), (50, 1)])
def test_every_row_is_predicted_once_by_models_that_did_not_see_it(rows: int, repeats: int):
    fit, groups = Recorder(), np.arange(rows) // 2
    found = out_of_fold(fit, measured(rows), groups, 4, seed=1)
    assert len(found) == repeats
    assert len(fit.calls) == 4 * repeats
    for number, one in enumerate(found):
        calls = fit.calls[4 * number : 4 * number + 4]
        assert (np.sum([asked for _, asked, _ in calls], axis=0) == 1).all()
        for place, (learn, asked, _) in enumerate(calls, start=4 * number + 1):
            assert (learn == ~asked).all()
            assert not set(groups[learn]) & set(groups[asked])
            for target in TARGETS:
                prediction = one[target]
                assert (prediction.value[asked] == place).all()
                assert (prediction.uncertainty[asked] == place + 0.1).all()
                assert (prediction.low[asked] == place - 1).all()
                assert (prediction.high[asked] == place + 1).all()
                assert (prediction.score[asked] == -place).all()


def test_there_are_no_more_folds_than_architectures_and_each_has_a_seed():
    fits = [Recorder() for _ in range(3)]
    for fit, seed in zip(fits, (1, 1, 2), strict=True):
        out_of_fold(fit, measured(6), np.array([0, 0, 1, 1, 2, 2]), 5, seed)
    seeds = [[seed for _, _, seed in fit.calls] for fit in fits]
    assert len(set(seeds[0])) == len(seeds[0]) == 3 * 2
    assert seeds[0] == seeds[1]
    assert not set(seeds[0]) & set(seeds[2])


def test_predictions_that_are_right_are_said_to_be():
    values = measured(30)
    ids = [str(number // 2) for number in range(30)]
    right = {target: Prediction(v, v, v - 1, v + 1, v) for target, v in values.items()}
    reverse = {target: Prediction(v + 3, v, v + 1, v + 5, -v) for target, v in values.items()}
    how: dict[str, Any] = {"folds": 20, "bootstrap": 100, "seed": 0, "left_out": 4}
    methods = dict(zip(TARGETS, ("a", "b", "c"), strict=True))
    report = metrics_report(ids, values, [right], methods, **how)
    assert {key: value for key, value in report.items() if key != "targets"} == {
        "rows": 30, "left_out": 4, "architectures": 15, "folds": 15, "repeats": 1, "resamples": 100,
        "confidence": 0.95, "nominal_coverage": 0.9,
    }  # fmt: skip
    wrong = metrics_report(ids, values, [right, reverse], methods, **how)
    assert wrong["repeats"] == 2
    for target in TARGETS:
        one, mean = report["targets"][target], wrong["targets"][target]
        assert one["method"] == methods[target]
        assert one["kendall_tau"] == {"value": pytest.approx(1), "low": pytest.approx(1), "high": pytest.approx(1)}
        assert (one["rmse"]["value"], one["coverage"]["value"]) == (0, 1)
        # Metrics are the mean over repetitions: the second one is all wrong.
        assert mean["kendall_tau"]["value"] == pytest.approx(0, abs=1e-9)
        assert (mean["rmse"]["value"], mean["coverage"]["value"]) == (pytest.approx(1.5), pytest.approx(0.5))


def test_people_get_a_frame_with_the_score_of_the_accuracy():
    values = {target: np.array([1.0, 2.0]) + place for place, target in enumerate(TARGETS)}
    made = frame(["b", "a"], {t: Prediction(v, v / 10, v - 1, v + 1, v * 100) for t, v in values.items()})
    assert tuple(made.columns) == COLUMNS
    assert made["id"].tolist() == ["b", "a"]
    assert made["avm_low"].tolist() == [1.0, 2.0]
    assert made["acc_1d_std_high"].tolist() == [4.0, 5.0]
    assert made["acc_1d_score"].tolist() == [100.0, 200.0]
