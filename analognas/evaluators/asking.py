"""Asking an evaluator, also one of somebody else's: what it returns is of the architectures that it was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from analognas.errors import MismatchError
from analognas.tables import PREDICTIONS

if TYPE_CHECKING:
    import pandas as pd

    from analognas.evaluators.base import Evaluator
    from analognas.search_spaces.architecture import Architecture


def predicted(evaluator: Evaluator, architectures: Sequence[Architecture]) -> pd.DataFrame:
    """Return ``Evaluator.predict`` of these architectures.

    Raises:
        MismatchError: if that is no table of predictions, or has other rows than one for each architecture, in order.
    """
    return _checked(evaluator, "predict", evaluator.predict(architectures), architectures)


def assessed(evaluator: Evaluator, architectures: Sequence[Architecture]) -> pd.DataFrame:
    """Return ``Evaluator.assess`` of these architectures; raises what ``predicted`` raises."""
    return _checked(evaluator, "assess", evaluator.assess(architectures), architectures)


def _checked(
    evaluator: Evaluator, method: str, frame: pd.DataFrame, architectures: Sequence[Architecture]
) -> pd.DataFrame:
    return PREDICTIONS.check(
        frame,
        f"What {type(evaluator).__name__}.{method} returned",
        remedy=f"let {method} return one row for each architecture, in their order, as Evaluator.predict says",
        error=MismatchError,
        ids=[architecture.id for architecture in architectures],
    )
