from __future__ import annotations

from importlib.util import find_spec

import pytest

from benchmarks import surrogate

pytestmark = pytest.mark.skipif(find_spec("analognasbench") is None, reason="analog-nasbench is not installed")


def test_the_surrogate_benchmark_reports_what_was_asked_for() -> None:
    found = surrogate.measure("acc_1d", 40, [0, 1], 200, False, ["gaussian_process", "reference"])
    assert set(found["tau"]) == {"gaussian_process", "reference"}
    assert found["tau"]["gaussian_process"] > found["tau"]["reference"]
    assert 0.7 < found["coverage"]["gaussian_process"] <= 1
