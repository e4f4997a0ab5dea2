"""What a retraining writes down: the records of rounds in ``data/rounds/NNN.json``, and what is asked before one.

JSON values alone, None where a figure is not defined.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict


class GainRecord(TypedDict):
    """Kendall tau of both evaluators (no unit), their difference and its one-sided 95 % bound below."""

    champion: float | None
    challenger: float | None
    gain: float
    gain_low: float


class ByEvaluator(TypedDict):
    """One figure of each evaluator."""

    champion: float | None
    challenger: float | None


class Comparison(TypedDict):
    """Champion and challenger on the sentinel set; with fewer than 10 architectures only how many there are.

    ``coverage`` is of the 90 % interval of ``acc_1d`` (share), ``rmse`` of ``acc_1d`` (percentage points).
    """

    architectures: int
    acc_1d: NotRequired[GainRecord]
    avm: NotRequired[GainRecord]
    coverage: NotRequired[ByEvaluator]
    rmse: NotRequired[ByEvaluator]
    resamples: NotRequired[int]
    confidence: NotRequired[float]


class Ranking(TypedDict):
    """How one evaluator does on rows that it has not learned from: Kendall tau and coverage (share) of ``acc_1d``."""

    architectures: int
    kendall_tau: float | None
    coverage: float | None


class NeedFigures(TypedDict):
    """What tells whether the champion needs retraining; ``age_days`` is None where it is unknown."""

    newest: Ranking
    new_rows: int
    age_days: float | None


class Identity(TypedDict):
    """Which evaluator: digest of its folder, rows it learned from, Kendall tau of ``acc_1d`` out of fold."""

    digest: str
    rows: int
    kendall_tau_out_of_fold: float | None
