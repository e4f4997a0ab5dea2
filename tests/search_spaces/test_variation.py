import itertools

import numpy as np
import pytest

from analognas.errors import SpaceError
from analognas.search_spaces import ConfigSpace

KINDS = ("width", "depth", "other")
SPACES = [
    ConfigSpace("CIFAR-10"),
    ConfigSpace("CIFAR-10", max_params=100_000),
    ConfigSpace("digits", max_params=20_000),
]


def rng(seed=0):
    return np.random.default_rng(seed)


def single_changes(space, parent, kind):
    """All networks with another value of one gene of the kind that makes no genes appear."""
    genes = {gene.name: gene for gene in space.hyperparameters}
    for name in set(space.builder.mutation_genes(kind, parent.genes)) - {"M"}:
        for value in set(genes[name].values) - {parent.genes[name]}:
            yield space.architecture({**parent.genes, name: value})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("space", SPACES, ids=["free", "tight", "digits"])
def test_a_mutation_changes_its_own_genes_and_nothing_else(space, kind):
    draws = rng()
    changed_ever = set()
    for parent in space.sample(40, seed=7):
        for _ in range(5):
            try:
                mutant = space.mutate(parent, draws, kind)
            except SpaceError:
                assert not any(neighbour in space for neighbour in single_changes(space, parent, kind))
                break
            assert mutant in space
            assert mutant.id != parent.id
            allowed = set(space.builder.mutation_genes(kind, parent.genes))
            both = set(parent.genes) & set(mutant.genes)
            changed = {name for name in both if parent.genes[name] != mutant.genes[name]}
            assert changed
            assert changed <= allowed
            # what appears or vanishes are the genes of main blocks, and only with M
            appeared = set(mutant.genes) ^ set(parent.genes)
            assert ("M" in changed) == bool(appeared)
            low, high = sorted((parent.genes["M"], mutant.genes["M"]))
            assert appeared == {
                f"{stem}{i}" for stem in ("R", "B", "convblock", "widenfact") for i in range(low + 1, high + 1)
            }
            changed_ever |= changed
    expected = {
        "width": {"out_channel0", "widenfact1", "widenfact2", "B1", "B2"},
        "depth": {"M", "R1", "R2", "convblock1", "convblock2"},
        "other": {"kernel_size0"},
    }[kind]
    assert expected <= changed_ever


@pytest.mark.parametrize("space", SPACES, ids=["free", "tight", "digits"])
def test_many_mutants_change_each_by_its_kind(space):
    parents = space.sample(60, seed=3)
    kinds = [KINDS[number % 3] for number in range(60)]
    codes = space.coding.encode(parent.genes for parent in parents)
    made, params = space.mutants(codes, kinds, rng())
    assert (codes == space.coding.encode(parent.genes for parent in parents)).all()
    for parent, kind, mutant, size in zip(parents, kinds, space.coded(made), params, strict=True):
        if not size:  # no alternative
            assert mutant == parent
            continue
        assert mutant in space
        assert mutant.params == size
        changed = {name for name in {*parent.genes} & {*mutant.genes} if parent.genes[name] != mutant.genes[name]}
        assert changed
        assert changed <= set(space.builder.mutation_genes(kind, parent.genes))
    assert (params > 0).mean() > 0.9


def test_every_other_value_of_a_gene_is_as_likely():
    space = ConfigSpace("digits", ranges={"M": 1, "R": 1, "B": 1, "convblock": "basic", "widenfact": 1})
    parent = space.architecture({**space.smallest().genes, "out_channel0": 7})
    codes = space.coding.encode([parent.genes] * 6000)
    made, _ = space.mutants(codes, ["width"] * 6000, rng())
    values, counts = np.unique(space.coding.columns(made)["out_channel0"], return_counts=True)
    assert values.tolist() == [value for value in range(4, 17) if value != 7]
    assert counts.min() > 400  # of 500 each


def test_a_family_without_arrays_has_the_same_mutations():
    whole = ConfigSpace("digits", max_params=5_000)
    single = ConfigSpace("digits", max_params=5_000)
    single.coding.arrays = None
    codes = whole.coding.encode(parent.genes for parent in whole.sample(30))
    kinds = [KINDS[number % 3] for number in range(30)]
    (made, params), (also, sizes) = (space.mutants(codes, kinds, rng(5)) for space in (whole, single))
    assert (made == also).all()
    assert (params == sizes).all()


