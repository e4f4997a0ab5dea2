from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from analognas.evaluators import XGBoostEvaluator
from analognas.evaluators.columns import TARGETS
from analognas.search_spaces import ConfigSpace
from analognas.testing import synthetic_results

SPACE = ConfigSpace("digits", max_params=50_000)


@pytest.fixture(scope="module", params=["ranker", "regressor"])
def fitted(request: pytest.FixtureRequest) -> XGBoostEvaluator:
    """Return an evaluator with trends, since the made-up results nearly follow a line."""
    architectures = SPACE.sample(40, seed=0)
    evaluator = XGBoostEvaluator(method=request.param, folds=2, rounds=10, report=False)
    return evaluator.fit(architectures, synthetic_results(architectures))


def test_they_add_up_to_the_prediction(fitted: XGBoostEvaluator):
    for architecture in SPACE.sample(3, seed=1):
        prediction = fitted.predict([architecture]).iloc[0]
        told = fitted.explain(architecture)
        assert set(told) == set(TARGETS)
        for target, known in told.items():
            features = fitted.schema_.transform([architecture])
            model = fitted.model_.targets[target]
            (score,), _ = model.ensemble.summarize(model.ensemble.predict(features))
            assert known.base_on_scale + known.on_scale.sum() == pytest.approx(score, abs=1e-4)
            assert known.value == pytest.approx(prediction[target], abs=1e-2)
            assert len(known.on_scale) == len(fitted.schema_.names)


def test_a_trend_takes_part_in_them(fitted: XGBoostEvaluator):
    models: Any = fitted.model_.targets.values()
    assert any(member.trend is not None for model in models for member in model.ensemble.members)


def test_points_say_what_is_lost_without_a_feature_in_its_direction(fitted: XGBoostEvaluator):
    (architecture,) = SPACE.sample(1, seed=2)
    known = fitted.explain(architecture)["acc_1d"]
    moved = np.abs(known.on_scale) > 1e-3
    assert (np.sign(known.points[moved]) == np.sign(known.on_scale[moved])).all()
    assert known.points[known.on_scale == 0] == pytest.approx(0)
    assert known.value - known.base == pytest.approx(known.points.sum(), rel=1.0)
