from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from analognas.training.columns import ONE_DAY, ONE_SECOND, THIRTY_DAYS
from analognas.training.params import TrainingParams, TrainParams


@pytest.mark.parametrize("params", [TrainingParams, TrainParams])
def test_the_defaults_are_valid_and_hold_the_times_of_the_targets(params: type[TrainingParams]):
    made = params()
    assert params.model_validate(made.model_dump()) == made
    assert {ONE_SECOND, ONE_DAY, THIRTY_DAYS} <= set(made.times)


@pytest.mark.parametrize(
    ("times", "problem"),
    [
        ((1, 3600), r"needs 86400, 2592000 \(seconds\): acc_1d and avm are taken at 1 s, 1 day, 30 days"),
        ((60, 86400, 2592000), r"needs 1 \(seconds\)"),
        ((1, 2592000, 86400), "must be in increasing order without repetition"),
        ((1, 1, 86400, 2592000), "must be in increasing order without repetition"),
        ((0, 1, 86400, 2592000), "greater than 0"),
        ((), "needs 1, 86400, 2592000"),
        ((True, 86400, 2592000), "a number is needed, not true or false"),
    ],
)
def test_times_are_in_order_and_hold_those_of_the_targets(times: tuple[float, ...], problem: str):
    with pytest.raises(ValidationError, match=problem):
        TrainingParams(times=times)
    assert TrainingParams(times=(0.5, 1, 86400, 2592000)).times == (0.5, 1.0, 86400.0, 2592000.0)


@pytest.mark.parametrize(
    "given",
    [
        {"epochs": 0}, {"hwa_epochs": 0}, {"batch_size": 0}, {"learning_rate": 0}, {"hwa_learning_rate": -1},
        {"weight_decay": -0.1}, {"repeats": 1}, {"epochs": 1.5},
    ],
)  # fmt: skip
def test_what_trains_or_measures_nothing_is_refused(given: dict[str, Any]):
    for params in (TrainingParams, TrainParams):
        with pytest.raises(ValidationError, match=next(iter(given))):
            params(**given)
