"""What each feature contributes to a prediction of boosted trees: Shapley values (SHAP).

Those of trees are XGBoost's own, exact (TreeSHAP: Lundberg and others, Nature Machine Intelligence 2, 2020); of the
linear trend that a member may start from, a feature contributes its slope times its distance from the mean of the data.
Members are averaged, as their predictions are. On the scale on which the evaluator learns they add up to the
prediction.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    """What the features contribute to one prediction of one target.

    Attributes:
        value: the prediction, in the target's unit.
        base: what would be predicted if nothing was known of the architecture, in that unit.
        on_scale: of each feature, on the scale on which trees add up, (f,).
        base_on_scale: with the sum of ``on_scale`` it is the prediction on that scale.
        points: of each feature, by how much the prediction would be lower without it, in the target's unit, (f,). The
            scale is curved, so they add up only roughly.
    """

    value: float
    base: float
    on_scale: Array
    base_on_scale: float
    points: Array


def contributions(model: Model, features: Features) -> dict[str, Contributions]:
    """Return the contributions by target to the prediction at ``features`` (1, f)."""
    means = dict(zip(model.structural, model.novelty.mean.tolist(), strict=True))
    return {target: _of(known, features, means) for target, known in model.targets.items()}


def _of(model: TargetModel, features: Features, means: Mapping[int, float]) -> Contributions:
    parts = _added_up(model.ensemble, features, means)
    on_scale, base = parts[:-1], float(parts[-1])

    def unit(scores: Array) -> Array:
        return model.scale.inverse(scores if model.score_map is None else model.score_map(scores))

    total = base + float(on_scale.sum())
    value, nothing = unit(np.array([total, base])).tolist()
    return Contributions(value, nothing, on_scale, base, value - unit(total - on_scale))


def _added_up(ensemble: Ensemble, features: Features, means: Mapping[int, float]) -> Array:
    """Return the contributions of all features and, last, what there is without them, (f + 1,)."""
    data = xgb.DMatrix(features, nthread=1)
    total = np.zeros(features.shape[1] + 1)
    for member in ensemble.members:
        total += member.booster.predict(data, pred_contribs=True)[0]
        if member.trend is None:
            continue
        trend = member.trend
        total[-1] += trend.intercept
        for column, low, high, slope in zip(trend.columns, trend.low, trend.high, trend.slopes, strict=True):
            # Members have seen other rows: the mean of all may lie just outside of what one of them has seen.
            held, mean = (min(max(value, low), high) for value in (float(features[0, column]), means[column]))
            total[column] += slope * (held - mean)
            total[-1] += slope * mean
    return np.asarray(total / len(ensemble.members))
