"""Search strategies by name, as ``search.optimizer`` in ``params.yaml`` names them."""

from __future__ import annotations

from typing import Any

from analognas.errors import SearchError
from analognas.plugins import resolve
from analognas.search_algorithms.base import Optimizer

#: The strategies that ship with the library; each is loaded when it is asked for.
OPTIMIZERS = {
    "ea_optimized": "analognas.search_algorithms.ea_optimized:EAOptimizer",
    "ea": "analognas.search_algorithms.ea:EvolutionaryAlgorithm",
    "regularized_evolution": "analognas.search_algorithms.regularized_evolution:RegularizedEvolution",
    "local_search": "analognas.search_algorithms.local_search:LocalSearch",
    "bo": "analognas.search_algorithms.bo:BayesianOptimization",
    "tpe": "analognas.search_algorithms.tpe:TPE",
    "nsga2": "analognas.search_algorithms.nsga2:NSGA2",
    "latin_hypercube": "analognas.search_algorithms.latin_hypercube:LatinHypercube",
    "random_search": "analognas.search_algorithms.random_search:RandomSearch",
}


def optimizer_class(name: str) -> type[Optimizer]:
    """Return the strategy of this name, the library's or an installed package's, or of ``module:Class``.

    Raises:
        SearchError: if there is none, naming the nearest known one, or if it is no strategy.
    """
    cls: type[Optimizer] = resolve("optimizer", name, OPTIMIZERS, SearchError, _problem)
    return cls


def _problem(cls: Any) -> str | None:
    if not (isinstance(cls, type) and issubclass(cls, Optimizer)):
        return "is no Optimizer: derive it from analognas.search_algorithms.Optimizer."
    missing = sorted(getattr(cls, "__abstractmethods__", ()))
    return f"has no {missing[0]}: implement it, see docs/optimizers.md." if missing else None
