import numpy as np
import pandas as pd
import pytest

from analognas.errors import SearchError, SpaceError
from analognas.params import TrainingParams
from analognas.search_algorithms import EAOptimizer, RandomSearch, Worker
from analognas.search_algorithms.worker import non_dominated
from analognas.search_spaces import ConfigSpace
from analognas.testing.analytic import AnalyticEvaluator

SPACE = ConfigSpace("digits", max_params=20_000)
EVALUATOR = AnalyticEvaluator(SPACE, seed=1)


@pytest.fixture(scope="module")
def worker():
    worker = Worker(SPACE, optimizer=EAOptimizer(EVALUATOR, population_size=20, nb_iter=6, T_AVM=6.0), runs=3)
    worker.search()
    return worker


def test_runs_are_kept_and_differ(worker):
    assert len(worker.results) == 3
    assert len({result.seed for result in worker.results}) == 3
    history = worker.history
    assert history.columns[0] == "run"
    assert history["run"].value_counts().to_dict() == {0: 120, 1: 120, 2: 120}
    for run, result in enumerate(worker.results):
        own = history[history["run"] == run].drop(columns="run").reset_index(drop=True)
        pd.testing.assert_frame_equal(own, result.history)


def test_best_of_all_runs(worker):
    best = max(worker.results, key=lambda result: result.value)
    assert worker.best_arch == best.best
    assert worker.best_config == dict(best.best.genes)
    assert type(worker.best_config) is dict
    assert SPACE.architecture(worker.best_config) == worker.best_arch


def test_candidates_are_distinct_and_best_first(worker):
    candidates = worker.candidates
    assert len(set(candidates)) == len(candidates)
    assert set(candidates) == {one for result in worker.results for one in result.candidates}
    predicted = EVALUATOR.predict(candidates)
    objective = predicted["acc_1d"] - predicted["acc_1d_std"]
    assert objective.is_monotonic_decreasing
    assert predicted["avm"].max() <= 6.0
    assert candidates[0] == worker.best_arch


def test_pareto_is_what_nothing_beats(worker):
    signs = np.array([-1, 1, 1, 1])
    names = ["acc_1d", "avm", "acc_1d_std", "params"]
    history = worker.history
    feasible = history[history["feasible"]].drop_duplicates("id")
    costs = feasible[names].to_numpy(dtype=float) * signs
    beaten = [bool(((costs <= row).all(axis=1) & (costs < row).any(axis=1)).any()) for row in costs]
    pareto = worker.pareto()
    assert set(pareto["id"]) == set(feasible["id"][~np.array(beaten)])
    assert pareto["acc_1d"].is_monotonic_decreasing
    assert pareto["id"].is_unique
    assert 1 < len(pareto) < len(feasible)


def test_non_dominated_rows():
    costs = np.array([[1, 3], [3, 1], [2, 2], [2, 2], [2, 3], [1, 4]], dtype=float)
    assert non_dominated(costs).tolist() == [True, True, True, True, False, False]
    assert non_dominated(np.zeros((0, 4))).tolist() == []


def test_summary_is_printed_and_returned(worker, capsys):
    summary = worker.result_summary()
    shown = capsys.readouterr().out
    for text in (
        worker.best_arch.id,
        "1-day accuracy",
        "AVM (1 month)",
        "90 % interval",
        "uncertainty",
        "<= 6",
        ">= 55",
        "<= 20,000",
        f"{worker.best_arch.params:,}",
        f"{summary.value:.2f}",
        "out_channel0",
    ):
        assert text in shown
        assert text in str(summary)
    assert "…" not in shown
    assert summary.evaluated == worker.history["id"].nunique()
    assert summary.feasible == len(worker.candidates)
    assert list(summary.runs.values()) == [result.value for result in worker.results]


def test_the_published_objective_is_named_in_the_summary(capsys):
    worker = Worker(SPACE, RandomSearch(EVALUATOR, objective="ratio"), runs=1)
    worker.search()
    worker.result_summary()
    assert "acc / std" in capsys.readouterr().out


def test_the_same_seed_gives_the_same_search(worker):
    again = Worker(SPACE, EAOptimizer(EVALUATOR, population_size=20, nb_iter=6, T_AVM=6.0), runs=3)
    again.search()
    pd.testing.assert_frame_equal(again.history, worker.history)
    again.search()
    pd.testing.assert_frame_equal(again.history, worker.history)
    other = Worker(SPACE, EAOptimizer(EVALUATOR, population_size=20, nb_iter=6, T_AVM=6.0, seed=1), runs=3)
    other.search()
    assert set(other.history["id"]) != set(worker.history["id"])


def test_a_second_search_replaces_the_first():
    worker = Worker(SPACE, RandomSearch(EVALUATOR, population_size=5, nb_iter=2), runs=1)
    first = worker.search()
    before = worker.candidates
    worker.optimizer.seed = 8
    second = worker.search()
    assert worker.candidates != before
    assert second.seed != first.seed
    assert len(worker.history) == 10


