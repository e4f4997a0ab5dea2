from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from analognas.evaluators.metrics import bootstrap_weights, kendall_tau
from analognas.params import RetrainParams
from analognas.retraining import comparing

RULES = RetrainParams()


def case(n: int, champion_noise: float, challenger_noise: float, **columns: Any) -> dict[str, Any]:
    """Figures of two evaluators that see the truth through noise; ``columns`` replace the challenger's."""
    rng = np.random.default_rng(0)
    truth, loss = rng.uniform(30, 90, n), rng.uniform(0, 10, n)
    measured = pd.DataFrame({"id": [str(i) for i in range(n)], "acc_1d": truth, "avm": loss})

    def predicted(noise: float) -> pd.DataFrame:
        value = truth + noise * rng.normal(size=n)
        return pd.DataFrame(
            {"acc_1d": value, "acc_1d_score": value, "acc_1d_low": truth - 1, "acc_1d_high": truth + 1, "avm": loss}
        )

    champion = predicted(champion_noise)
    challenger = predicted(challenger_noise).assign(**columns)
    figures: dict[str, Any] = comparing.compare(measured, champion, challenger, 500, seed=1)
    return figures


def test_a_clear_gain_is_accepted():
    figures = case(40, 60, 2)
    assert figures["acc_1d"]["gain_low"] > 0
    verdict = comparing.decide(figures, RULES)
    assert verdict.accepted
    assert "one-sided 95% bound +" in verdict.reason


def test_a_gain_within_the_noise_is_none():
    figures = case(14, 30, 15)
    assert figures["acc_1d"]["gain"] > 0
    verdict = comparing.decide(figures, RULES)
    assert not verdict.accepted
    assert "it may be none" in verdict.reason


def test_the_same_evaluator_gains_nothing():
    figures = case(40, 0, 0)
    assert figures["acc_1d"]["gain"] == figures["acc_1d"]["gain_low"] == 0
    assert not comparing.decide(figures, RULES).accepted


def test_a_gain_below_the_least_one_is_refused():
    verdict = comparing.decide(case(40, 60, 2), RetrainParams(min_gain=0.9))
    assert not verdict.accepted
    assert "not above retrain.min_gain, 0.9" in verdict.reason


def test_a_worse_ranking_of_avm_is_refused():
    verdict = comparing.decide(case(40, 60, 2, avm=np.random.default_rng(3).uniform(size=40)), RULES)
    assert not verdict.accepted
    assert "retrain.guard_avm, 0.15" in verdict.reason


def test_intervals_that_are_too_narrow_are_refused():
    verdict = comparing.decide(case(40, 60, 2, acc_1d_low=99.0), RULES)
    assert not verdict.accepted
    assert "holds 0% of the measurements" in verdict.reason


@pytest.mark.parametrize("n", [0, 1, 9])
def test_with_too_few_sentinel_rows_nothing_is_concluded(n: int):
    figures = case(n, 60, 2)
    assert figures == {"architectures": n}
    verdict = comparing.decide(figures, RULES)
    assert not verdict.accepted
    assert f"only {n} sentinel architectures" in verdict.reason


def test_a_constant_challenger_ranks_nothing():
    figures = case(40, 10, 2, acc_1d_score=1.0)
    assert figures["acc_1d"]["challenger"] is None
    assert figures["acc_1d"]["gain"] < 0
    assert not comparing.decide(figures, RULES).accepted


def test_constant_measurements_decide_nothing():
    n = 20
    measured = pd.DataFrame({"id": [str(i) for i in range(n)], "acc_1d": 10.0, "avm": 0.0})
    frame = pd.DataFrame({name: np.arange(n) for name in ("acc_1d", "acc_1d_score", "avm")})
    frame = frame.assign(acc_1d_low=0.0, acc_1d_high=99.0)
    figures = comparing.compare(measured, frame, frame, 100, seed=1)
    assert figures["acc_1d"] == {"champion": None, "challenger": None, "gain": 0.0, "gain_low": 0.0}
    assert "not defined" in comparing.decide(figures, RULES).reason


def test_the_bound_is_that_of_paired_resamples():
    """Against a plain loop over resamples with scipy's tau."""
    rng = np.random.default_rng(5)
    measured, first, second = rng.normal(size=(3, 25))
    second = measured + second
    weights, groups = bootstrap_weights([str(i) for i in range(25)], 60, 7)
    gain = comparing.tau_gain(measured, first, second, weights, groups)
    drawn = []
    for row in weights:
        pairs = (
            np.sign(measured[:, None] - measured),
            np.sign(first[:, None] - first),
            np.sign(second[:, None] - second),
        )
        total = [np.sum(np.outer(row, row) * pairs[0] * one) for one in pairs[1:]]
        count = np.sum(np.outer(row, row)) - np.sum(row * row)
        drawn.append((total[1] - total[0]) / count)
    assert gain.low == pytest.approx(np.quantile(drawn, 0.05))
    assert gain.value == pytest.approx(kendall_tau(measured, second) - kendall_tau(measured, first))
    assert gain.low < gain.value


def test_reasons_name_figure_and_threshold():
    newest = {"architectures": 20, "kendall_tau": 0.1, "coverage": 0.5}
    found = comparing.reasons({"newest": newest, "new_rows": 16, "age_days": 31.5}, RULES)
    assert len(found) == 4
    for part in ("0.100, below retrain.min_tau", "holds 50%", "16 new rows", "older than retrain.max_age_days"):
        assert any(part in one for one in found), found


def test_what_is_unknown_is_no_reason():
    unknown = {"architectures": 3, "kendall_tau": None, "coverage": None}
    assert comparing.reasons({"newest": unknown, "new_rows": 15, "age_days": None}, RULES) == []
    old = {"newest": unknown, "new_rows": 0, "age_days": 999.0}
    assert comparing.reasons(old, RetrainParams(max_age_days=None)) == []


def test_few_rows_tell_nothing_of_the_champion():
    rows = pd.DataFrame({"acc_1d": np.arange(9.0)})
    assert comparing.ranking(rows, pd.DataFrame()) == {"architectures": 9, "kendall_tau": None, "coverage": None}
    rows = pd.DataFrame({"acc_1d": np.arange(10.0)})
    predicted = pd.DataFrame({"acc_1d_score": np.arange(10.0), "acc_1d_low": -1.0, "acc_1d_high": 4.0})
    found = comparing.ranking(rows, predicted)
    assert found == {"architectures": 10, "kendall_tau": pytest.approx(1.0), "coverage": 0.5}
