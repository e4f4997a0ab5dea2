from analognas.search_algorithms import LatinHypercube
from analognas.search_spaces import ConfigSpace
from analognas.testing.optimizers import OptimizerConformance


class TestLatinHypercube(OptimizerConformance):
    def make(self, *args, **kwargs):
        return LatinHypercube(*args, **kwargs)


def test_the_whole_budget_is_one_design():
    # 26 points over 13 values of a gene: a Latin hypercube has each twice.
    space = ConfigSpace("digits")
    optimizer = LatinHypercube(population_size=2, nb_iter=13).bind(space)
    asked = [one for _ in range(13) for one in optimizer.ask(2)]
    assert sorted(one.genes["out_channel0"] for one in asked) == sorted([*range(4, 17)] * 2)


def test_it_goes_on_beyond_the_budget():
    optimizer = LatinHypercube(population_size=2, nb_iter=2).bind(ConfigSpace("digits"))
    asked = [one.id for n in (3, 5, 4) for one in optimizer.ask(n)]
    assert len(set(asked)) == 12
