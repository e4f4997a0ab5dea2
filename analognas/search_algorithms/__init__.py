"""Search strategies behind one ask/tell interface, and the worker that runs them.

Importing this package is cheap: a strategy is loaded when it is first used, and Optuna with those that need it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from analognas.search_algorithms.base import Optimizer, SearchResult
from analognas.search_algorithms.constraints import Constraints, CostLimits, InfeasibleError, Objective
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
    "CostLimits",
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

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "bo": ["BayesianOptimization"],
        "ea": ["EvolutionaryAlgorithm"],
        "ea_optimized": ["EAOptimizer"],
        "latin_hypercube": ["LatinHypercube"],
        "local_search": ["LocalSearch"],
        "nsga2": ["NSGA2"],
        "random_search": ["RandomSearch"],
        "regularized_evolution": ["RegularizedEvolution"],
        "tpe": ["TPE"],
    },
)
