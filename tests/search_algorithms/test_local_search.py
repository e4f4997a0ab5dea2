from analognas.search_algorithms import LocalSearch
from analognas.search_spaces import ConfigSpace
from analognas.testing.analytic import AnalyticEvaluator
from analognas.testing.optimizers import OptimizerConformance, middle_space, small_space


class TestLocalSearch(OptimizerConformance):
    def make(self, *args, **kwargs):
        return LocalSearch(*args, **kwargs)


def test_neighbours_of_the_best_come_first():
    space = ConfigSpace("digits")
    optimizer = LocalSearch(population_size=4).bind(space)
    start = optimizer.ask(4)
    optimizer.tell(start, [0.0, 3.0, 1.0, 2.0])
    near = {one.id for one in space.neighbours(start[1])}
    asked = optimizer.ask(5)
    assert {one.id for one in asked} <= near
    optimizer.tell(asked, [0.0, 0.0, 4.0, 0.0, 0.0])
    assert {one.id for one in optimizer.ask(3)} <= {one.id for one in space.neighbours(asked[2])}


def test_more_than_the_best_one_has():
    space = small_space()
    optimizer = LocalSearch(population_size=4).bind(space)
    start = optimizer.ask(4)
    optimizer.tell(start, [0.0, 3.0, 1.0, 2.0])
    near = [{one.id for one in space.neighbours(start[index])} for index in (1, 3)]
    first = len(near[0] - {one.id for one in start})
    asked = optimizer.ask(first + 2)
    assert {one.id for one in asked[:first]} <= near[0]
    assert {one.id for one in asked[first:]} <= near[1]


def test_a_local_optimum_starts_another_climb():
    space = ConfigSpace("digits")
    optimizer = LocalSearch(population_size=3).bind(space)
    start = optimizer.ask(3)
    optimizer.tell(start, [9.0, 1.0, 2.0])
    while asked := optimizer.ask(5):
        if optimizer._origins[asked[-1].id] == "start":
            break
        optimizer.tell(asked, [0.0] * 5)
    assert {one.id for one in space.neighbours(start[0])} <= set(optimizer._origins)
    optimizer.tell(asked, [0.0, 0.0, 0.0, 0.0, 1.0])  # far below the first climb
    assert {one.id for one in optimizer.ask(2)} <= {one.id for one in space.neighbours(asked[4])}


def test_finds_the_optimum_of_an_enumerable_space():
    space = middle_space()
    evaluator = AnalyticEvaluator(space, seed=3)
    result = LocalSearch(evaluator, 10, 20, min_acc_1d=0.0).run(space)
    assert result.best == evaluator.target
