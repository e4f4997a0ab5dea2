"""Search strategies behind one ask/tell interface, and the worker that runs them.

Importing this package is cheap: a strategy is loaded when it is first used, and Optuna with those that need it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from analognas.search_algorithms.base import Optimizer, SearchResult
from analognas.search_algorithms.constraints import Constraints, InfeasibleError, Objective
from analognas.search_algorithms.registry import OPTIMIZERS, optimizer_class
from analognas.search_algorithms.worker import SearchSummary, Worker

if TYPE_CHECKING:
    from analognas.search_algorithms.bo import BayesianOptimization
    from analognas.search_algorithms.ea import EvolutionaryAlgorithm
    from analognas.search_algorithms.ea_optimized import EAOptimizer
    from analognas.search_algorithms.latin_hypercube import LatinHypercube
    from analognas.search_algorithms.local_search import LocalSearch
    from analognas.search_algorithms.nsga2 import NSGA2
    from analognas.search_algorithms.random_search import RandomSearch
    from analognas.search_algorithms.regularized_evolution import RegularizedEvolution
    from analognas.search_algorithms.tpe import TPE

__all__ = [
    "NSGA2",
    "OPTIMIZERS",
    "TPE",
    "BayesianOptimization",
    "Constraints",
    "EAOptimizer",
    "EvolutionaryAlgorithm",
    "InfeasibleError",
    "LatinHypercube",
    "LocalSearch",
    "Objective",
    "Optimizer",
    "RandomSearch",
    "RegularizedEvolution",
    "SearchResult",
    "SearchSummary",
    "Worker",
    "optimizer_class",
]

_STRATEGIES = {path.partition(":")[2]: path.partition(":")[0] for path in OPTIMIZERS.values()}


def __getattr__(name: str) -> Any:
    if name in _STRATEGIES:
        return getattr(importlib.import_module(_STRATEGIES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
