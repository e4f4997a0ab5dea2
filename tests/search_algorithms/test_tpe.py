from analognas.search_algorithms import TPE
from analognas.search_spaces import ConfigSpace
from analognas.testing.analytic import AnalyticEvaluator
from analognas.testing.optimizers import OptimizerConformance


class TestTPE(OptimizerConformance):
    def make(self, *args, **kwargs):
        return TPE(*args, **kwargs)


def test_most_come_from_the_sampler():
    space = ConfigSpace("digits")
    history = TPE(AnalyticEvaluator(space), 10, 6, min_acc_1d=0.0).run(space).history
    assert (history["origin"] == "sampler").mean() > 0.6


def test_it_learns_from_what_it_did_not_ask_for():
    space = ConfigSpace("digits")
    evaluator = AnalyticEvaluator(space, seed=1)
    near = space.neighbours(evaluator.target) + space.sample(40, seed=5)
    optimizer = TPE(population_size=10, min_acc_1d=0.0).bind(space)
    optimizer.tell(near, evaluator.predict(near))
    asked = optimizer.ask(10)
    drawn = space.sample(10, seed=6)
    assert evaluator.predict(asked)["acc_1d"].mean() > evaluator.predict(drawn)["acc_1d"].mean() + 5
