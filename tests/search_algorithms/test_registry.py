import subprocess
import sys

import pytest

import analognas.search_algorithms as package
from analognas.errors import SearchError
from analognas.search_algorithms import NSGA2, EAOptimizer, Optimizer
from analognas.search_algorithms.registry import OPTIMIZERS, optimizer_class
from analognas.search_spaces import ConfigSpace
from analognas.search_spaces.nasbench201 import NASBench201Space
from analognas.testing.analytic import AnalyticEvaluator


def test_all_known_ones_are_there():
    for name, path in OPTIMIZERS.items():
        cls = optimizer_class(name)
        assert issubclass(cls, Optimizer)
        assert getattr(package, path.partition(":")[2]) is cls
        assert path.partition(":")[2] in package.__all__


def test_a_class_of_ones_own():
    assert optimizer_class("analognas.search_algorithms.ea_optimized:EAOptimizer") is EAOptimizer


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ea_optimised", "unknown optimizer 'ea_optimised': did you mean 'ea_optimized'"),
        ("nowhere_at_all:Class", "cannot be imported .*: write module:name"),
        ("analognas.search_algorithms.base:Nothing", "cannot be imported"),
        (":Class", "names no module"),
        ("pathlib:Path", "is no Optimizer: derive it"),
        ("analognas.search_algorithms.base:Evaluated", "is no Optimizer: derive it"),
        ("analognas.search_algorithms.base:Optimizer", "has no propose: implement it"),
    ],
)
def test_unknown_ones(name, message):
    with pytest.raises(SearchError, match=message):
        optimizer_class(name)


def test_a_module_that_fails_is_named(tmp_path, monkeypatch):
    (tmp_path / "broken_strategy.py").write_text("1 / 0")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        SearchError,
        match=r"broken_strategy:Mine' cannot be imported \(line 1 of .*ZeroDivisionError: division by zero\)",
    ):
        optimizer_class("broken_strategy:Mine")


def test_listing_loads_no_strategy():
    code = (
        "import sys, analognas.search_algorithms as package; assert 'bo' in package.OPTIMIZERS; "
        "heavy = 'optuna', 'torch', 'scipy', 'analognas.search_algorithms.ea'; "
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_there_is_nothing_else():
    with pytest.raises(AttributeError, match="Genetic"):
        package.Genetic  # noqa: B018


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_cells_are_searched(name):
    space = NASBench201Space("CIFAR-10")
    history = optimizer_class(name)(AnalyticEvaluator(space), 6, 3, min_acc_1d=0.0).run(space).history
    assert len(history) == history["id"].nunique() == 18


@pytest.mark.parametrize("name", ["ea", "regularized_evolution", "local_search", "bo", "tpe"])
def test_better_than_random_search(name):
    space = ConfigSpace("digits")
    best = {"random_search": 0.0, name: 0.0}
    for seed in range(3):
        evaluator = AnalyticEvaluator(space, seed)
        for one in best:
            best[one] += optimizer_class(one)(evaluator, 20, 5, min_acc_1d=0.0).run(space, seed).value / 3
    assert best[name] > best["random_search"] + 1


def test_nsga2_is_exported_by_its_own_name():
    assert NSGA2.__module__ == "analognas.search_algorithms.nsga2"
