from __future__ import annotations

from importlib.util import find_spec

import pytest

from benchmarks import query

pytestmark = pytest.mark.skipif(find_spec("analognasbench") is None, reason="analog-nasbench is not installed")


def test_the_query_benchmark_counts() -> None:
    found = query.measure(20, 50, 2, 10)
    assert found["search"]["architectures"] == 20
    assert set(found["architectures_per_second"]) == {"xgboost", "gaussian_process", "ensemble"}
