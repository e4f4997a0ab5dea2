import logging
from math import inf, nan

import pytest

from analognas.errors import SearchError
from analognas.search_algorithms import BayesianOptimization
from analognas.search_algorithms.bo import _worth
from analognas.search_algorithms.records import Evaluated
from analognas.search_spaces import ConfigSpace
from analognas.testing.analytic import AnalyticEvaluator
from analognas.testing.optimizers import OptimizerConformance, middle_space


class TestBayesianOptimization(OptimizerConformance):
    def make(self, *args, **kwargs):
        # Fewer than by default, for the time that a fit takes.
        return BayesianOptimization(*args, **{"candidates": 100, "points": 50, "fits": 1} | kwargs)


def worth(*given):
    architectures = ConfigSpace("digits").sample(len(given))
    records = [Evaluated(one, 0, "start", *values, {}) for one, values in zip(architectures, given, strict=True)]
    return _worth(sorted(records, key=lambda record: record.rank_key))


def test_infeasible_ones_are_worth_less_than_all_feasible_ones():
    assert worth((90.0, 0.0), (80.0, 0.0), (99.0, 1.0), (99.0, 2.0), (nan, inf)) == [90.0, 80.0, 79.0, 78.0, 78.0]


def test_what_is_far_from_feasible_does_not_hide_the_others():
    assert worth((90.0, 0.0), (80.0, 0.0), (99.0, 500.0), (99.0, 1000.0)) == [90.0, 80.0, 75.0, 70.0]


def test_without_a_feasible_one_the_violation_counts():
    assert worth((99.0, 3.0), (10.0, 1.0), (nan, inf)) == [-1.0, -3.0, -3.0]


def test_origins_and_batches():
    space = ConfigSpace("digits")
    optimizer = BayesianOptimization(AnalyticEvaluator(space), 6, 3, start=8, candidates=60, min_acc_1d=0.0)
    origins = optimizer.run(space).history["origin"].value_counts()
    assert origins.to_dict() == {"start": 8, "process": 10}


def test_it_learns_from_the_best_and_from_others():
    space = ConfigSpace("digits")
    optimizer = BayesianOptimization(points=10).bind(space)
    asked = optimizer.ask(20)
    optimizer.tell(asked, range(20))
    learned = [record.objective for record in optimizer._learned()]
    assert learned[:5] == [19.0, 18.0, 17.0, 16.0, 15.0]
    assert len(set(learned)) == 10


def test_finds_the_optimum_with_few_evaluations():
    space = middle_space()
    evaluator = AnalyticEvaluator(space, seed=2)
    result = BayesianOptimization(evaluator, 10, 8, fits=1, min_acc_1d=0.0).run(space)
    assert result.best == evaluator.target
    assert len(result.history) == 80 < space.size() / 20


def test_optuna_stays_quiet(capfd, caplog):
    import optuna

    before = optuna.logging.get_verbosity()
    space = ConfigSpace("digits")
    with caplog.at_level(logging.DEBUG):
        BayesianOptimization(AnalyticEvaluator(space), 4, 2, candidates=20, min_acc_1d=0.0).run(space)
    assert capfd.readouterr() == ("", "")
    assert optuna.logging.get_verbosity() == before


@pytest.mark.parametrize("arguments", [{"start": 0}, {"candidates": 0}, {"points": 1}, {"fits": 0}])
def test_bad_arguments(arguments):
    with pytest.raises(SearchError, match=next(iter(arguments))):
        BayesianOptimization(**arguments)
