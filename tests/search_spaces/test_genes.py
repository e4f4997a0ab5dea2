import copy
import pickle

import pytest

from analognas.search_spaces import Genes


def test_genes_do_not_depend_on_their_order():
    assert Genes({"b": 1, "a": 2}).to_json() == Genes({"a": 2, "b": 1}).to_json() == '{"a":2,"b":1}'
    assert hash(Genes({"b": 1, "a": 2})) == hash(Genes({"a": 2, "b": 1}))


def test_genes_are_a_mapping_that_nobody_changes():
    genes = Genes({"b": 1, "a": "basic"})
    assert list(genes) == ["a", "b"]
    assert (len(genes), genes["b"], dict(genes)) == (2, 1, {"a": "basic", "b": 1})
    assert genes == {"b": 1, "a": "basic"}
    assert repr(genes) == "{'a': 'basic', 'b': 1}"
    with pytest.raises(TypeError):
        genes["b"] = 2
    with pytest.raises(KeyError):
        genes["c"]


def test_genes_are_their_own_and_not_the_mapping_they_were_made_from():
    given = {"a": 1}
    genes = Genes(given)
    given["a"] = 2
    assert genes["a"] == 1


def test_genes_are_pickled_copied_and_put_into_sets():
    genes = Genes({"b": 1, "a": "basic"})
    for again in (pickle.loads(pickle.dumps(genes)), copy.deepcopy(genes), Genes(genes)):
        assert again == genes
        assert hash(again) == hash(genes)
        assert again.to_json() == genes.to_json() == '{"a":"basic","b":1}'
    assert len({genes, Genes({"a": "basic", "b": 1}), Genes({"a": "basic", "b": 2})}) == 2
