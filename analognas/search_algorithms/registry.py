"""Search strategies by name, as ``search.optimizer`` in ``params.yaml`` names them."""

from __future__ import annotations

import difflib
import importlib

from analognas.errors import SearchError
from analognas.search_algorithms.base import Optimizer

#: The strategies that ship with the library.
OPTIMIZERS = {
    "ea_optimized": "analognas.search_algorithms.ea_optimized:EAOptimizer",
    "random_search": "analognas.search_algorithms.random_search:RandomSearch",
}


def optimizer_class(name: str) -> type[Optimizer]:
    """Return the strategy of this name; ``module:Class`` names one that lives elsewhere.

    Raises:
        SearchError: if there is none, naming the nearest known one.
    """
    module, found, attribute = OPTIMIZERS.get(name, name).partition(":")
    if not found:
        near = difflib.get_close_matches(name, OPTIMIZERS, n=1, cutoff=0)[0]
        raise SearchError(f"unknown optimizer {name!r}: did you mean {near}? A class of your own is module:Class.")
    try:
        cls = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise SearchError(f"optimizer {name} cannot be imported ({error}): check the module and the class.") from None
    if not (isinstance(cls, type) and issubclass(cls, Optimizer)):
        raise SearchError(f"optimizer {name} is no Optimizer: derive it from analognas.search_algorithms.Optimizer.")
    return cls
