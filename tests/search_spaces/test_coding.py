import pickle

import numpy as np
import pytest

from analognas.search_spaces import ConfigSpace, Genes
from analognas.search_spaces.architecture import Architecture
from analognas.search_spaces.coding import ABSENT, CodedGenes, coding_of


@pytest.fixture
def space():
    return ConfigSpace("digits")


def plain(architecture):
    return Genes(dict(architecture.genes))


def test_codes_and_genes_say_the_same(space):
    drawn = space.sample(50, seed=1)
    given = [plain(architecture) for architecture in drawn]
    codes = space.coding.encode(given)
    assert codes.shape == (50, len(space.hyperparameters))
    again = space.coding.genes(codes)
    assert again == given
    assert [genes.to_json() for genes in again] == [genes.to_json() for genes in given]
    assert [hash(genes) for genes in again] == [hash(genes) for genes in given]
    assert (space.coding.encode(again) == codes).all()
    assert all((row == ABSENT).sum() == len(row) - len(genes) for row, genes in zip(codes, given, strict=True))


def test_coded_architectures_are_those_of_the_space(space):
    drawn = space.sample(20, seed=1)
    coded = space.coded(space.coding.encode(architecture.genes for architecture in drawn))
    made = [space.architecture(dict(architecture.genes)) for architecture in drawn]
    assert coded == drawn == made
    assert [one.id for one in coded] == [one.id for one in made]
    assert [one.params for one in coded] == [one.params for one in made]
    assert all(type(one.params) is int for one in coded)


def test_coded_genes_are_pickled_as_plain_ones(space):
    genes = space.smallest().genes
    assert isinstance(genes, CodedGenes)
    again = pickle.loads(pickle.dumps(genes))
    assert type(again) is Genes
    assert again == genes
    assert hash(again) == hash(genes)


def test_columns_have_values_and_nothing_where_a_gene_is_not_active(space):
    small = space.architecture({**space.smallest().genes, "M": 1})
    columns = space.coding.columns(space.coding.encode([small.genes]))
    assert columns["M"].tolist() == [1]
    assert columns["convblock1"].tolist() == [small.genes["convblock1"]]
    assert (columns["R2"].tolist(), columns["convblock2"].tolist()) == ([0], [""])


def test_genes_vanish_and_appear_with_what_they_depend_on():
    space = ConfigSpace("digits", ranges={"M": [1, 2]})
    space.add_hyperparameter("extra", "discrete", min_value=1, max_value=3, active_if=("R2", 2))
    names = space.coding.names
    codes = np.zeros((3, len(names)), dtype=np.int32)
    codes[:, names.index("extra")] = ABSENT
    codes[1:, names.index("M")] = 1  # two main blocks
    codes[2, names.index("R2")] = 1  # two residual blocks
    space.coding.resolve(codes, np.full_like(codes, 2))
    there = [{name for name, code in zip(names, row, strict=True) if code != ABSENT} for row in codes]
    assert "R2" not in there[0]
    assert {"R2", "B2", "convblock2", "widenfact2"} <= there[1]
    assert ["extra" in row for row in there] == [False, False, True]
    assert codes[2, names.index("extra")] == 2


def test_a_change_of_a_range_changes_the_coding(space):
    before = space.coding
    (architecture,) = space.sample(1)
    space.set_hyperparameter("out_channel0", min_value=2)
    assert space.coding is not before
    assert architecture in space
    assert space.coding.decode(space.coding.encode([architecture.genes]).tobytes()) == architecture.genes


def test_the_coding_of_several_is_that_of_all_or_none(space):
    drawn = space.sample(3)
    assert coding_of(drawn) is space.coding
    stranger = Architecture(drawn[0].space, plain(drawn[0]), drawn[0].params)
    assert coding_of([*drawn, stranger]) is None
    assert coding_of([*drawn, *ConfigSpace("digits").sample(1)]) is None


def test_a_space_that_cannot_be_built_whole_is_taken_one_by_one():
    assert ConfigSpace("digits").coding.arrays is not None
    assert ConfigSpace("digits", ranges={"M": [1, 4]}).coding.arrays is None
    assert ConfigSpace("digits", family="nasbench201").coding.arrays is None
