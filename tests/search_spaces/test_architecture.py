import copy
import json
import pickle

import pytest

from analognas.errors import CorruptFileError, SpaceError
from analognas.search_spaces import Architecture, ConfigSpace, Genes


@pytest.fixture(scope="module")
def architecture():
    return ConfigSpace("digits").sample(1, seed=3)[0]


def test_identity_is_the_name_of_the_space_and_the_genes(architecture):
    other = Architecture(architecture.space, architecture.genes, params=0)
    assert other.id == architecture.id
    elsewhere = ConfigSpace("digits", name="elsewhere").architecture(architecture.genes)
    assert elsewhere.id != architecture.id


def test_identity_is_stable():
    genes = {
        "out_channel0": 4,
        "kernel_size0": 3,
        "M": 1,
        "R1": 1,
        "B1": 1,
        "convblock1": "basic",
        "widenfact1": 1,
    }
    assert ConfigSpace("digits").architecture(genes).id == "e70b7fd75978a26e"


def test_json_and_pickle_give_it_back(architecture):
    data = json.loads(json.dumps(architecture.to_dict()))
    for copied in (Architecture.from_dict(data), pickle.loads(pickle.dumps(architecture)), copy.copy(architecture)):
        assert copied == architecture
        assert copied.id == architecture.id
        assert copied.params == architecture.params
        assert copied.structure == architecture.structure


def test_a_damaged_description_is_refused(architecture):
    for damage in (
        {"genes": None},
        {"space": {}},
        {"params": "many"},
        {"id": "0" * 16},
        {"genes": {**architecture.genes, "M": 77}},
    ):
        with pytest.raises(CorruptFileError, match="restore the file"):
            Architecture.from_dict({**architecture.to_dict(), **damage})
    with pytest.raises(CorruptFileError):
        Architecture.from_dict({})


def test_a_gene_that_no_builder_reads_is_refused_by_name(architecture):
    genes = Genes({**architecture.genes, "dropout": 3})
    extended = Architecture(architecture.space, genes, architecture.params)
    for use in (lambda: extended.structure, extended.build):
        with pytest.raises(SpaceError, match="'dropout' is read by no builder"):
            use()
