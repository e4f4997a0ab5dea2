"""A study that stops early, and what it recommends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from analognas.params import Params
from analognas.search_spaces import Architecture
from analognas.stages import characterize, inputs
from analognas.workspace import Paths
from benchmarks import _hyperband


@pytest.fixture
def study(finished: Paths) -> _hyperband.Study:
    params = Params.load(finished.params)
    job = characterize.jobs(params, finished)[0]
    return _hyperband.Study(job, inputs.space(params, finished), 3, 0.4)


def test_the_best_of_what_was_measured_whole_is_recommended(study: _hyperband.Study, monkeypatch: pytest.MonkeyPatch):
    tried: dict[str, float] = {}
    stopped: list[str] = []

    def made_up(job: Any, report: Any) -> dict[str, float]:
        worth = float(np.log(job.architecture.params)) * 10
        try:
            for epoch in range(1, 1 + job.training.epochs + job.training.hwa_epochs):
                report(worth, epoch)
        except _hyperband.Pruned:
            stopped.append(job.architecture.id)
            raise
        tried[job.architecture.id] = worth
        return {"acc_1d": worth, "acc_1d_std": 0.0, "avm": 1.0}

    monkeypatch.setattr(_hyperband, "_characterized", made_up)
    best = _hyperband.recommended(study)
    assert best.id == max(tried, key=tried.__getitem__)
    assert len(tried) > 3
    assert stopped
    assert not set(stopped) & set(tried)


def test_a_look_after_each_epoch_changes_nothing(study: _hyperband.Study, finished: Paths):
    architecture: Architecture = study.job.architecture
    seen: list[tuple[float, int]] = []
    row = _hyperband._characterized(study.job, lambda accuracy, epoch: seen.append((accuracy, epoch)))
    epochs = study.job.training.epochs + study.job.training.hwa_epochs
    assert [epoch for _, epoch in seen] == list(range(1, epochs + 1))
    assert all(0 <= accuracy <= 100 for accuracy, _ in seen)
    measured = characterize.measure(study.job)
    assert measured.id == architecture.id
    assert row["acc_1d"] == measured["acc_1d"]