def test_kinds_are_drawn_when_none_is_given():
    space = SPACES[0]
    parent = space.sample(1, seed=0)[0]
    draws = rng()
    seen = set()
    for _ in range(60):
        mutant = space.mutate(parent, draws)
        changed = {name for name in parent.genes if parent.genes[name] != mutant.genes.get(name)}
        seen |= {kind for kind in KINDS if changed & set(space.builder.mutation_genes(kind, parent.genes))}
    assert seen == set(KINDS)


def test_mutation_reaches_both_bounds():
    space = SPACES[2]
    parent, draws = space.smallest(), rng()
    values = {space.mutate(parent, draws, "width", max_params=20_000).genes["out_channel0"] for _ in range(400)}
    assert values == set(range(4, 17))


def test_the_same_generator_gives_the_same_mutant():
    space = SPACES[0]
    a, b = space.sample(2, seed=0)
    assert space.mutate(a, rng(3)) == space.mutate(a, rng(3))
    assert space.crossover(a, b, rng(3)) == space.crossover(a, b, rng(3))


def test_the_only_alternative_is_found():
    ranges = {"out_channel0": [4, 5], "kernel_size0": 3, "M": 1, "R": 1, "B": 1, "convblock": "basic", "widenfact": 1}
    space = ConfigSpace("digits", ranges=ranges)
    a, b = sorted(space.sample(2), key=lambda architecture: architecture.params)
    for seed in range(10):
        assert space.mutate(a, rng(seed)) == b
        assert space.mutate(b, rng(seed)) == a
        assert space.mutate(a, rng(seed), "width") == b
    for kind in ("depth", "other"):
        with pytest.raises(SpaceError, match=f"no alternative by a mutation of the kind '{kind}'"):
            space.mutate(a, rng(), kind)
    with pytest.raises(SpaceError, match=f"no alternative .* within {a.params} parameters"):
        space.mutate(a, rng(), max_params=a.params)
    space.set_hyperparameter("out_channel0", max_value=4)
    with pytest.raises(SpaceError, match="no alternative"):
        space.mutate(a, rng())


def test_a_tight_budget_leaves_what_it_leaves():
    space = ConfigSpace("CIFAR-10")
    parent = space.smallest()
    budget = parent.params + 50
    for seed in range(20):
        assert space.mutate(parent, rng(seed), max_params=budget).params <= budget


def test_added_genes_belong_to_the_other_kind():
    space = ConfigSpace("digits", ranges={"kernel_size0": 3})
    parent = space.sample(1)[0]
    with pytest.raises(SpaceError, match="'other'"):
        space.mutate(parent, rng(), "other")
    space.add_hyperparameter("pool", "categorical", choices=("max", "mean"))
    parent = space.sample(1)[0]
    mutant = space.mutate(parent, rng(), "other")
    assert {name for name in parent.genes if parent.genes[name] != mutant.genes[name]} == {"pool"}


def test_an_unknown_kind():
    space = SPACES[0]
    with pytest.raises(SpaceError, match="'colour' is unknown: use one of width, depth, other"):
        space.mutate(space.smallest(), rng(), "colour")


def test_architectures_from_elsewhere_are_refused():
    digits, cifar = ConfigSpace("digits"), ConfigSpace("CIFAR-10")
    with pytest.raises(SpaceError, match="belongs to space 'resnet-digits', not to 'resnet-cifar10'"):
        cifar.mutate(digits.smallest(), rng())
    with pytest.raises(SpaceError, match="belongs to space"):
        cifar.crossover(cifar.smallest(), digits.smallest(), rng())
    wide = max(digits.sample(20), key=lambda architecture: architecture.genes["out_channel0"])
    with pytest.raises(SpaceError, match="out of range"):
        ConfigSpace("digits", ranges={"out_channel0": [4, 5]}).mutate(wide, rng())


@pytest.mark.parametrize("space", SPACES, ids=["free", "tight", "digits"])
def test_a_child_has_each_gene_from_a_parent(space):
    draws = rng()
    mixed = 0
    parents = space.sample(40, seed=9)
    for a, b in itertools.pairwise(parents):
        child = space.crossover(a, b, draws)
        assert child in space
        for name, value in child.genes.items():
            assert value in (a.genes.get(name), b.genes.get(name))
        mixed += child not in (a, b)
    assert mixed > 15


def test_a_child_over_the_budget_gives_way_to_the_smaller_parent():
    space = ConfigSpace("digits")
    a, b = space.smallest(), space.sample(5, seed=0)[-1]
    assert space.crossover(a, b, rng(), max_params=a.params) == a
