from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, IntDistribution

from analognas.search_algorithms._gp import chosen
from analognas.search_algorithms._optuna import quiet

SPACE: dict[str, Any] = {"x": IntDistribution(0, 40), "kind": CategoricalDistribution(("a", "b"))}


@pytest.fixture(autouse=True)
def _quiet() -> Any:
    with quiet():
        yield


def point(x: int, kind: str = "a") -> dict[str, Any]:
    return {"x": x, "kind": kind}


#: A hill with its top between 20 and 30, and a kind that is worse everywhere.
KNOWN = [
    (point(x, kind), -((x - 25) ** 2) / 100 - 3 * (kind == "b"))
    for x, kind in [(0, "a"), (4, "b"), (10, "a"), (16, "b"), (20, "a"), (30, "a"), (34, "b"), (40, "a")]
]


def test_what_promises_most_is_chosen_first():
    candidates = [point(1), point(2, "b"), point(25), point(36, "b"), point(39)]
    assert chosen(KNOWN, candidates, 1, 1, SPACE, seed=0) == [2]
    ranked = chosen(KNOWN, candidates, 5, 1, SPACE, seed=0)
    assert ranked[0] == 2
    assert sorted(ranked) == list(range(5))


@pytest.mark.parametrize(("n", "fits"), [(1, 3), (4, 1), (4, 3), (6, 6)])
def test_every_candidate_is_chosen_at_most_once(n: int, fits: int):
    candidates = [point(x) for x in (3, 8, 13, 23, 26, 37)]
    found = chosen(KNOWN, candidates, n, fits, SPACE, seed=1)
    assert len(found) == len(set(found)) == n
    assert set(found) <= set(range(6))


def test_the_same_seed_chooses_the_same():
    candidates = [point(x) for x in range(5, 40, 3)]
    assert chosen(KNOWN, candidates, 5, 2, SPACE, seed=7) == chosen(KNOWN, candidates, 5, 2, SPACE, seed=7)


def test_each_fit_knows_what_was_taken_before_it(monkeypatch: pytest.MonkeyPatch):
    sizes: list[int] = []
    original = optuna.samplers.GPSampler.sample_relative

    def sample(sampler: Any, study: Any, *rest: Any) -> Any:
        sizes.append(sum(trial.state == optuna.trial.TrialState.COMPLETE for trial in study.trials))
        return original(sampler, study, *rest)

    monkeypatch.setattr(optuna.samplers.GPSampler, "sample_relative", sample)
    chosen(KNOWN, [point(x) for x in range(12)], 5, 2, SPACE, seed=0)
    assert sizes == [8, 8 + 3]
