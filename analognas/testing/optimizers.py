"""What every search strategy has to satisfy, as a class of tests.

Subclass it in a test module and return your strategy from ``make``::

    class TestMine(OptimizerConformance):
        def make(self, *args, **kwargs):
            return MyOptimizer(*args, **kwargs)

Needs pytest.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from analognas.errors import SearchError
from analognas.hardware.chips import HERMES_1_PHASE
from analognas.hardware.cost import costs
from analognas.search_algorithms.constraints import CostLimits, InfeasibleError
from analognas.search_spaces.config_space import ConfigSpace
from analognas.testing.analytic import AnalyticEvaluator, enumerate_space

if TYPE_CHECKING:
    from analognas.search_algorithms.base import Optimizer
    from analognas.search_spaces.architecture import Architecture

_SMALL_RANGES = {"M": 1, "out_channel0": [4, 7], "R": [1, 2], "widenfact": [1, 2]}


def small_space() -> ConfigSpace:
    """Return a space of 128 architectures, small enough to be enumerated."""
    return ConfigSpace("digits", ranges=_SMALL_RANGES)


def middle_space() -> ConfigSpace:
    """Return a space of 2,176 architectures of up to two main blocks."""
    return ConfigSpace("digits", ranges={**_SMALL_RANGES, "M": [1, 2]})


class CountingEvaluator(AnalyticEvaluator):
    """Counts what is predicted: ``calls``, and ``predicted`` by id."""

    def __init__(self, space: ConfigSpace, seed: int = 0) -> None:
        super().__init__(space, seed)
        self.calls = 0
        self.predicted: Counter[str] = Counter()

    def predict(self, architectures: Sequence[Architecture]) -> pd.DataFrame:
        """Return the prediction of the parent class."""
        self.calls += 1
        self.predicted.update(architecture.id for architecture in architectures)
        return super().predict(architectures)


class Measured(AnalyticEvaluator):
    """Has measurements of six architectures (``known``): the fourth is better than what is predicted of any."""

    def __init__(self, space: ConfigSpace, seed: int = 0) -> None:
        from analognas.evaluators.evidence import Evidence

        super().__init__(space, seed)
        self.known = space.sample(6, seed=9)
        results = pd.DataFrame(
            {"acc_1d": [70.0, 65, 72, 99.9, 68, 61], "avm": 1.0, "acc_1d_std": [1.0, 1, 1, 0.1, 1, 1]}
        )
        unseen = results.assign(
            id=[architecture.id for architecture in self.known], acc_1d=[68.0, 66, 71, 99.7, 67, 62]
        )
        self.evidence_ = Evidence.of(self.known, results, unseen)


class OptimizerConformance(ABC):
    """Tests of the ask/tell interface, of ``run``, and of the constraints."""

    @abstractmethod
    def make(self, *args: Any, **kwargs: Any) -> Optimizer:
        """Return the strategy that is tested; the arguments are those of ``Optimizer``."""

    @pytest.fixture(params=["small", "budget", "published"])
    def space(self, request: pytest.FixtureRequest) -> ConfigSpace:
        """Return spaces of different size, with and without a parameter budget."""
        spaces = {
            "small": lambda: middle_space(),
            "budget": lambda: ConfigSpace("digits", max_params=20_000),
            "published": lambda: ConfigSpace("CIFAR-10"),
        }
        return spaces[request.param]()

    # ask and tell

    @pytest.mark.parametrize("n", [1, 7, 50])
    def test_ask_gives_n_distinct_members(self, space: ConfigSpace, n: int) -> None:
        """Before and after the first tell."""
        optimizer = self.make().bind(space)
        for _ in range(2):
            asked = optimizer.ask(n)
            assert len({architecture.id for architecture in asked}) == len(asked) == n
            assert all(architecture in space for architecture in asked)
            optimizer.tell(asked, np.linspace(0, 1, n))

    def test_ask_never_repeats(self, space: ConfigSpace) -> None:
        """Neither what was asked, told or not, nor what was told without being asked."""
        optimizer = self.make().bind(space)
        asked = optimizer.ask(30)
        asked += optimizer.ask(10)
        optimizer.tell(asked[:20], range(20))
        foreign = [architecture for architecture in space.sample(20, seed=9) if architecture not in asked]
        optimizer.tell(foreign, [0.0] * len(foreign))
        ids = [architecture.id for architecture in [*asked, *foreign, *optimizer.ask(60)]]
        assert len(set(ids)) == len(ids)

    def test_asked_architectures_keep_the_parameter_limit(self, space: ConfigSpace) -> None:
        """In every iteration."""
        limit = 8 * space.smallest().params
        optimizer = self.make(max_nb_param=limit).bind(space)
        for _ in range(4):
            asked = optimizer.ask(20)
            assert len(asked) == 20
            assert all(architecture.params <= limit for architecture in asked)
            optimizer.tell(asked, [float(architecture.params) for architecture in asked])

    def test_true_values_need_no_evaluator(self, space: ConfigSpace) -> None:
        """The best of the told values is the result."""
        optimizer = self.make(seed=3).bind(space)
        told: dict[str, float] = {}
        for _ in range(3):
            asked = optimizer.ask(8)
            values = [1 / architecture.params for architecture in asked]
            told.update((architecture.id, value) for architecture, value in zip(asked, values, strict=True))
            optimizer.tell(asked, values)
        result = optimizer.result()
        assert result.value == max(told.values()) == told[result.best.id]
        assert set(result.history["id"]) == set(told)

    def test_measured_frames_are_held_against_the_constraints(self) -> None:
        """Measured values have no interval: the AVM itself is held."""
        space = small_space()
        optimizer = self.make(T_AVM=2.0).bind(space)
        asked = optimizer.ask(3)
        measured = pd.DataFrame({"acc_1d": [90.0, 95, 40], "acc_1d_std": [1.0, 1, 1], "avm": [1.9, 2.1, 0]})
        optimizer.tell(asked, measured)
        result = optimizer.result()
        assert result.candidates == asked[:1]
        assert result.prediction["avm"] == 1.9

    def test_missing_values_are_failures(self, space: ConfigSpace) -> None:
        """A failed one is kept in the history, never returned, and the search goes on."""
        optimizer = self.make().bind(space)
        asked = optimizer.ask(6)
        optimizer.tell(asked, [np.nan, 1.0, np.inf, 3.0, -np.inf, 2.0])
        assert optimizer.result().candidates == [asked[3], asked[5], asked[1]]
        assert optimizer.history["objective"].isna().tolist() == [True, False, True, False, True, False]
        again = optimizer.ask(4)
        optimizer.tell(again, [np.nan] * 4)
        assert len(optimizer.ask(4)) == 4
        assert len(optimizer.history) == 10

    def test_only_failures_are_explained(self) -> None:
        """Every value is missing: there is no result, and asking goes on."""
        optimizer = self.make().bind(small_space())
        optimizer.tell(optimizer.ask(5), [np.nan] * 5)
        with pytest.raises(SearchError, match="every value is missing"):
            optimizer.result()
        assert len(optimizer.ask(5)) == 5

    def test_bad_calls_are_refused(self) -> None:
        """One sentence with the remedy each, and nothing is taken."""
        optimizer = self.make()
        with pytest.raises(SearchError, match="bind"):
            optimizer.ask(1)
        with pytest.raises(SearchError, match="bind"):
            optimizer.tell([], [])
        with pytest.raises(SearchError, match="evaluator"):
            optimizer.run(small_space())
        optimizer.bind(small_space())
        with pytest.raises(SearchError, match="nothing was evaluated"):
            optimizer.result()
        with pytest.raises(SearchError, match="n is 0"):
            optimizer.ask(0)
        asked = optimizer.ask(2)
        with pytest.raises(SearchError, match="2 architectures and 1 values"):
            optimizer.tell(asked, [1.0])
        with pytest.raises(SearchError, match="no numbers"):
            optimizer.tell(asked, ["high", "low"])  # type: ignore[list-item]  # that is the point
        with pytest.raises(SearchError, match="acc_1d_std"):
            optimizer.tell(asked, pd.DataFrame({"acc_1d": [1.0, 2.0]}))
        with pytest.raises(SearchError, match="not a member"):
            optimizer.tell(ConfigSpace("CIFAR-10").sample(1), [1.0])
        limited = self.make(T_AVM=1.0).bind(small_space())
        asked = limited.ask(1)
        with pytest.raises(SearchError, match="T_AVM cannot be held"):
            limited.tell(asked, [1.0])
        assert optimizer.history.empty

    @pytest.mark.parametrize(
        "arguments",
        [
            {"population_size": 1},
            {"population_size": 2.5},
            {"nb_iter": 0},
            {"nb_iter": "10"},
            {"objective": "accuracy"},
            {"k": -1.0},
            {"k": None},
            {"max_nb_param": 0},
            {"max_nb_param": "50k"},
            {"min_acc_1d": 101.0},
            {"T_AVM": float("nan")},
            {"avm_bound": "lower"},
        ],
    )
    def test_bad_arguments_are_named(self, arguments: dict[str, Any]) -> None:
        """Before anything runs."""
        with pytest.raises(SearchError, match=next(iter(arguments))):
            self.make(**arguments)

    # run

    def test_what_was_measured_is_a_candidate(self) -> None:
        """By its measurement: one that is far better than predicted is found, if no strategy proposes it."""
        space = ConfigSpace("digits", max_params=15_000)
        evaluator = Measured(space)
        result = self.make(evaluator, population_size=8, nb_iter=2).run(space)
        told = result.history[result.history["origin"] == "measured"]
        assert set(told["id"]) == {architecture.id for architecture in evaluator.known}
        assert told["measured"].all()
        assert result.best == evaluator.known[3]
        assert len(result.history) == 16 + len(evaluator.known)

    def test_a_seed_gives_the_same_run(self, space: ConfigSpace) -> None:
        """Also with an optimizer that has run before."""
        evaluator = AnalyticEvaluator(space)
        optimizer = self.make(evaluator, population_size=8, nb_iter=3)
        first = optimizer.run(space, seed=5)
        optimizer.run(space, seed=6)
        for other in (optimizer, self.make(evaluator, population_size=8, nb_iter=3, seed=5)):
            again = other.run(space, seed=5 if other is optimizer else None)
            assert again.best == first.best
            assert again.candidates == first.candidates
            pd.testing.assert_frame_equal(again.history, first.history)

    def test_seeds_differ(self, space: ConfigSpace) -> None:
        """Other seeds look at other architectures."""
        optimizer = self.make(AnalyticEvaluator(space), population_size=8, nb_iter=3)
        seen = [frozenset(optimizer.run(space, seed=seed).history["id"]) for seed in range(3)]
        assert len(set(seen)) == 3

    def test_the_budget_is_kept(self, space: ConfigSpace) -> None:
        """One prediction of each architecture, one call in each iteration."""
        evaluator = CountingEvaluator(space)
        done: list[tuple[float, float]] = []
        optimizer = self.make(evaluator, population_size=10, nb_iter=6)
        result = optimizer.run(space, progress=lambda *at: done.append(at[:2]))
        assert evaluator.calls == 6
        assert len(evaluator.predicted) == evaluator.predicted.total() == 60
        assert set(result.history["id"]) == set(evaluator.predicted)
        assert done == [(iteration, 6) for iteration in range(1, 7)]

    def test_the_history_is_complete(self, space: ConfigSpace) -> None:
        """One row for each evaluated architecture, and the result follows from it."""
        evaluator = AnalyticEvaluator(space)
        result = self.make(evaluator, population_size=10, nb_iter=4).run(space)
        history = result.history
        assert list(history.columns[:8]) == [
            "iteration", "origin", "id", "genes", "params", "objective", "feasible", "violation",
        ]  # fmt: skip
        assert history["iteration"].value_counts().to_dict() == dict.fromkeys(range(4), 10)
        assert history["id"].is_unique
        assert {"acc_1d", "avm", "acc_1d_std", "avm_high", "acc_1d_uncertainty"} <= set(history)
        objective = history["acc_1d"] - history["acc_1d_std"]
        np.testing.assert_allclose(history["objective"], objective)
        feasible = history[history["feasible"]]
        assert result.value == feasible["objective"].max()
        assert [architecture.id for architecture in result.candidates] == list(
            feasible.sort_values(["objective", "params", "id"], ascending=[False, True, True])["id"]
        )
        assert result.candidates[0] == result.best
        assert result.prediction["acc_1d"] == evaluator.predict([result.best])["acc_1d"].iloc[0]

    @pytest.mark.parametrize(("bound", "column"), [("mean", "avm"), ("upper", "avm_high")])
    def test_limits_hold_for_everything_returned_where_something_holds_them(self, bound: str, column: str) -> None:
        """The AVM by its prediction or its interval's upper end, dead networks by the default of ``min_acc_1d``."""
        space = ConfigSpace("digits")
        evaluator = AnalyticEvaluator(space)
        optimizer = self.make(
            evaluator, max_nb_param=15_000, T_AVM=5.0, avm_bound=bound, population_size=20, nb_iter=10
        )
        result = optimizer.run(space)
        predicted = evaluator.predict(result.candidates)
        assert max(architecture.params for architecture in result.candidates) <= 15_000
        assert predicted[column].max() <= 5.0
        assert predicted["acc_1d"].min() >= 55.0
        assert 0 < len(result.candidates) < len(result.history)

    def test_limits_on_costs_hold_for_everything_returned_where_something_holds_them(self) -> None:
        """Tiles and energy on a chip, which follow from the architecture; without one that holds them, the closest."""
        space = small_space()
        known = costs(list(enumerate_space(space)), HERMES_1_PHASE)
        most = {"energy_uj": float(known["energy_uj"].quantile(0.6)), "tiles": float(known["tiles"].median())}
        asked = {"population_size": 20, "nb_iter": 3, "min_acc_1d": 0.0}
        result = self.make(AnalyticEvaluator(space), cost=CostLimits(most, HERMES_1_PHASE), **asked).run(space)
        returned = costs(result.candidates, HERMES_1_PHASE)
        assert all((returned[name] <= limit).all() for name, limit in most.items())
        assert 0 < len(result.candidates) < len(result.history)
        cheapest = CostLimits({"energy_uj": float(known["energy_uj"].min()) / 2}, HERMES_1_PHASE)
        result = self.make(AnalyticEvaluator(space), cost=cheapest, **asked).run(space)
        assert result.history["energy_uj"].min() == costs([result.best], HERMES_1_PHASE)["energy_uj"].iloc[0]
        assert not result.history["feasible"].any()

    def test_the_space_s_own_budget_holds(self) -> None:
        """Also where ``max_nb_param`` is larger."""
        space = ConfigSpace("digits", max_params=2_000)
        size = {"population_size": 20, "nb_iter": 5}
        optimizer = self.make(AnalyticEvaluator(space), max_nb_param=10_000, min_acc_1d=0.0, **size)
        assert optimizer.run(space).history["params"].max() <= 2_000

    def test_without_one_that_holds_the_limits_the_closest_is_returned(self) -> None:
        """Least violation first, then the objective; never one with too many parameters."""
        space = small_space()
        optimizer = self.make(AnalyticEvaluator(space), T_AVM=0.1, population_size=10, nb_iter=2)
        result = optimizer.run(space)
        alive = result.history[result.history["violation"] < np.inf]
        assert result.violation == alive["violation"].min() > 0
        closest = alive.sort_values(["violation", "objective"], ascending=[True, False])
        assert [architecture.id for architecture in result.candidates][:5] == list(closest["id"][:5])
        assert result.best == result.candidates[0]
        assert not result.history["feasible"].any()

    def test_strict_limits_that_nothing_holds_are_explained(self) -> None:
        """Which limit excludes how many, the closest value seen, and what helps."""
        space = small_space()
        evaluator = AnalyticEvaluator(space)
        with pytest.raises(InfeasibleError) as raised:
            self.make(evaluator, T_AVM=0.1, strict=True, population_size=10, nb_iter=2).run(space)
        closest = evaluator.predict(list(enumerate_space(space)))["avm"].min()
        message = str(raised.value)
        assert "none of the 20 architectures" in message
        assert "T_AVM = 0.1 excludes 20" in message
        assert float(message.partition("lowest AVM is ")[2].partition(",")[0]) >= closest - 0.01
        assert message.index("Characterize more architectures") < message.index("search.T_AVM=")
        with pytest.raises(SearchError, match=r"smallest network .* parameters: allow at least"):
            self.make(evaluator, max_nb_param=10).run(space)

    def test_the_published_ratio(self) -> None:
        """Accuracy over its standard deviation, which is floored."""
        space = small_space()
        optimizer = self.make(AnalyticEvaluator(space), objective="ratio", population_size=20, nb_iter=5)
        history = optimizer.run(space).history
        np.testing.assert_allclose(history["objective"], history["acc_1d"] / np.maximum(history["acc_1d_std"], 0.1))

    @pytest.mark.parametrize("limits", [{}, {"T_AVM": 9.0}, {"max_nb_param": 1_500}])
    def test_an_exhausted_space_gives_its_optimum(self, limits: dict[str, Any]) -> None:
        """A budget beyond the space's size ends early, with everything evaluated."""
        space = small_space()
        evaluator = AnalyticEvaluator(space, seed=1)
        optimizer = self.make(evaluator, population_size=20, nb_iter=10, **limits)
        result = optimizer.run(space)
        inside = [
            architecture
            for architecture in enumerate_space(space)
            if architecture.params <= limits.get("max_nb_param", architecture.params)
        ]
        assert set(result.history["id"]) == {architecture.id for architecture in inside}
        predicted = evaluator.predict(inside)
        kept = predicted["avm"] <= limits.get("T_AVM", np.inf)
        optimum = evaluator.optimum([architecture for architecture, keep in zip(inside, kept, strict=True) if keep])
        assert result.best == optimum
        assert limits or optimum == evaluator.target
        assert optimizer.ask(5) == []
