import pickle

import numpy as np
import pytest

from analognas.errors import SpaceError
from analognas.search_spaces.hyperparameter import Hyperparameter


def test_both_bounds_are_reached_in_equal_shares():
    gene = Hyperparameter("x", "discrete", 1, 5)
    values = [gene.at(i / 1000) for i in range(1000)]
    assert sorted(set(values)) == [1, 2, 3, 4, 5]
    assert {values.count(value) for value in set(values)} == {200}
    assert gene.at(0.0) == 1
    assert gene.at(1.0) == 5


def test_listed_integers_are_sorted_and_stay_integers():
    gene = Hyperparameter("k", "discrete", choices=(np.int64(7), 3, 5))
    assert gene.choices == (3, 5, 7)
    assert all(type(choice) is int for choice in gene.values)


def test_categories_keep_their_order():
    assert Hyperparameter("c", "categorical", choices=["z", "a"]).values == ("z", "a")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"type": "continuous"}, "unknown type 'continuous'"),
        ({"type": "discrete", "min_value": 3, "max_value": 2}, "min_value 3 above max_value 2"),
        ({"type": "discrete", "min_value": 3}, "needs min_value and max_value"),
        ({"type": "discrete", "min_value": 0.5, "max_value": 2}, "0.5 is not an integer"),
        ({"type": "discrete", "min_value": False, "max_value": 2}, "False is not an integer"),
        ({"type": "discrete", "min_value": 1, "max_value": 2, "choices": (1,)}, "both choices and bounds"),
        ({"type": "discrete", "choices": ("a",)}, "'a' is not an integer"),
        ({"type": "categorical"}, "has no choices"),
        ({"type": "categorical", "choices": ()}, "has no choices"),
        ({"type": "categorical", "choices": ("a", "a")}, "lists a choice twice"),
        ({"type": "categorical", "choices": (1.5,)}, "1.5 is not an integer"),
    ],
)
def test_what_is_no_gene_is_refused_by_name(arguments, message):
    with pytest.raises(SpaceError, match=message) as raised:
        Hyperparameter("width", **arguments)
    assert "'width'" in str(raised.value)


@pytest.mark.parametrize("name", ["", "a b", "1x", 3])
def test_names_are_identifiers(name):
    with pytest.raises(SpaceError, match="cannot name a hyperparameter"):
        Hyperparameter(name, "discrete", 1, 2)


def test_check_returns_plain_values_and_refuses_others():
    gene = Hyperparameter("x", "discrete", 1, 5)
    assert type(gene.check(np.int64(5))) is int
    for value in (0, 6, "3", True, 2.0, None):
        with pytest.raises(SpaceError, match="x"):
            gene.check(value)


def test_active_only_where_the_other_gene_is_large_enough():
    gene = Hyperparameter("R2", "discrete", 1, 5, active_if=("M", 2))
    assert gene.active({"M": 2})
    assert not gene.active({"M": 1})
    assert not gene.active({})


def test_survives_pickling():
    gene = Hyperparameter("x", "categorical", choices=("a", "b"), active_if=("M", 2))
    assert pickle.loads(pickle.dumps(gene)) == gene
