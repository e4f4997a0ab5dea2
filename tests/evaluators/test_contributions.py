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
    architectures = SPACE.sample(3, seed=1)
    predictions = fitted.predict(architectures)
    features = fitted.schema_.transform(architectures)
    told = fitted.explain(architectures)
    assert set(told) == set(TARGETS)
    for target, known in told.items():
        model = fitted.model_.targets[target]
        scores, _ = model.ensemble.summarize(model.ensemble.predict(features))
        assert known.base_on_scale + known.on_scale.sum(axis=1) == pytest.approx(scores, abs=1e-4)
        assert known.predictions == pytest.approx(predictions[target].to_numpy(), abs=1e-2)
        assert known.on_scale.shape == known.points.shape == (3, len(fitted.schema_.names))


def test_those_of_many_are_those_of_each(fitted: XGBoostEvaluator):
    architectures = SPACE.sample(4, seed=3)
    together = fitted.explain(architectures)["avm"]
    for row, architecture in enumerate(architectures):
        alone = fitted.explain([architecture])["avm"]
        assert alone.points[0] == pytest.approx(together.points[row], abs=1e-6)
        assert alone.base == pytest.approx(together.base)


def test_a_trend_takes_part_in_them(fitted: XGBoostEvaluator):
    models: Any = fitted.model_.targets.values()
    assert any(member.trend is not None for model in models for member in model.ensemble.members)


def test_points_say_what_is_lost_without_a_feature_in_its_direction(fitted: XGBoostEvaluator):
    (architecture,) = SPACE.sample(1, seed=2)
    known = fitted.explain([architecture])["acc_1d"]
    on_scale, points = known.on_scale[0], known.points[0]
    moved = np.abs(on_scale) > 1e-3
    assert (np.sign(points[moved]) == np.sign(on_scale[moved])).all()
    assert points[on_scale == 0] == pytest.approx(0)
    assert known.predictions[0] - known.base == pytest.approx(points.sum(), rel=1.0)
