from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from analognas.errors import SearchError
from analognas.hardware.cost import tiles
from analognas.hardware.tile_shape import TileShape
from analognas.search_algorithms import NSGA2, RandomSearch, Worker
from analognas.search_algorithms.pareto import non_dominated
from analognas.search_spaces import ConfigSpace
from analognas.testing.analytic import AnalyticEvaluator
from analognas.testing.optimizers import OptimizerConformance


class TestNSGA2(OptimizerConformance):
    def make(self, *args, **kwargs):
        return NSGA2(*args, **kwargs)


SPACE = ConfigSpace("digits")
EVALUATOR = AnalyticEvaluator(SPACE, seed=1)


def test_the_front_is_what_nothing_beats():
    # Without the AVM, which in this problem falls wherever the size grows: then nothing beats anything.
    optimizer = NSGA2(EVALUATOR, 20, 6, objectives=("acc_1d", "acc_1d_std", "params"))
    optimizer.run(SPACE)
    history = optimizer.history
    feasible = history[history["feasible"]]
    costs = feasible[["acc_1d", "acc_1d_std", "params"]].to_numpy(dtype=float) * [-1, 1, 1]
    assert set(optimizer.pareto["id"]) == set(feasible["id"][non_dominated(costs)])
    assert optimizer.pareto["acc_1d"].is_monotonic_decreasing
    assert 1 < len(optimizer.pareto) < len(feasible) < len(history)


def test_tiles_are_an_objective():
    optimizer = NSGA2(EVALUATOR, 10, 3, objectives=("acc_1d", "tiles"), tile_size=32, min_acc_1d=0.0)
    candidates = {one.id: one for one in optimizer.run(SPACE).candidates}
    front = optimizer.pareto
    assert [tiles(candidates[id_].structure, 32) for id_ in front["id"]] == front["tiles"].tolist()
    assert front["tiles"].is_monotonic_decreasing
    worker = Worker(SPACE, optimizer, runs=2)
    worker.search()
    assert set(worker.pareto().columns) == {"run", *front.columns}


def test_tiles_are_those_of_the_evaluator_s_chip_unless_others_are_given():
    class Knowing(AnalyticEvaluator):
        schema_ = SimpleNamespace(tile_size=TileShape(40, 6))

    for given, expected in (({}, TileShape(40, 6)), ({"tile_size": (9, 5)}, (9, 5))):
        optimizer = NSGA2(Knowing(SPACE, seed=1), 10, 1, objectives=("acc_1d", "tiles"), min_acc_1d=0.0, **given)
        optimizer.run(SPACE)
        counted = [tiles(one.architecture.structure, expected) for one in optimizer.evaluated.values()]
        assert optimizer.history["tiles"].tolist() == counted
        assert len(set(counted)) > 1


def test_the_worker_s_front_has_the_same_objectives():
    optimizer = NSGA2(EVALUATOR, 10, 4, min_acc_1d=0.0)
    worker = Worker(SPACE, optimizer, runs=1)
    worker.search()
    pd.testing.assert_frame_equal(worker.pareto().drop(columns="run"), optimizer.pareto)


def test_a_better_front_than_that_of_random_search():
    # Share of the box from (40 % accuracy, 5,000 parameters) to (95 %, none) that the front dominates.
    def share(optimizer):
        worker = Worker(SPACE, optimizer, runs=2)
        worker.search()
        found = worker.history[worker.history["feasible"]]
        grid = np.random.default_rng(0).random((2_000, 2)) * [55, 5_000] + [40, 0]
        accuracy, params = (found[name].to_numpy(dtype=float) for name in ("acc_1d", "params"))
        return np.mean([((accuracy >= a) & (params <= p)).any() for a, p in grid])

    given = {"population_size": 20, "nb_iter": 10, "min_acc_1d": 0.0}
    assert share(NSGA2(EVALUATOR, objectives=("acc_1d", "params"), **given)) > share(RandomSearch(EVALUATOR, **given))


def test_there_is_no_front_of_what_was_not_told():
    optimizer = NSGA2().bind(SPACE)
    with pytest.raises(SearchError, match="no values of acc_1d yet"):
        _ = optimizer.pareto
    optimizer.tell(optimizer.ask(3), [1.0, 2.0, 3.0])
    with pytest.raises(SearchError, match="no values of acc_1d yet"):
        _ = optimizer.pareto


@pytest.mark.parametrize("objectives", [("acc_1d",), ("acc_1d", "speed"), ("avm", "avm"), "acc_1d"])
def test_bad_objectives(objectives):
    with pytest.raises(SearchError, match=r"objectives is .*: give two or more of acc_1d, avm"):
        NSGA2(objectives=objectives)


def test_bad_tile_size():
    with pytest.raises(SearchError, match="tile_size is 0"):
        NSGA2(tile_size=0)
