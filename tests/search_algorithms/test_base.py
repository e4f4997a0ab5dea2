import pytest

import analognas.search_algorithms as package
from analognas.errors import MismatchError, SearchError
from analognas.search_algorithms import EAOptimizer, Optimizer, RandomSearch
from analognas.search_spaces import ConfigSpace
from analognas.testing.analytic import AnalyticEvaluator
from analognas.testing.optimizers import small_space


def test_everything_public_is_importable():
    assert package.__all__ == sorted(package.__all__, key=lambda name: (not name.isupper(), name))
    assert all(hasattr(package, name) for name in package.__all__)


def test_a_strategy_is_one_method():
    class Smallest(Optimizer):
        def propose(self, n):
            known = sorted(self.draw(2 * n, "uniform"), key=lambda one: one.params)
            return [(one, "small") for one in known[:n]]

    space = ConfigSpace("digits")
    result = Smallest(AnalyticEvaluator(space), 5, 2, min_acc_1d=0.0).run(space)
    assert result.history["origin"].tolist() == ["small"] * 10


def test_evaluators_refuse_another_space():
    class Strict(AnalyticEvaluator):
        def predict(self, architectures):
            self.check(space=architectures[0].space.name)
            return super().predict(architectures)

    with pytest.raises(MismatchError):
        RandomSearch(Strict(ConfigSpace("digits"))).run(ConfigSpace("CIFAR-10"))


def test_a_second_value_replaces_the_first():
    optimizer = RandomSearch().bind(small_space())
    asked = optimizer.ask(3)
    optimizer.tell(asked, [1.0, float("nan"), 2.0])
    optimizer.tell(asked[1:2], [3.0])
    assert optimizer.result().best == asked[1]
    assert optimizer.history["id"].tolist() == [one.id for one in asked]


def test_told_architectures_over_the_limit_are_infeasible():
    space = ConfigSpace("digits")
    optimizer = RandomSearch(max_nb_param=1_000).bind(space)
    large = [one for one in space.sample(10) if one.params > 1_000]
    optimizer.tell(large, [1.0] * len(large))
    with pytest.raises(SearchError, match=rf"max_nb_param = 1000 excludes {len(large)} .*Raise it"):
        optimizer.result()


def test_bind_starts_afresh():
    optimizer = EAOptimizer(seed=4).bind(small_space())
    first = optimizer.ask(5)
    optimizer.tell(first, range(5))
    assert optimizer.bind(small_space()).ask(5) == first
    assert optimizer.history.empty
    assert optimizer.bind(small_space(), seed=5).ask(5) != first


def test_there_is_no_history_before_bind():
    assert RandomSearch().history.empty
    with pytest.raises(SearchError, match="bind"):
        RandomSearch().result()


def test_the_last_architectures_of_a_space_are_found():
    optimizer = RandomSearch().bind(small_space())
    asked = optimizer.ask(120)
    assert len(asked) == 120
    asked += optimizer.ask(5)
    asked += optimizer.ask(50)
    assert len({one.id for one in asked}) == len(asked) == 128
    assert optimizer.ask(1) == []


@pytest.mark.parametrize("cls", [EAOptimizer, RandomSearch])
def test_more_than_there_is(cls):
    assert len(cls(population_size=1_000).bind(small_space()).ask(1_000)) == 128


def test_an_evaluator_that_returns_rows_of_others_is_refused():
    space = small_space()

    class Reversed(AnalyticEvaluator):
        def predict(self, architectures):
            return super().predict(architectures).iloc[::-1]

    with pytest.raises(MismatchError, match=r"Reversed\.predict returned.*row 0 is of .*in their order"):
        RandomSearch(Reversed(space), population_size=4).run(space)
