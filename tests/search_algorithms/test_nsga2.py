from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from analognas.errors import ParamsError, SearchError
from analognas.hardware.chips import HERMES_4_PHASE, zigzag_28nm
from analognas.hardware.cost import cost, costs, tiles
from analognas.hardware.tile_shape import TileShape
from analognas.params import Params
from analognas.search_algorithms import NSGA2, RandomSearch, Worker
from analognas.search_algorithms.pareto import OBJECTIVES, non_dominated
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
    optimizer = NSGA2(EVALUATOR, 10, 3, objectives=("acc_1d", "tiles"), chip=zigzag_28nm(32), min_acc_1d=0.0)
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

    for given, expected in (({}, TileShape(40, 6)), ({"chip": zigzag_28nm((9, 5))}, (9, 5))):
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


def test_costs_are_objectives():
    objectives = ("acc_1d", "energy_uj", "latency_us", "tiles")
    optimizer = NSGA2(EVALUATOR, 10, 3, objectives=objectives, chip="hermes-4-phase", min_acc_1d=0.0)
    optimizer.run(SPACE)
    history = optimizer.history
    known = costs([one.architecture for one in optimizer.evaluated.values()], HERMES_4_PHASE)
    for name in objectives[1:]:
        assert history[name].tolist() == known[name].tolist()
    record = next(iter(optimizer.evaluated.values()))
    expected = [-record.row["acc_1d"], *(cost(record.architecture, HERMES_4_PHASE)[name] for name in objectives[1:])]
    assert optimizer.costs(record) == expected
    assert set(optimizer.pareto["id"]) <= set(history["id"])


def test_without_costs_there_are_no_columns_of_them():
    optimizer = NSGA2(EVALUATOR, 10, 1)
    optimizer.run(SPACE)
    assert not {"tiles", "energy_uj"} & set(optimizer.history.columns)


def test_the_objectives_are_those_that_params_yaml_allows():
    for name in OBJECTIVES:
        assert Params.validated({"search": {"objectives": ["acc_1d" if name != "acc_1d" else "avm", name]}})
    with pytest.raises(ParamsError, match="there is no objective speed"):
        Params.validated({"search": {"objectives": ["acc_1d", "speed"]}})
