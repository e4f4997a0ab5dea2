"""Whether a challenger takes the champion's place: pure functions of what was measured and predicted.

Both predict the sentinel set, which was drawn uniformly and which neither has learned from. A paired bootstrap over
its architectures gives a one-sided bound of the gain in Kendall tau. Nothing here reads a file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analognas.evaluators.metrics import bootstrap_weights, coverage, kendall_tau, rmse, weighted_kendall_tau
from analognas.retraining.records import Comparison, GainRecord, NeedFigures, Ranking

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from analognas.params import RetrainParams

    Array = NDArray[np.float64]

#: Fewest measured architectures from which anything is concluded about an evaluator.
LEAST = 10
#: Confidence of the one-sided bounds.
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Gain:
    """How much better the challenger ranks than the champion: difference in Kendall tau, no unit.

    Args:
        champion: its tau; None where it is not defined (all predictions or all measurements are the same).
        challenger: likewise.
        value: the difference; a tau that is not defined counts as 0, because nothing is ranked.
        low: one-sided 95 % bound below, by a paired bootstrap over architectures.
    """

    champion: float | None
    challenger: float | None
    value: float
    low: float

    def to_dict(self) -> GainRecord:
        """Return it as JSON values."""
        return {"champion": self.champion, "challenger": self.challenger, "gain": self.value, "gain_low": self.low}


@dataclass(frozen=True)
class Verdict:
    """What was decided, and why in one sentence."""

    accepted: bool
    reason: str


def tau_gain(measured: Array, champion: Array, challenger: Array, weights: Array, groups: NDArray[np.int64]) -> Gain:
    """Return the gain in Kendall tau with its bound, from n measured values and n scores of either evaluator.

    ``weights`` are resamples of the rows (r, n), see ``bootstrap_weights``; ``groups`` numbers the architectures.
    """
    # In a resample without order nothing is gained: that keeps the bound on the safe side.
    drawn = [
        np.nan_to_num(weighted_kendall_tau(measured, scores, weights, groups)) for scores in (champion, challenger)
    ]
    taus = [kendall_tau(measured, scores) for scores in (champion, challenger)]
    value = float(np.nan_to_num(taus[1]) - np.nan_to_num(taus[0]))
    low = float(np.quantile(drawn[1] - drawn[0], 1 - CONFIDENCE))
    return Gain(_or_none(taus[0]), _or_none(taus[1]), value, low)


def compare(
    measured: pd.DataFrame, champion: pd.DataFrame, challenger: pd.DataFrame, resamples: int, seed: int
) -> Comparison:
    """Return all figures of a comparison.

    Args:
        measured: n rows with ``id``, ``acc_1d`` (percent) and ``avm`` (percentage points).
        champion: its predictions of them.
        challenger: its predictions of them.
        resamples: of the paired bootstrap.
        seed: of the resamples.
    """
    if len(measured) < LEAST:
        return {"architectures": len(measured)}
    weights, groups = bootstrap_weights(list(measured["id"]), resamples, seed)
    acc, avm = measured["acc_1d"].to_numpy(), measured["avm"].to_numpy()
    scores, losses = (
        [predicted[column].to_numpy() for predicted in (champion, challenger)] for column in ("acc_1d_score", "avm")
    )
    return {
        "architectures": len(measured),
        "acc_1d": tau_gain(acc, scores[0], scores[1], weights, groups).to_dict(),
        "avm": tau_gain(avm, losses[0], losses[1], weights, groups).to_dict(),
        "coverage": {
            "champion": coverage(acc, champion["acc_1d_low"], champion["acc_1d_high"]),
            "challenger": coverage(acc, challenger["acc_1d_low"], challenger["acc_1d_high"]),
        },
        "rmse": {"champion": rmse(acc, champion["acc_1d"]), "challenger": rmse(acc, challenger["acc_1d"])},
        "resamples": resamples,
        "confidence": CONFIDENCE,
    }


def decide(figures: Comparison, rules: RetrainParams) -> Verdict:
    """Return whether the challenger takes the champion's place, by the figures of ``compare``.

    It does if the one-sided 95 % bound of its gain in the Kendall tau of ``acc_1d`` is above zero, the gain is above
    ``retrain.min_gain``, its tau of ``avm`` is not worse by more than ``retrain.guard_avm`` (by the bound below), and
    its 90 % interval holds at least ``retrain.min_coverage`` of the measurements.
    """
    if "acc_1d" not in figures or "avm" not in figures or "coverage" not in figures:
        return Verdict(
            False,
            f"only {figures['architectures']} sentinel architectures were measured, at least {LEAST} are needed: raise "
            "retrain.sentinel_size before the set is drawn",
        )
    acc, avm, covered = figures["acc_1d"], figures["avm"], figures["coverage"]["challenger"]
    gain, low = acc["gain"], acc["gain_low"]
    gained = f"the gain in Kendall tau is {gain:+.3f} (one-sided {CONFIDENCE:.0%} bound {low:+.3f})"
    if acc["challenger"] is None and acc["champion"] is None:
        return Verdict(False, "Kendall tau is not defined: all measurements or all predictions are the same")
    if not low > 0:
        return Verdict(False, f"{gained}: it may be none")
    if not gain > rules.min_gain:
        return Verdict(False, f"{gained}: not above retrain.min_gain, {rules.min_gain:g}")
    if avm["gain_low"] < -rules.guard_avm:
        return Verdict(
            False,
            f"{gained}, but that of avm changes by {avm['gain']:+.3f} (bound {avm['gain_low']:+.3f}): it may be worse "
            f"by more than retrain.guard_avm, {rules.guard_avm:g}",
        )
    if covered is not None and covered < rules.min_coverage:
        return Verdict(
            False,
            f"{gained}, but its 90 % interval holds {covered:.0%} of the measurements, less than "
            f"retrain.min_coverage, {rules.min_coverage:.0%}",
        )
    return Verdict(True, gained)


def ranking(measured: pd.DataFrame, predicted: pd.DataFrame) -> Ranking:
    """Return how one evaluator does on rows it has not learned from; nothing is concluded from fewer than 10."""
    if len(measured) < LEAST:
        return {"architectures": len(measured), "kendall_tau": None, "coverage": None}
    acc = measured["acc_1d"].to_numpy()
    return {
        "architectures": len(measured),
        "kendall_tau": _or_none(kendall_tau(acc, predicted["acc_1d_score"].to_numpy())),
        "coverage": coverage(acc, predicted["acc_1d_low"], predicted["acc_1d_high"]),
    }


def reasons(figures: NeedFigures, rules: RetrainParams) -> list[str]:
    """Return why the champion needs retraining by figures and thresholds, one clause each; none if it does not."""
    clauses = []
    newest, new_rows, age = figures["newest"], figures["new_rows"], figures["age_days"]
    tau, covered = newest["kendall_tau"], newest["coverage"]
    rows = f"on the newest {newest['architectures']} rows that it has not learned from"
    if tau is not None and tau < rules.min_tau:
        clauses.append(f"its Kendall tau {rows} is {tau:.3f}, below retrain.min_tau, {rules.min_tau:g}")
    if covered is not None and covered < rules.min_coverage:
        clauses.append(
            f"its 90 % interval holds {covered:.0%} {rows}, less than retrain.min_coverage, {rules.min_coverage:.0%}"
        )
    if new_rows >= rules.new_rows:
        clauses.append(f"there are {new_rows} new rows (retrain.new_rows is {rules.new_rows})")
    if age is not None and rules.max_age_days is not None and age > rules.max_age_days:
        # How much older is of the clock, and reasons are kept.
        clauses.append(f"it is older than retrain.max_age_days, {rules.max_age_days:g} days")
    return clauses


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
