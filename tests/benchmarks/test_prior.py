"""What another chip's evaluator is worth, on made-up chips."""

from __future__ import annotations

from pathlib import Path

import pytest

from analognas.search_spaces import ConfigSpace
from analognas.testing import synthetic_results
from analognas.workspace import Paths
from benchmarks import prior


def test_measured_gives_rows_in_the_order_of_their_architectures(finished: Paths):
    architectures, rows = prior.measured(finished.root)
    assert [known.id for known in architectures] == list(rows["id"])
    assert (rows["status"] == "ok").all()


def test_both_ways_are_compared_on_what_neither_has_seen(monkeypatch: pytest.MonkeyPatch):
    space = ConfigSpace("digits", max_params=50_000)

    def made_up(folder: Path) -> tuple[list, object]:
        architectures = space.sample(120 if folder.name == "first" else 60, seed=len(folder.name))
        return architectures, synthetic_results(architectures)

    monkeypatch.setattr(prior, "measured", made_up)
    figures = prior.measure(Path("first"), Path("second"), [0, 1], [10, 20])
    assert set(figures["figures"]) == {"alone 10", "alone 20", "prior 10", "prior 20"}
    tau = {way: figures["figures"][way]["acc_1d.tau"]["mean"] for way in figures["figures"]}
    assert tau["prior 10"] > tau["alone 10"]
    assert figures["difference"]["of"] == "prior 10 minus alone 20"
    assert figures["difference"]["acc_1d.tau"]["mean"] == pytest.approx(tau["prior 10"] - tau["alone 20"])
