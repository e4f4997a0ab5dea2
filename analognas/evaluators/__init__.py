"""Evaluators (surrogates): they predict accuracy and robustness of any architecture of a space.

Importing this package is cheap; XGBoost and scikit-learn are loaded with the first evaluator that needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

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

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={"ensemble": ["EnsembleEvaluator", "GaussianProcessEvaluator"], "xgboost": ["XGBoostEvaluator"]},
)
