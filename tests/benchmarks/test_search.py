from __future__ import annotations

from importlib.util import find_spec

import pytest

from benchmarks import search

pytestmark = pytest.mark.skipif(find_spec("analognasbench") is None, reason="analog-nasbench is not installed")


@pytest.mark.long
def test_the_search_benchmark_scores_by_latent_value() -> None:
    found = search.measure(50, [0, 1], ["random", "evolution"])
    assert set(found["latent"]) == set(found["label"]) == {"random", "evolution"}
    assert max(found["latent"].values()) <= found["best_latent"]
    assert set(found["by_measurements"]["random"]) == {"50"}
