from analognas.search_algorithms import EAOptimizer, RandomSearch
from analognas.search_spaces import ConfigSpace
from analognas.testing.analytic import AnalyticEvaluator
from analognas.testing.optimizers import OptimizerConformance


class TestRandomSearch(OptimizerConformance):
    def make(self, *args, **kwargs):
        return RandomSearch(*args, **kwargs)


def test_same_budget_as_the_evolutionary_search():
    space = ConfigSpace("digits")
    evaluator = AnalyticEvaluator(space)
    sizes = {len(cls(evaluator).run(space).history) for cls in (RandomSearch, EAOptimizer)}
    assert sizes == {200}


def test_everything_is_drawn():
    space = ConfigSpace("digits")
    assert set(RandomSearch(AnalyticEvaluator(space)).run(space).history["origin"]) == {"sample"}
