import numpy as np
import pandas as pd
import pytest

from analognas.search_algorithms import EAOptimizer, RandomSearch
from analognas.search_spaces import ConfigSpace
from analognas.testing.analytic import AnalyticEvaluator
from analognas.testing.optimizers import OptimizerConformance, middle_space

KINDS = ("width", "depth", "other")


class TestEAOptimizer(OptimizerConformance):
    def make(self, *args, **kwargs):
        return EAOptimizer(*args, **kwargs)


def changed(a, b):
    return {name for name in {*a.genes, *b.genes} if a.genes.get(name) != b.genes.get(name)}


def record_mutations(space, monkeypatch):
    calls = []
    mutants = space.mutants

    def recorded(codes, kinds, rng, **kwargs):
        made, params = mutants(codes, kinds, rng, **kwargs)
        calls.extend(zip(space.coded(codes), kinds, space.coded(made), strict=True))
        return made, params

    monkeypatch.setattr(space, "mutants", recorded)
    return calls


def test_start_is_a_latin_hypercube_within_the_limit():
    space = ConfigSpace("digits")
    start = EAOptimizer(population_size=13).bind(space).ask(13)
    # 13 points over 13 values of a gene: a Latin hypercube has each once.
    assert sorted(one.genes["out_channel0"] for one in start) == list(range(4, 17))
    limited = EAOptimizer(population_size=13, max_nb_param=900).bind(space).ask(13)
    assert max(one.params for one in limited) <= 900


def test_start_is_handed_out_in_parts():
    space = ConfigSpace("digits")
    whole = EAOptimizer(population_size=12).bind(space).ask(12)
    optimizer = EAOptimizer(population_size=12).bind(space)
    assert [one for _ in range(3) for one in optimizer.ask(4)] == whole


def test_all_kinds_of_mutation_have_their_share():
    space = ConfigSpace("CIFAR-10")
    history = EAOptimizer(AnalyticEvaluator(space), population_size=30, nb_iter=6).run(space).history
    counts = history["origin"].value_counts()
    assert set(counts.index) == {"start", *KINDS}
    assert counts["start"] == 30
    assert counts[list(KINDS)].min() >= 20


def test_mutants_come_from_the_best_half(monkeypatch):
    space = ConfigSpace("CIFAR-10")
    optimizer = EAOptimizer(population_size=10).bind(space)
    start = optimizer.ask(10)
    optimizer.tell(start, range(10))
    calls = record_mutations(space, monkeypatch)
    mutants = optimizer.ask(10)
    made = {mutant.id: parent for parent, _, mutant in calls}
    known = {one.id: one for one in start}
    roots = []
    for mutant in mutants:
        parent = made[mutant.id]
        while parent.id not in known:
            parent = made[parent.id]
        roots.append(parent)
    assert {one.id for one in roots} == {one.id for one in start[5:]}


def test_parents_and_mutants_unite(monkeypatch):
    # The best one of the start stays a parent however old it is.
    space = ConfigSpace("CIFAR-10")
    optimizer = EAOptimizer(population_size=4).bind(space)
    start = optimizer.ask(4)
    optimizer.tell(start, [9.0, 8.0, 1.0, 0.0])
    calls = record_mutations(space, monkeypatch)
    for _ in range(5):
        calls.clear()
        optimizer.tell(optimizer.ask(4), [0.0] * 4)
        assert {parent.id for parent, _, _ in calls} >= {start[0].id, start[1].id}


def test_a_mutant_differs_only_in_what_its_kind_says(monkeypatch):
    space = ConfigSpace("CIFAR-10")
    calls = record_mutations(space, monkeypatch)
    EAOptimizer(AnalyticEvaluator(space), population_size=20, nb_iter=4).run(space)
    assert {kind for _, kind, _ in calls} == set(KINDS)
    for parent, kind, mutant in calls:
        appeared = {*parent.genes} ^ {*mutant.genes}
        assert changed(parent, mutant) - appeared <= {*space.builder.mutation_genes(kind, parent.genes)}


def test_recovers_from_an_infeasible_start():
    space = ConfigSpace("CIFAR-10")
    recovered = []
    for seed in range(5):
        evaluator = AnalyticEvaluator(space, seed)
        optimizer = EAOptimizer(evaluator, min_acc_1d=90.0, population_size=12, nb_iter=25)
        history = optimizer.run(space, seed).history
        if not history[history["iteration"] == 0]["feasible"].any():
            recovered.append(history["feasible"].any())
    assert len(recovered) >= 3
    assert all(recovered)


def test_beats_random_search():
    space = ConfigSpace("CIFAR-10")
    best = 95.0 - 0.5  # of the analytic problem
    regrets = []
    for seed in range(6):
        evaluator = AnalyticEvaluator(space, seed)
        searches = (cls(evaluator, 20, 12, min_acc_1d=0.0) for cls in (EAOptimizer, RandomSearch))
        regrets.append([best - search.run(space, seed).value for search in searches])
    ours, random = np.transpose(regrets)
    assert ours.mean() < 0.6 * random.mean()
    assert (ours < random).mean() >= 5 / 6


@pytest.mark.parametrize("seed", range(5))
def test_finds_the_optimum_of_an_enumerable_space(seed):
    space = middle_space()
    evaluator = AnalyticEvaluator(space, seed)
    result = EAOptimizer(evaluator, population_size=20, nb_iter=20).run(space, seed)
    assert result.best == evaluator.target
    assert len(result.history) == 400 < space.size()


def test_ends_with_the_largest_ones_where_size_is_all_that_counts():
    space = ConfigSpace("digits", max_params=5_000)
    optimizer = EAOptimizer(population_size=10).bind(space)
    for _ in range(12):
        asked = optimizer.ask(10)
        optimizer.tell(asked, [float(one.params) for one in asked])
    assert optimizer.result().value > 4_900


def test_a_space_without_alternatives_of_a_kind_is_searched_all_the_same():
    space = ConfigSpace("digits", ranges={"kernel_size0": [3], "M": 1, "R": 1, "convblock": "basic"})
    history = EAOptimizer(AnalyticEvaluator(space), min_acc_1d=0.0, nb_iter=5).run(space).history
    # 13 widths, 2 branches, 3 widening factors
    assert len(history) == space.size() == 78


def test_failed_architectures_are_no_parents(monkeypatch):
    space = ConfigSpace("CIFAR-10")
    optimizer = EAOptimizer(population_size=6).bind(space)
    start = optimizer.ask(6)
    values = pd.DataFrame({"acc_1d": [90, 91, 92, None, None, None], "acc_1d_std": [1.0] * 6})
    optimizer.tell(start, values)
    calls = record_mutations(space, monkeypatch)
    optimizer.ask(6)
    assert not {parent.id for parent, _, _ in calls} & {one.id for one in start[3:]}
