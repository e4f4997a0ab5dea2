"""Evaluators (surrogates): they predict accuracy and robustness of any architecture of a space.

Importing this package is cheap; XGBoost and scikit-learn are loaded with the first evaluator that needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analognas.evaluators.base import Context, Evaluator
from analognas.evaluators.columns import COLUMNS, TARGETS

if TYPE_CHECKING:
    from analognas.evaluators.ensemble import EnsembleEvaluator, GaussianProcessEvaluator
    from analognas.evaluators.xgboost import XGBoostEvaluator

__all__ = [
    "COLUMNS",
    "TARGETS",
    "Context",
    "EnsembleEvaluator",
    "Evaluator",
    "GaussianProcessEvaluator",
    "XGBoostEvaluator",
]


def __getattr__(name: str) -> Any:
    if name == "XGBoostEvaluator":
        from analognas.evaluators.xgboost import XGBoostEvaluator

        return XGBoostEvaluator
    if name in ("EnsembleEvaluator", "GaussianProcessEvaluator"):
        from analognas.evaluators import ensemble

        return getattr(ensemble, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
