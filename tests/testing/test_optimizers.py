"""The conformance tests have to find what is wrong: each broken strategy fails the test that is named."""

from dataclasses import replace

import pytest

from analognas.errors import SearchError
from analognas.search_algorithms import EAOptimizer, RandomSearch
from analognas.search_spaces import ConfigSpace
from analognas.testing.optimizers import CountingEvaluator, OptimizerConformance, small_space


class Repeats(RandomSearch):
    """Always the same ones."""

    def propose(self, n):
        return [(one, "again") for one in self.space.sample(100, seed=1)[:n]]


class Unseeded(RandomSearch):
    """Another run each time."""

    runs = 0

    def reset(self):
        Unseeded.runs += 1
        self.run_seed += Unseeded.runs


class Deaf(RandomSearch):
    """The same run for every seed."""

    def reset(self):
        self.run_seed = 0


class Greedy(RandomSearch):
    """No limit on the parameters."""

    def propose(self, n):
        drawn = self.space.sample(20 * n, seed=self._iteration)
        return [(one, "any") for one in drawn if one.id not in self.evaluated][:n]


class Lazy(RandomSearch):
    """One less than was asked for."""

    def propose(self, n):
        return super().propose(n)[: max(1, n - 1)]


class Optimist(EAOptimizer):
    """Everything is feasible."""

    def _judge(self, architectures, values, looked_at):
        judgement = super()._judge(architectures, values, looked_at)
        return replace(judgement, violation=[0.0] * len(architectures))


BROKEN = [
    (Repeats, lambda tests: tests.test_ask_never_repeats(ConfigSpace("digits"))),
    (Unseeded, lambda tests: tests.test_a_seed_gives_the_same_run(ConfigSpace("digits"))),
    (Deaf, lambda tests: tests.test_seeds_differ(ConfigSpace("digits"))),
    (Greedy, lambda tests: tests.test_asked_architectures_keep_the_parameter_limit(ConfigSpace("digits"))),
    (Lazy, lambda tests: tests.test_ask_gives_n_distinct_members(ConfigSpace("digits"), 7)),
    (Lazy, lambda tests: tests.test_the_budget_is_kept(ConfigSpace("digits"))),
    (Optimist, lambda tests: tests.test_limits_hold_for_everything_returned_where_something_holds_them("mean", "avm")),
    (Optimist, lambda tests: tests.test_without_one_that_holds_the_limits_the_closest_is_returned()),
    (Optimist, lambda tests: tests.test_measured_frames_are_held_against_the_constraints()),
]


@pytest.mark.parametrize(("cls", "check"), BROKEN, ids=lambda value: getattr(value, "__name__", "test"))
def test_broken_strategies_fail(cls, check):
    class Tests(OptimizerConformance):
        def make(self, *args, **kwargs):
            return cls(*args, **kwargs)

    with pytest.raises((AssertionError, SearchError)):
        check(Tests())


def test_counting():
    space = small_space()
    evaluator = CountingEvaluator(space)
    evaluator.predict(space.sample(3))
    evaluator.predict(space.sample(3))
    assert evaluator.calls == 2
    assert evaluator.predicted.total() == 6
    assert len(evaluator.predicted) == 3
