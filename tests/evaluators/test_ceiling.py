from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analognas.evaluators.ceiling import ceilings
from analognas.evaluators.metrics import kendall_tau


def drawn(noise: float, n: int = 400, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame, float]:
    """Return results, the same measured again, and the tau of what knows the expected figures."""
    rng = np.random.default_rng(seed)
    expected = rng.normal(size=n)

    def measure() -> pd.DataFrame:
        scaled = expected + noise * rng.normal(size=n)
        accuracy = 100 / (1 + np.exp(-scaled))
        names = [f"{i:04d}" for i in range(n)]
        return pd.DataFrame({"id": names, "acc_1d": accuracy, "avm": scaled + 5, "acc_1d_std": np.exp(scaled)})

    results, again = measure(), measure()
    return results, again, kendall_tau(results["acc_1d"], expected)


@pytest.mark.parametrize("noise", [0.2, 0.5, 1.0])
def test_it_is_what_a_perfect_predictor_reaches(noise: float) -> None:
    results, again, perfect = drawn(noise)
    found = ceilings(results, again, seed=0)["acc_1d"]
    assert found["value"] == pytest.approx(perfect, abs=0.05)
    assert found["low"] < found["value"] < found["high"]


def test_a_few_pairs_give_a_wide_interval_that_holds_it() -> None:
    held = 0
    for seed in range(8):
        results, again, perfect = drawn(0.5, n=64, seed=seed)
        found = ceilings(results, again.head(8), seed=0)["acc_1d"]
        assert found["pairs"] == 8
        held += found["low"] - 0.05 <= perfect <= found["high"] + 0.05
    assert held >= 6


def test_without_noise_everything_can_be_ranked() -> None:
    results, _, _ = drawn(0.5)
    assert ceilings(results, results, seed=0)["avm"]["value"] == pytest.approx(1.0)


def test_too_few_pairs_say_nothing() -> None:
    results, again, _ = drawn(0.5)
    assert ceilings(results, again.head(1), seed=0)["acc_1d"] == {"value": None, "low": None, "high": None, "pairs": 1}
    missing = again.head(5).assign(acc_1d=np.nan)
    assert ceilings(results, missing, seed=0)["acc_1d"]["pairs"] == 0
