import pytest

from analognas.errors import SearchError
from analognas.search_algorithms import EAOptimizer, RandomSearch
from analognas.search_algorithms.registry import OPTIMIZERS, optimizer_class


def test_all_known_ones_are_there():
    assert {name: optimizer_class(name) for name in OPTIMIZERS} == {
        "ea_optimized": EAOptimizer,
        "random_search": RandomSearch,
    }


def test_a_class_of_ones_own():
    assert optimizer_class("analognas.search_algorithms.ea_optimized:EAOptimizer") is EAOptimizer


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ea_optimised", "unknown optimizer 'ea_optimised': did you mean ea_optimized"),
        ("nowhere_at_all:Class", "cannot be imported .*: check the module"),
        ("analognas.search_algorithms.base:Nothing", "cannot be imported"),
        ("pathlib:Path", "is no Optimizer: derive it"),
    ],
)
def test_unknown_ones(name, message):
    with pytest.raises(SearchError, match=message):
        optimizer_class(name)
