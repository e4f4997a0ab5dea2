"""Search strategies by name, as ``search.optimizer`` in ``params.yaml`` names them."""

from __future__ import annotations

import difflib

from analognas.errors import SearchError
from analognas.plugins import imported, plugins, target
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
    where = OPTIMIZERS.get(name) or target("optimizer", name)
    if where is None:
        known = [*OPTIMIZERS, *(one.name for one in plugins("optimizer"))]
        near = difflib.get_close_matches(name, known, n=1, cutoff=0)[0]
        raise SearchError(f"unknown optimizer {name!r}: did you mean {near}? A class of your own is module:Class.")
    try:
        cls = imported(where)
    except Exception as error:  # a module of the user's own may fail in any way
        raise SearchError(f"optimizer {name} cannot be imported ({error}): check the module and the class.") from error
    if not (isinstance(cls, type) and issubclass(cls, Optimizer)):
        raise SearchError(f"optimizer {name} is no Optimizer: derive it from analognas.search_algorithms.Optimizer.")
    if missing := sorted(getattr(cls, "__abstractmethods__", ())):
        raise SearchError(f"optimizer {name} has no {missing[0]}: implement it, see docs/optimizers.md.")
    return cls
