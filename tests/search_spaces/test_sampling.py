import itertools
import time

import pytest

from analognas.errors import SpaceError
from analognas.search_spaces import ConfigSpace
from analognas.search_spaces import sampling as module
from analognas.search_spaces.sampling import METHODS

SMALL = {"out_channel0": [4, 5], "kernel_size0": [3], "M": [1, 2], "R": [1, 2], "B": 1, "widenfact": [1, 2]}


def everything(space):
    """All architectures by brute force."""
    genes = space.hyperparameters
    found = {}
    for values in itertools.product(*(gene.values for gene in genes)):
        architecture = space.architecture(dict(zip((gene.name for gene in genes), values, strict=True)))
        found[architecture.id] = architecture
    return list(found.values())


def test_size_is_exact():
    space = ConfigSpace("digits", ranges=SMALL)
    block = 2 * 1 * 2 * 2
    assert space.size() == len(everything(space)) == 2 * 1 * (block + block**2)
    per_block = 16 * 12 * 2 * 4
    assert ConfigSpace("CIFAR-10").size() == 121 * 3 * sum(per_block**m for m in range(1, 6))


def test_size_follows_chains_of_conditions():
    space = ConfigSpace("digits", ranges=SMALL)
    space.add_hyperparameter("a", "discrete", min_value=0, max_value=2, active_if=("R2", 2))
    space.add_hyperparameter("b", "discrete", min_value=1, max_value=3, active_if=("a", 1))
    assert space.size() == len(everything(space))


@pytest.mark.parametrize("method", METHODS)
def test_same_seed_same_sample(method):
    space = ConfigSpace("CIFAR-10", max_params=100_000)
    first = space.sample(20, seed=1, method=method)
    assert first == ConfigSpace("CIFAR-10", max_params=100_000).sample(20, seed=1, method=method)
    assert first != space.sample(20, seed=2, method=method)
    assert first != space.sample(20, seed=1, method=next(m for m in METHODS if m != method))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("max_params", [None, 10_000, 100_000, 5_000_000])
def test_samples_are_distinct_valid_and_within_the_budget(method, max_params):
    space = ConfigSpace("CIFAR-10")
    architectures = space.sample(200, seed=4, method=method, max_params=max_params)
    assert len({architecture.id for architecture in architectures}) == 200
    for architecture in architectures:
        assert architecture in space
        assert space.architecture(architecture.genes).params == architecture.params
        assert max_params is None or architecture.params <= max_params


@pytest.mark.parametrize("method", METHODS)
def test_both_bounds_of_every_gene_are_drawn(method):
    space = ConfigSpace("CIFAR-10")
    architectures = space.sample(1500, seed=0, method=method)
    for gene in space.hyperparameters:
        drawn = {a.genes[gene.name] for a in architectures if gene.name in a.genes}
        assert {gene.values[0], gene.values[-1]} <= drawn, gene.name
        if gene.name != "out_channel0":
            assert drawn == set(gene.values), gene.name


def test_upper_bounds_are_drawn_within_a_budget_too():
    architectures = ConfigSpace("CIFAR-10", max_params=100_000).sample(1000, seed=0)
    assert max(architecture.genes["out_channel0"] for architecture in architectures) >= 120
    highest = {"kernel_size0": 7, "M": 5, "R1": 16, "B1": 12, "widenfact1": 4}
    for name, value in highest.items():
        assert max(architecture.genes[name] for architecture in architectures) == value


def test_a_latin_hypercube_has_each_share_of_a_gene_once():
    space = ConfigSpace("CIFAR-10")
    architectures = space.sample(121, seed=0)
    assert sorted(a.genes["out_channel0"] for a in architectures) == list(range(8, 129))
    main_blocks = [a.genes["M"] for a in space.sample(50, seed=0)]
    assert [main_blocks.count(m) for m in range(1, 6)] == [10] * 5


def test_repair_keeps_the_variety():
    architectures = ConfigSpace("CIFAR-10", max_params=100_000).sample(500, seed=0)
    main_blocks = [a.genes["M"] for a in architectures]
    assert min(main_blocks.count(m) for m in range(1, 6)) >= 80
    basic = sum(a.genes["convblock1"] == "basic" for a in architectures)
    assert 200 <= basic <= 300
    sizes = sorted(a.params for a in architectures)
    assert sizes[25] < 25_000
    assert sizes[475] > 75_000


