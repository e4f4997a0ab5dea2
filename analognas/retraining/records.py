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


class AskedFigures(TypedDict, total=False):
    """``NeedFigures``, or nothing where nothing was asked because a round was unfinished."""

    newest: Ranking
    new_rows: int
    age_days: float | None


class RetrainingSummary(TypedDict):
    """What a retraining did; of one that was needed, or asked for, with the decision and the record of its round.

    ``needed`` says why, a clause each.
    """

    retrained: bool
    needed: list[str]
    figures: AskedFigures
    round: NotRequired[int]
    decision: NotRequired[str]
    reason: NotRequired[str]
    record: NotRequired[RoundRecord]


class NeedRecord(TypedDict):
    """Why a round was proposed, and the figures of that moment but for the age of the champion."""

    reasons: list[str]
    forced: bool
    newest: NotRequired[Ranking]
    new_rows: NotRequired[int]


class RoundRecord(TypedDict, total=False):
    """The figures of a round: why it was proposed, and when it is decided how both evaluators did, by which rules.

    ``rolled_back``: it was accepted and is withdrawn; ``by_hand``: somebody accepted it against the rules.
    """

    need: NeedRecord
    comparison: Comparison
    rules: dict[str, float | None]
    champion: Identity
    challenger: Identity
    rolled_back: bool
    by_hand: bool


class Identity(TypedDict):
    """Which evaluator: digest of its folder, rows it learned from, Kendall tau of ``acc_1d`` out of fold."""

    digest: str
    rows: int
    kendall_tau_out_of_fold: float | None


class RoundEntry(TypedDict):
    """One architecture of a round, why it was chosen, and what was predicted of it (by column)."""

    id: str
    genes: dict[str, int | float | str]
    reason: str
    predicted: dict[str, float]


class DecidedRound(TypedDict):
    """The file of a round that is decided: ``data/rounds/NNN.json``."""

    round: int
    purpose: str
    decision: str
    reason: str
    record: RoundRecord
    architectures: list[RoundEntry]
