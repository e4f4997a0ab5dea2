"""Tests that come with the library: what a new space, evaluator or optimizer has to satisfy, and problems to try it on.

Nothing is imported before it is used; the conformance classes need pytest.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analognas.testing.analytic import AnalyticEvaluator
    from analognas.testing.evaluators import EvaluatorConformance, synthetic_results
    from analognas.testing.optimizers import OptimizerConformance
    from analognas.testing.spaces import SpaceConformance

__all__ = ["AnalyticEvaluator", "EvaluatorConformance", "OptimizerConformance", "SpaceConformance", "synthetic_results"]

_MODULES = {
    "AnalyticEvaluator": "analytic",
    "EvaluatorConformance": "evaluators",
    "OptimizerConformance": "optimizers",
    "SpaceConformance": "spaces",
    "synthetic_results": "evaluators",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