def test_a_thousand_within_a_tight_budget_take_about_a_second():
    space = ConfigSpace("CIFAR-10", max_params=100_000)
    space.sample(10)  # imports scipy
    start = time.process_time()
    assert len(space.sample(1000, seed=0)) == 1000
    assert time.process_time() - start < 3  # 0.5 s on an idle core


@pytest.mark.parametrize("method", METHODS)
def test_a_small_space_can_be_drawn_whole(method):
    space = ConfigSpace("digits", ranges=SMALL)
    drawn = space.sample(space.size(), seed=0, method=method)
    assert {a.id for a in drawn} == {a.id for a in everything(space)}
    with pytest.raises(SpaceError, match=f"holds only {space.size()} architectures, {space.size() + 1} were"):
        space.sample(space.size() + 1, method=method)


@pytest.mark.parametrize("max_params", [400, 1000, 5000])
def test_all_that_a_budget_leaves_can_be_drawn(max_params):
    space = ConfigSpace("digits", ranges=SMALL, max_params=max_params)
    feasible = {a.id for a in everything(space) if a.params <= max_params}
    assert 0 < len(feasible) < space.size()
    assert {a.id for a in space.sample(len(feasible), seed=1)} == feasible
    with pytest.raises(SpaceError, match=f"holds only {len(feasible)} architectures of at most .*raise max_params"):
        space.sample(len(feasible) + 1)


def test_few_in_a_huge_space():
    space = ConfigSpace("CIFAR-10")
    least = space.smallest()
    assert space.sample(1, max_params=least.params) == [least]
    architectures = space.sample(30, seed=0, max_params=800)
    assert len(set(architectures)) == 30
    assert max(architecture.params for architecture in architectures) <= 800


@pytest.mark.parametrize("name", ["digits", "CIFAR-10", "KWS"])
def test_no_network_is_smaller_than_the_smallest(name):
    space = ConfigSpace(name)
    least = space.smallest().params
    assert all(a.params >= least for a in space.sample(100, seed=0, max_params=least * 3))


def test_smallest_by_brute_force():
    space = ConfigSpace("digits", ranges=SMALL)
    assert space.smallest().params == min(a.params for a in everything(space))


@pytest.mark.parametrize("n", [0, -1, 2.5, True, "3"])
def test_bad_numbers(n):
    with pytest.raises(SpaceError, match="number of architectures to sample"):
        ConfigSpace("digits").sample(n)


def test_an_unknown_method():
    with pytest.raises(SpaceError, match="'sobol' is unknown: use one of latin_hypercube, uniform"):
        ConfigSpace("digits").sample(2, method="sobol")


def test_a_space_without_an_order_keeps_its_budget_too():
    ranges = {"out_channel0": 4, "kernel_size0": 3, "M": 3, "R": 1, "B": 1, "widenfact": 1}
    space = ConfigSpace("digits", ranges=ranges)
    sizes = sorted(a.params for a in everything(space))
    assert len(sizes) == 8
    drawn = space.sample(2, seed=0, max_params=sizes[1])
    assert all(a.params <= sizes[1] for a in drawn)
    assert module.smallest(space).params == sizes[0]


def test_a_large_share_of_a_space_is_drawn_without_listing_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_grow", None)  # it would take minutes
    space = ConfigSpace("digits", max_params=10_000)
    architectures = space.sample(6_000, seed=0)
    assert len(set(architectures)) == 6_000
    assert max(architecture.params for architecture in architectures) <= 10_000
    assert architectures == space.sample(6_000, seed=0)
    for architecture in architectures[-200:]:  # steps fill in what a gene makes active
        assert space.architecture(architecture.genes) == architecture
    main_blocks = [architecture.genes["M"] for architecture in architectures]
    assert {1, 2, 3} == set(main_blocks)


def test_a_walk_ends_where_nothing_is_left():
    space = ConfigSpace("digits", ranges=SMALL)
    some = sorted(architecture.params for architecture in everything(space))[20]
    within = set(module.everything(space, some))
    assert set(space.sample(len(within), seed=0, max_params=some)) == within
    with pytest.raises(SpaceError, match=f"holds only {len(within)} architectures of at most"):
        space.sample(len(within) + 1, seed=0, max_params=some)
