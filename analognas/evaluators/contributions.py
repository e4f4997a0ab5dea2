"""What each feature contributes to predictions of boosted trees: Shapley values (SHAP).

Those of trees are XGBoost's own, exact (TreeSHAP: Lundberg and others, Nature Machine Intelligence 2, 2020); of the
linear trend that a member may start from, a feature contributes its slope times its distance from the mean of the data.
Members are averaged, as their predictions are. On the scale on which the evaluator learns they add up to the
prediction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import xgboost as xgb

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analognas.evaluators.boosting import Ensemble
    from analognas.evaluators.model import Model, TargetModel

    Array = NDArray[np.float64]
    Features = NDArray[np.float32]


@dataclass(frozen=True)
class Contributions:
    """What the features contribute to predictions of one target for n architectures.

    Attributes:
        predictions: in the target's unit, (n,).
        base: what would be predicted if nothing was known of an architecture, in that unit.
        on_scale: of each feature, on the scale on which trees add up, (n, f).
        base_on_scale: with the sum of a row of ``on_scale`` it is the prediction on that scale.
        points: of each feature, by how much the prediction would be lower without it, in the target's unit, (n, f). The
            scale is curved, so they add up only roughly.
    """

    predictions: Array
    base: float
    on_scale: Array
    base_on_scale: float
    points: Array


def contributions(model: Model, features: Features, targets: Sequence[str]) -> dict[str, Contributions]:
    """Return the contributions by target to the predictions at ``features`` (n, f)."""
    means = dict(zip(model.structural, model.novelty.mean.tolist(), strict=True))
    return {target: _of(model.targets[target], features, means) for target in targets}


def _of(model: TargetModel, features: Features, means: Mapping[int, float]) -> Contributions:
    parts = _added_up(model.ensemble, features, means)
    on_scale, base = parts[:, :-1], float(parts[0, -1])

    def unit(scores: Array) -> Array:
        return model.scale.inverse(scores if model.score_map is None else model.score_map(scores))

    totals = base + on_scale.sum(axis=1)
    values, nothing = unit(totals), float(unit(np.array([base]))[0])
    without = unit((totals[:, None] - on_scale).reshape(-1)).reshape(on_scale.shape)
    return Contributions(values, nothing, on_scale, base, values[:, None] - without)


def _added_up(ensemble: Ensemble, features: Features, means: Mapping[int, float]) -> Array:
    """Return the contributions of all features and, last, what there is without them, (n, f + 1)."""
    data = xgb.DMatrix(features, nthread=1)
    total = np.zeros((len(features), features.shape[1] + 1))
    for member in ensemble.members:
        total += member.booster.predict(data, pred_contribs=True)
        if member.trend is None:
            continue
        trend = member.trend
        total[:, -1] += trend.intercept
        for column, low, high, slope in zip(trend.columns, trend.low, trend.high, trend.slopes, strict=True):
            # Members have seen other rows: the mean of all may lie just outside of what one of them has seen.
            held = features[:, column].astype(np.float64).clip(low, high)
            mean = min(max(means.get(column, 0.0), low), high)  # what a prior says is 0 at the mean of its data
            total[:, column] += slope * (held - mean)
            total[:, -1] += slope * mean
    return np.asarray(total / len(ensemble.members))
