"""Search strategies behind one ask/tell interface, and the worker that runs them."""

from analognas.search_algorithms.base import Optimizer, SearchResult
from analognas.search_algorithms.constraints import Constraints, InfeasibleError, Objective
from analognas.search_algorithms.ea_optimized import EAOptimizer
from analognas.search_algorithms.random_search import RandomSearch
from analognas.search_algorithms.registry import OPTIMIZERS, optimizer_class
from analognas.search_algorithms.worker import SearchSummary, Worker

__all__ = [
    "OPTIMIZERS",
    "Constraints",
    "EAOptimizer",
    "InfeasibleError",
    "Objective",
    "Optimizer",
    "RandomSearch",
    "SearchResult",
    "SearchSummary",
    "Worker",
    "optimizer_class",
]
