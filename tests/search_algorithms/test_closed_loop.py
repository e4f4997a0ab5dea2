from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from analognas.errors import SearchError
from analognas.evaluators.ensemble import GaussianProcessEvaluator
from analognas.hardware.chips import HERMES_1_PHASE
from analognas.hardware.cost import costs
from analognas.search_algorithms import RandomSearch
from analognas.search_algorithms.closed_loop import ClosedLoop
from analognas.search_algorithms.hypervolume import hypervolume
from analognas.search_spaces import Architecture, ConfigSpace
from analognas.search_spaces.nasbench201 import NASBench201Space
from analognas.testing import AnalyticEvaluator
from analognas.testing.analytic import enumerate_space
from analognas.testing.optimizers import small_space


def surrogate(seed: int) -> GaussianProcessEvaluator:
    return GaussianProcessEvaluator(("gaussian_process",), components=2, report=False, seed=seed)


def loop(space: ConfigSpace, **how: Any) -> ClosedLoop:
    given: dict[str, Any] = {"start": 8, "min_acc_1d": 0.0, "seed": 1} | how
    return ClosedLoop(surrogate, **given).bind(space)


def spend(optimizer: Any, truth: AnalyticEvaluator, budget: int, batch: int = 4) -> None:
    for _ in range(budget // batch):
        asked = optimizer.ask(batch)
        optimizer.tell(asked, truth.predict(asked))


def test_it_finds_more_than_random_search_does_with_as_many_measurements() -> None:
    space = ConfigSpace("digits", max_params=20_000)
    gains = []
    for seed in range(3):
        truth = AnalyticEvaluator(space, seed=seed)
        found = loop(space, seed=seed)
        random = RandomSearch(min_acc_1d=0.0, seed=seed).bind(space)
        spend(found, truth, 24)
        spend(random, truth, 24)
        gains.append(found.result().value - random.result().value)
    assert np.mean(gains) > 2  # 6 to 7 over a dozen seeds; of one pair either may be the lucky one


def test_a_batch_has_architectures_of_different_functions_that_were_not_measured() -> None:
    space = NASBench201Space()
    found = loop(space)
    rng = np.random.default_rng(0)
    for _ in range(3):
        asked = found.ask(8)
        functions = [one.function_id for one in asked]
        assert len(set(functions)) == 8
        assert not set(functions) & {record.architecture.function_id for record in found.evaluated.values()}
        frame = pd.DataFrame({"acc_1d": rng.uniform(50, 90, 8), "acc_1d_std": rng.uniform(1, 3, 8), "avm": 2.0})
        found.tell(asked, frame)
    origins = found.history["origin"].tolist()
    assert origins[:8] == ["start"] * 8
    assert set(origins[8:]) <= {"promise", "uncertainty"}


def test_the_seed_decides_what_is_asked() -> None:
    space = small_space()
    truth = AnalyticEvaluator(space)
    runs = []
    for seed in (1, 1, 2):
        found = loop(space, seed=seed)
        spend(found, truth, 16)
        runs.append(found.history["id"].tolist())
    assert runs[0] == runs[1] != runs[2]


def test_with_several_objectives_it_finds_more_of_the_front() -> None:
    space = small_space()
    truth = AnalyticEvaluator(space, seed=3)
    everything = list(enumerate_space(space))
    objectives = ("acc_1d", "energy_uj", "tiles")

    def front(architectures: list[Architecture]) -> np.ndarray:
        known = costs(architectures, HERMES_1_PHASE)
        accuracy = truth.predict(architectures)["acc_1d"]
        return np.column_stack([-accuracy, known["energy_uj"], known["tiles"]])

    all_ = front(everything)
    worst = all_.max(axis=0) + 1e-9
    shares: dict[str, list[float]] = {"several": [], "one": [], "random": []}
    for seed in range(3):
        for name, optimizer in (
            ("several", loop(space, seed=seed, objectives=objectives, chip="hermes-1-phase")),
            ("one", loop(space, seed=seed)),
            ("random", RandomSearch(min_acc_1d=0.0, seed=seed).bind(space)),
        ):
            spend(optimizer, truth, 24)
            measured = [record.architecture for record in optimizer.evaluated.values()]
            shares[name].append(hypervolume(front(measured), worst) / hypervolume(all_, worst))
    assert np.mean(shares["several"]) > 0.95
    assert np.mean(shares["several"]) > max(np.mean(shares["one"]), np.mean(shares["random"]))
    assert loop(space, objectives=objectives).shown_costs == ("tiles", "energy_uj")
    with pytest.raises(SearchError, match="objectives is"):
        loop(space, objectives=["acc_1d"])


def test_limits_hold_for_what_is_asked_and_recommended() -> None:
    space = ConfigSpace("digits")
    truth = AnalyticEvaluator(space)
    found = loop(space, max_nb_param=8_000, T_AVM=9.0)
    spend(found, truth, 24)
    assert found.history["params"].max() <= 8_000
    best = found.recommend()
    assert best.measured["avm"] <= 9.0
    assert best.best in best.candidates


def test_the_recommendation_is_by_the_fitted_evaluator_not_by_the_luckiest_label() -> None:
    space = small_space()
    truth = AnalyticEvaluator(space)
    found = loop(space)
    asked = space.sample(40, seed=4)
    rows = truth.predict(asked)
    worst = int(rows["acc_1d"].idxmin())
    lucky = rows[["acc_1d", "acc_1d_std", "avm"]].copy()
    lucky.loc[worst, "acc_1d"] = 99.0
    found.tell(asked, lucky)
    assert found.result().best == asked[worst]
    assert found.recommend().best != asked[worst]


def test_what_is_excluded_is_never_asked_nor_learned() -> None:
    space = small_space()
    everything = list(space.enumerate())
    found = loop(space)
    found.exclude(everything[:-10])
    seen: list[Architecture] = []
    while asked := found.ask(4):
        seen += asked
        found.tell(asked, AnalyticEvaluator(space).predict(asked))
    assert {one.id for one in seen} == {one.id for one in everything[-10:]}


def test_failed_architectures_do_not_stop_it() -> None:
    space = small_space()
    found = loop(space)
    asked = found.ask(8)
    rows = AnalyticEvaluator(space).predict(asked)[["acc_1d", "acc_1d_std", "avm"]]
    rows.loc[:3, ["acc_1d", "acc_1d_std", "avm"]] = np.nan
    found.tell(asked, rows)
    assert len(found.ask(4)) == 4  # too few to fit: drawn
    with pytest.raises(SearchError, match="explore"):
        loop(space, explore=-1.0)


def test_run_takes_an_evaluator_for_the_truth() -> None:
    space = small_space()
    truth = AnalyticEvaluator(space)
    result = ClosedLoop(surrogate, truth, population_size=4, nb_iter=5, start=8, min_acc_1d=0.0).run(space)
    assert len(result.history) == 20


def test_what_promises_more_than_is_possible_is_looked_at_all_the_same() -> None:
    class Hopeful(AnalyticEvaluator):
        def fit(self, architectures: Any, results: pd.DataFrame) -> Any:
            return self

        def predict(self, architectures: Any) -> pd.DataFrame:
            return super().predict(architectures).assign(acc_1d=99.0, acc_1d_uncertainty=5.0)

    space = ConfigSpace("digits", max_params=20_000)
    found = ClosedLoop(lambda _: Hopeful(space), start=2, min_acc_1d=0.0).bind(space)
    asked = found.ask(2)
    found.tell(asked, AnalyticEvaluator(space).predict(asked))
    assert len(found.ask(4)) == 4


def test_promises_beyond_what_is_possible_are_still_told_apart() -> None:
    from analognas.search_algorithms.closed_loop import _Promise

    told = pd.DataFrame({"acc_1d": [100.0, 100.0], "promise": [104.0, 103.0], "acc_1d_std": [0.5, 0.5]})
    assert _Promise("penalized", 2.0)(told).tolist() == [103.0, 102.0]
