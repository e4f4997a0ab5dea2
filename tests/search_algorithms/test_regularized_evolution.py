import pytest

from analognas.errors import SearchError
from analognas.search_algorithms import RegularizedEvolution
from analognas.search_spaces import ConfigSpace
from analognas.testing.optimizers import OptimizerConformance


class TestRegularizedEvolution(OptimizerConformance):
    def make(self, *args, **kwargs):
        return RegularizedEvolution(*args, **kwargs)


def test_the_oldest_die_however_good_they_are():
    optimizer = RegularizedEvolution(population_size=4, queue=6).bind(ConfigSpace("digits"))
    first = optimizer.ask(4)
    optimizer.tell(first, [9.0, 8.0, 7.0, 6.0])
    second = optimizer.ask(4)
    optimizer.tell(second, [1.0, 2.0, float("nan"), 3.0])
    kept = [*first[1:], *second[:2], second[3]]
    assert [record.architecture for record in optimizer._queue] == kept


def test_the_paper_s_proportions():
    optimizer = RegularizedEvolution(population_size=50)
    assert (optimizer.queue, optimizer.tournament_size) == (100, 25)


def test_children_are_mutants_of_the_winner():
    # A tournament as large as this one is won by the best of the queue.
    space = ConfigSpace("digits")
    optimizer = RegularizedEvolution(population_size=5, tournament_size=200).bind(space)
    asked = optimizer.ask(5)
    optimizer.tell(asked, [0.0, 0.0, 9.0, 0.0, 0.0])
    parents, mutate = [], space.mutate
    space.mutate = lambda one, *args, **kwargs: parents.append(one) or mutate(one, *args, **kwargs)
    optimizer.ask(1)
    assert parents[0] == asked[2]


@pytest.mark.parametrize("arguments", [{"queue": 1}, {"tournament_size": 0}])
def test_bad_arguments(arguments):
    with pytest.raises(SearchError, match=next(iter(arguments))):
        RegularizedEvolution(**arguments)
