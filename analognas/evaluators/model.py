"""The models behind ``XGBoostEvaluator``: from feature matrices to predictions, without architectures or files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING

import numpy as np

from analognas.errors import InputError
from analognas.evaluators.boosting import RANKER, REGRESSOR, Boosting, Ensemble, OutOfFold, fit_ensemble
from analognas.evaluators.calibration import Interval, Novelty, Scale, ScoreMap
from analognas.evaluators.columns import TARGETS
from analognas.evaluators.metrics import kendall_tau_difference
from analognas.seeds import derive_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Features = NDArray[np.float32]

METHODS = ("auto", "ranker", "regressor")

# Standard errors by which the structure has to help where a prior is to start from.
_CLEARLY = 2.0


def _positive(value: object, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool) and 0 < float(value) < math.inf  # type: ignore[arg-type]


@dataclass(frozen=True)
class Settings:
    """What decides a fit besides the data; see ``XGBoostEvaluator``."""

    method: str
    folds: int
    boosting: Boosting
    seed: int

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError(f"The method {self.method!r} is unknown: use one of {', '.join(METHODS)}.")
        if self.folds < 2:
            raise InputError(f"folds is {self.folds}: cross-validation needs 2 or more.")
        boosting = self.boosting
        counts = (boosting.rounds, boosting.max_depth)
        if not (all(_positive(count, Integral) for count in counts) and _positive(boosting.learning_rate, Real)):
            raise InputError(
                f"rounds, max_depth and learning_rate are {boosting.rounds}, {boosting.max_depth} and "
                f"{boosting.learning_rate}: give whole numbers of at least 1, and a finite rate above 0."
            )


@dataclass(frozen=True)
class Prediction:
    """What is predicted of one target, (t,) each: see ``Evaluator.predict``."""

    value: Array
    uncertainty: Array
    low: Array
    high: Array
    score: Array


@dataclass(frozen=True)
class TargetModel:
    """The model of one target; ``score_map`` is None for a regressor, which predicts on the target's scale."""

    method: str
    scale: Scale
    ensemble: Ensemble
    score_map: ScoreMap | None
    interval: Interval

    def predict(self, features: Features, novelty: Array) -> Prediction:
        """Return the prediction for ``features`` (t, f) with ``novelty`` (t,)."""
        scores = self.ensemble.predict(features)
        score, spread = self.ensemble.summarize(scores)
        scaled, members = score, scores
        if self.score_map is not None:
            scaled, members = self.score_map(score), self.score_map(scores)
            _, spread = self.ensemble.summarize(members)
        # The spread says what the rows cannot tell, the novelty that they are elsewhere. Taken as independent.
        uncertainty = np.sqrt(spread**2 + novelty**2)
        low, high = self.interval.predict(members, novelty)
        inverse = self.scale.inverse
        return Prediction(
            value=inverse(scaled),
            uncertainty=(inverse(scaled + uncertainty) - inverse(scaled - uncertainty)) / 2,
            # Far out in a skewed sample the quantiles may pass the mean of all models.
            low=inverse(np.minimum(low, scaled)),
            high=inverse(np.maximum(high, scaled)),
            score=score,
        )


@dataclass(frozen=True)
class Model:
    """The models of all targets; ``structural`` are the features (indices) that distances are taken in."""

    targets: Mapping[str, TargetModel]
    novelty: Novelty
    structural: tuple[int, ...]

    def predict(self, features: Features, seen_before: Array | None = None) -> dict[str, Prediction]:
        """Return the predictions by target for ``features`` (t, f); ``seen_before``: the prior's novelty, (t,)."""
        return self.look(features, seen_before)[0]

    def look(self, features: Features, seen_before: Array | None = None) -> tuple[dict[str, Prediction], Array]:
        """Return what ``predict`` does, and how far they are from what was measured, here or by the prior, (t,)."""
        novelty = _nearer(self.novelty(features[:, list(self.structural)]), seen_before)
        return {target: model.predict(features, novelty) for target, model in self.targets.items()}, novelty


def fit_model(
    features: Features,
    measured: Mapping[str, Array],
    groups: NDArray[np.int64],
    structural: Sequence[int],
    settings: Settings,
    from_prior: Sequence[int] = (),
    seen_before: Array | None = None,
) -> Model:
    """Return the models of all targets.

    Args:
        features: shape (n, f).
        measured: n values of each target.
        groups: numbers of the architectures, shape (n,).
        structural: the features (indices) for trend and distance.
        settings: what else decides.
        from_prior: the features (indices) that are the prior's predictions; empty: there is no prior.
        seen_before: the prior's novelty of the rows, (n,).
    """
    novelty, own_novelty = Novelty.fit(features[:, list(structural)], groups)
    own_novelty = _nearer(own_novelty, seen_before)
    targets = {
        target: _fit_target(target, features, measured[target], groups, structural, settings, own_novelty, from_prior)
        for target in TARGETS
    }
    return Model(targets, novelty, tuple(structural))


def _nearer(own: Array, seen_before: Array | None) -> Array:
    """Return the novelty where a prior knows architectures, too."""
    return own if seen_before is None else np.minimum(own, seen_before)


def _closer(measured: Array, one_of: Array, other: Array, margin: float) -> bool:
    """Say whether predictions are closer than others are, by more than ``margin`` standard errors."""
    gained = (measured - other) ** 2 - (measured - one_of) ** 2
    return bool(gained.mean() > margin * gained.std() / math.sqrt(len(gained)))


def _fit_target(
    target: str,
    features: Features,
    values: Array,
    groups: NDArray[np.int64],
    structural: Sequence[int],
    settings: Settings,
    novelty: Array,
    prior: Sequence[int],
) -> TargetModel:
    scale = Scale.fit(target, values)
    scaled = scale.forward(values)

    def candidate(objective: str, trend: Sequence[int] | None = None) -> OutOfFold:
        return fit_ensemble(
            features,
            scaled,
            groups,
            folds=settings.folds,
            boosting=settings.boosting,
            seed=derive_seed(settings.seed, target),
            objective=objective,
            trend=trend,
            beyond=prior,
        )

    # Only for the accuracy a rank score is wanted; the others are wanted in their units.
    if target == "acc_1d" and settings.method == "ranker":
        method, chosen = "ranker", candidate(RANKER)
    else:
        if prior:
            # To choose among several with a dozen rows costs more than it gains.
            method, chosen, margin = "regressor on the prior", candidate(REGRESSOR, prior), _CLEARLY
            other, trend = "regressor with trend on the prior", [*structural, *prior]
        else:
            method, chosen, margin = "regressor", candidate(REGRESSOR), 0.0
            other, trend = "regressor with trend", list(structural)
        with_trend = candidate(REGRESSOR, trend)
        if _closer(scaled, with_trend.unseen, chosen.unseen, margin):
            method, chosen = other, with_trend
        if target == "acc_1d" and settings.method == "auto" and not prior:
            ranker = candidate(RANKER)
            if _better(scaled, ranker.unseen, chosen.unseen):
                method, chosen = "ranker", ranker
    score_map = ScoreMap.fit(chosen.unseen, scaled) if method == "ranker" else None
    unseen = chosen.unseen if score_map is None else score_map(chosen.unseen)
    interval = Interval.fit(scaled - unseen, chosen.assigned, novelty)
    return TargetModel(method, scale, chosen.ensemble, score_map, interval)


def _better(measured: Array, ranker: Array, regressor: Array) -> bool:
    """Say whether the ranker's tau is higher by more than its standard error: otherwise the simpler one."""
    difference, error = kendall_tau_difference(measured, ranker, regressor)
    return bool(difference > error)
