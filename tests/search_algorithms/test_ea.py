import pytest

from analognas.errors import SearchError
from analognas.search_algorithms import EvolutionaryAlgorithm
from analognas.search_spaces import ConfigSpace
from analognas.testing.analytic import AnalyticEvaluator
from analognas.testing.optimizers import OptimizerConformance


class TestEvolutionaryAlgorithm(OptimizerConformance):
    def make(self, *args, **kwargs):
        return EvolutionaryAlgorithm(*args, **kwargs)


def test_the_best_of_parents_and_children_survive():
    space = ConfigSpace("digits")
    optimizer = EvolutionaryAlgorithm(population_size=6, mu=3).bind(space)
    first = optimizer.ask(6)
    optimizer.tell(first, [5.0, 1.0, 2.0, float("nan"), 4.0, 3.0])
    assert list(optimizer._population) == [first[0].id, first[4].id, first[5].id]
    second = optimizer.ask(6)
    optimizer.tell(second, [4.5, 0, 0, 0, 0, 0])
    assert list(optimizer._population) == [first[0].id, second[0].id, first[4].id]


def test_failed_ones_are_no_parents():
    optimizer = EvolutionaryAlgorithm(population_size=4, mu=4).bind(ConfigSpace("digits"))
    asked = optimizer.ask(4)
    optimizer.tell(asked, [float("nan"), 1.0, float("nan"), 2.0])
    assert set(optimizer._population) == {asked[1].id, asked[3].id}


@pytest.mark.parametrize(("crossover", "origins"), [(0.0, {"start", "mutation"}), (1.0, {"start", "crossover"})])
def test_how_children_are_made(crossover, origins):
    space = ConfigSpace("digits")
    history = EvolutionaryAlgorithm(AnalyticEvaluator(space), 10, 4, crossover=crossover).run(space).history
    assert set(history["origin"]) == origins


@pytest.mark.parametrize("arguments", [{"mu": 1}, {"tournament_size": 0}, {"crossover": 1.5}])
def test_bad_arguments(arguments):
    with pytest.raises(SearchError, match=next(iter(arguments))):
        EvolutionaryAlgorithm(**arguments)
