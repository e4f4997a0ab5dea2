from __future__ import annotations

import pandas as pd
import pytest

from analognas.errors import CorruptFileError, InputError
from analognas.evaluators.ensemble import GaussianProcessEvaluator
from analognas.evaluators.registry import EVALUATORS, evaluator_class, load_evaluator
from analognas.search_spaces import ConfigSpace
from analognas.testing import synthetic_results


def test_a_stored_evaluator_is_loaded_as_what_it_is(tmp_path) -> None:  # type: ignore[no-untyped-def]
    given = ConfigSpace("digits").sample(12)
    fitted = GaussianProcessEvaluator(report=False).fit(given, synthetic_results(given))
    fitted.save(tmp_path / "evaluator")
    loaded = load_evaluator(tmp_path / "evaluator")
    assert type(loaded) is GaussianProcessEvaluator
    pd.testing.assert_frame_equal(loaded.predict(given), fitted.predict(given), check_exact=True)
    with pytest.raises(CorruptFileError, match="xgboost"):
        evaluator_class("xgboost").load(tmp_path / "evaluator")


def test_evaluators_by_name() -> None:
    assert {evaluator_class(name).__name__ for name in EVALUATORS} == {
        "XGBoostEvaluator", "EnsembleEvaluator", "GaussianProcessEvaluator",
    }  # fmt: skip
    with pytest.raises(InputError, match="did you mean 'ensemble'"):
        evaluator_class("ensmble")
    with pytest.raises(InputError, match="is no Evaluator"):
        evaluator_class("analognas.errors:InputError")
    with pytest.raises(InputError, match="cannot be imported"):
        evaluator_class("no_such_module:Thing")
