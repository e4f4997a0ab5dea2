"""Tests that come with the library: what a new space, evaluator or optimizer has to satisfy, and problems to try it on.

Nothing is imported before it is used; the conformance classes need pytest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from analognas.testing.analytic import AnalyticEvaluator
    from analognas.testing.evaluators import EvaluatorConformance, synthetic_results
    from analognas.testing.optimizers import OptimizerConformance
    from analognas.testing.rows import made_up_result, made_up_row
    from analognas.testing.spaces import SpaceConformance

__all__ = [
    "AnalyticEvaluator",
    "EvaluatorConformance",
    "OptimizerConformance",
    "SpaceConformance",
    "made_up_result",
    "made_up_row",
    "synthetic_results",
]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "analytic": ["AnalyticEvaluator"],
        "evaluators": ["EvaluatorConformance", "synthetic_results"],
        "optimizers": ["OptimizerConformance"],
        "rows": ["made_up_result", "made_up_row"],
        "spaces": ["SpaceConformance"],
    },
)