def test_before_search():
    worker = Worker(SPACE, EAOptimizer(EVALUATOR))
    for ask in (
        lambda: worker.best_arch,
        lambda: worker.best_config,
        lambda: worker.results,
        lambda: worker.candidates,
        lambda: worker.history,
        worker.pareto,
        worker.result_summary,
        worker.train,
    ):
        with pytest.raises(SearchError, match=r"run search\(\) first"):
            ask()


def test_no_runs():
    with pytest.raises(SearchError, match="runs is 0"):
        Worker(SPACE, EAOptimizer(EVALUATOR), runs=0)


def test_progress_goes_over_all_runs():
    seen = []
    worker = Worker(SPACE, RandomSearch(EVALUATOR, population_size=4, nb_iter=3), runs=2)
    worker.search(lambda *at: seen.append(at))
    assert [at[:2] for at in seen] == [(done, 6) for done in range(1, 7)]
    assert seen[-1][2] == "run 2, iteration 3"


def test_one_run_may_find_nothing():
    # Few evaluations and a high bar: some seeds fail.
    optimizer = RandomSearch(EVALUATOR, population_size=4, nb_iter=1, min_acc_1d=80.0, strict=True)
    worker = Worker(SPACE, optimizer, runs=8)
    worker.search()
    assert 0 < len(worker.results) < 8
    assert worker.history["run"].nunique() == 8
    summary = worker.result_summary()
    assert sum(np.isnan(list(summary.runs.values()))) == 8 - len(worker.results)
    assert "nothing feasible" in str(summary)


def test_all_runs_may_find_nothing():
    worker = Worker(SPACE, RandomSearch(EVALUATOR, population_size=5, nb_iter=1, T_AVM=0.1, strict=True), runs=2)
    with pytest.raises(SearchError, match=r"none of the 10 .* T_AVM = 0.1 excludes 10"):
        worker.search()
    assert len(worker.history) == 10
    with pytest.raises(SearchError, match="run search"):
        _ = worker.best_arch


def test_without_strict_limits_the_closest_over_all_runs_is_the_best():
    worker = Worker(SPACE, RandomSearch(EVALUATOR, population_size=5, nb_iter=1, T_AVM=0.1), runs=2)
    best = worker.search()
    assert best.violation == worker.history["violation"].min() > 0
    assert best.best == worker.candidates[0] == worker.closest(1)[0]
    assert len(worker.candidates) == worker.history["id"].nunique()
    summary = worker.result_summary()
    assert (summary.feasible, list(np.isnan(list(summary.runs.values())))) == (0, [True, True])
    assert "Nothing holds all limits, this comes closest" in str(summary)
    assert "search.T_AVM" in str(summary)
    assert set(worker.pareto()["id"]) <= set(worker.history["id"])


def test_what_holds_the_limits_comes_before_what_is_better():
    worker = Worker(SPACE, RandomSearch(EVALUATOR, population_size=20, nb_iter=2, T_AVM=6.0), runs=1)
    worker.search()
    kept = len(worker.candidates)
    more = worker.closest(kept + 3)
    assert more[:kept] == worker.candidates
    assert not {one.id for one in more[kept:]} & set(worker.history[worker.history["feasible"]]["id"])
    violations = worker.history.set_index("id").loc[[one.id for one in more[kept:]], "violation"]
    assert violations.is_monotonic_increasing
    assert violations.iloc[0] > 0


def test_the_space_is_validated_first():
    space = ConfigSpace("digits")
    space.add_hyperparameter("colour", "categorical", choices=["red", "green"])
    evaluator = AnalyticEvaluator(ConfigSpace("digits"))
    with pytest.raises(SpaceError, match="colour"):
        Worker(space, RandomSearch(evaluator)).search()


def test_train_needs_a_dataset():
    space = ConfigSpace(input_shape=(1, 8, 8), classes=10, ranges={"M": 1})
    worker = Worker(space, RandomSearch(AnalyticEvaluator(space)), runs=1)
    worker.search()
    with pytest.raises(SearchError, match=r"train\(dataset=\.\.\.\)"):
        worker.train()


def test_train_characterizes_the_best_one():
    space = ConfigSpace("digits", max_params=1_000)
    worker = Worker(space, RandomSearch(AnalyticEvaluator(space), 5, 2, min_acc_1d=0.0), runs=1)
    worker.search()
    result = worker.train(protocol=TrainingParams(epochs=1, hwa_epochs=1, repeats=2, batch_size=256))
    assert result.row.id == worker.best_arch.id
    assert result.row.ok
    assert result.row.repeats == 2
    assert result.model is not None
    other = worker.candidates[1]
    result = worker.train("digits", TrainingParams(epochs=1, hwa_epochs=1, repeats=2), architecture=other)
    assert result.row.id == other.id
