"""The XGBoost evaluator: what a characterization would measure, learned from a few dozen that were made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from analognas.errors import InputError, NotFittedError
from analognas.evaluators import storage
from analognas.evaluators.base import COLUMNS, COVERAGE, TARGETS, Context, Evaluator, usable_rows
from analognas.evaluators.ensemble import Boosting, fold_numbers
from analognas.evaluators.features import FeatureSchema
from analognas.evaluators.metrics import CONFIDENCE, bootstrap_weights, summary
from analognas.evaluators.model import Prediction, Settings, fit_model
from analognas.seeds import derive_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analognas.search_spaces.architecture import Architecture

    Array = NDArray[np.float64]
    Features = NDArray[np.float32]

#: Fewest architectures that can be learned from.
LEAST_ROWS = 8

# Rows up to which the reported cross-validation is done twice: there the luck of the folds is large.
_REPEAT_BELOW = 50


class XGBoostEvaluator(BaseEstimator, Evaluator):  # type: ignore[misc]  # scikit-learn ships no types
    """Predicts ``acc_1d``, ``avm`` and ``acc_1d_std`` with small ensembles of boosted trees.

    Without ``fit`` it uses the packaged surrogate of the architectures' space, if there is one. It is a
    scikit-learn estimator (``clone``, ``get_params``); everything random follows from ``seed``, and a fit gives
    the same bytes whatever else the machine does.

    Args:
        method: for ``acc_1d``: "ranker" (pairwise, the published choice, its scores mapped to percent on
            out-of-fold scores), "regressor", or "auto": the ranker if its out-of-fold Kendall tau is higher by
            more than the standard error of the difference. The other targets have regressors. A regressor
            starts from a linear trend in the structural features where that lowers its out-of-fold error.
        folds: of every cross-validation.
        bootstrap: resamples behind the intervals of ``report_``.
        tile_size: rows and columns of a tile of the hardware, for the features.
        seed: of folds, trees and resamples.
        rounds: trees of a member; None: by the number of rows, see ``Boosting.for_rows``.
        max_depth: of the trees; None: likewise.
        learning_rate: of the boosting; None: likewise.

    Attributes:
        context_: what it was fitted for.
        report_: out-of-fold Kendall tau, Spearman, RMSE (percentage points) and coverage of the 90 % interval
            for each target, each with a 95 % bootstrap interval over architectures; the method chosen. What
            is chosen is chosen again in every fold from its own rows, so the figures are not optimistic.
        out_of_fold_: the predictions behind it beside ``<target>_measured``, one row per measured architecture
            (not stored by ``save``).
        schema_, model_: features and models.
    """

    def __init__(
        self,
        method: str = "auto",
        *,
        folds: int = 5,
        bootstrap: int = 1000,
        tile_size: int = 256,
        seed: int = 0,
        rounds: int | None = None,
        max_depth: int | None = None,
        learning_rate: float | None = None,
    ) -> None:
        self.method = method
        self.folds = folds
        self.bootstrap = bootstrap
        self.tile_size = tile_size
        self.seed = seed
        self.rounds = rounds
        self.max_depth = max_depth
        self.learning_rate = learning_rate

    def fit(self, architectures: Sequence[Architecture], results: pd.DataFrame) -> Self:
        """Learn from measured architectures and return self; see ``Evaluator.fit``. At least 8 are needed."""
        chosen, rows = usable_rows(architectures, results, LEAST_ROWS)
        settings = self._settings(len(chosen))
        schema = FeatureSchema.learn(chosen, self.tile_size)
        context = Context.of(schema.space, rows)
        features = schema.transform(chosen)
        measured = {target: rows[target].to_numpy() for target in TARGETS}
        ids = [architecture.id for architecture in chosen]
        _, groups = np.unique(ids, return_inverse=True)
        structural = schema.structural

        unseen = _out_of_fold(features, measured, groups, structural, settings)
        model = fit_model(features, measured, groups, structural, replace(settings, seed=derive_seed(self.seed, "fit")))

        self.schema_ = schema
        self.context_ = context
        self.model_ = model
        self.out_of_fold_ = _frame(ids, unseen[0]).assign(
            **{f"{target}_measured": measured[target] for target in TARGETS}
        )
        self.report_ = self._report(ids, measured, unseen, left_out=len(results) - len(chosen))
        return self

    def predict(self, architectures: Sequence[Architecture]) -> pd.DataFrame:
        """Return one row per architecture, in order, with the columns ``COLUMNS``; see ``Evaluator.predict``."""
        fitted = self._fitted(architectures[0].space.name if len(architectures) else "")
        features = fitted.schema_.transform(architectures)
        return _frame([architecture.id for architecture in architectures], fitted.model_.predict(features))

    def save(self, path: Path | str) -> None:
        """Write the evaluator to a directory: ``schema.json``, XGBoost's UBJ models, ``anchors.npy``."""
        if not hasattr(self, "model_"):
            raise NotFittedError("An evaluator that was not fitted cannot be saved: call fit first.")
        storage.save(
            Path(path),
            storage.Stored(self.get_params(), self.context_, self.schema_, self.model_, self.report_),
        )

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Return the evaluator of a directory; it predicts exactly what the saved one did.

        Raises:
            CorruptFileError: if a file is missing, damaged or of something else.
        """
        stored = storage.load(Path(path))
        evaluator = cls(**stored.params)
        evaluator.context_ = stored.context
        evaluator.schema_ = stored.schema
        evaluator.model_ = stored.model
        evaluator.report_ = stored.report
        return evaluator

    def check(
        self,
        *,
        space: str | None = None,
        dataset: str | None = None,
        hardware: str | None = None,
        protocol: str | None = None,
    ) -> None:
        """Raise MismatchError if it was fitted for another one of these ids; see ``Evaluator.check``."""
        context = self._fitted(space or "").context_
        context.check(space=space, dataset=dataset, hardware=hardware, protocol=protocol)

    def _fitted(self, space: str) -> XGBoostEvaluator:
        """Return this evaluator, or the packaged one of the space if this one was not fitted."""
        if hasattr(self, "model_"):
            return self
        packaged = _packaged(space)
        if packaged is None:
            of_space = f" and none is packaged for the space {space!r}" if space else ""
            raise NotFittedError(
                f"This evaluator was not fitted{of_space}: call fit(architectures, results) with measured "
                "architectures, or load one with XGBoostEvaluator.load(path)."
            )
        return packaged

    def _settings(self, rows: int) -> Settings:
        if self.bootstrap < 1:
            raise InputError(f"bootstrap is {self.bootstrap}: give the number of resamples, 1 or more.")
        boosting = Boosting.for_rows(rows)
        given = {name: getattr(self, name) for name in ("rounds", "max_depth", "learning_rate")}
        boosting = replace(boosting, **{name: value for name, value in given.items() if value is not None})
        return Settings(self.method, self.folds, boosting, self.seed)

    def _report(
        self,
        ids: list[str],
        measured: dict[str, Array],
        unseen: list[dict[str, Prediction]],
        left_out: int,
    ) -> dict[str, Any]:
        weights, groups = bootstrap_weights(ids, self.bootstrap, self.seed)
        targets = {}
        for target in TARGETS:
            predictions = [
                {
                    "score": one[target].score,
                    "value": one[target].value,
                    "low": one[target].low,
                    "high": one[target].high,
                }
                for one in unseen
            ]
            metrics = summary(measured[target], predictions, weights, groups)
            targets[target] = {"method": self.model_.targets[target].method, **metrics}
        return {
            "rows": len(ids),
            "left_out": left_out,
            "architectures": len(set(ids)),
            "folds": min(self.folds, len(set(ids))),
            "repeats": len(unseen),
            "resamples": self.bootstrap,
            "confidence": CONFIDENCE,
            "nominal_coverage": COVERAGE,
            "targets": targets,
        }


def _out_of_fold(
    features: Features,
    measured: dict[str, Array],
    groups: NDArray[np.int64],
    structural: Sequence[int],
    settings: Settings,
) -> list[dict[str, Prediction]]:
    """Return predictions of every row by models that did not see it, once per repetition.

    Every fold is a whole fit of its own: choices, mapping and intervals come from the other folds only.
    """
    folds = min(settings.folds, int(groups.max()) + 1)
    repeats = 2 if len(groups) < _REPEAT_BELOW else 1
    repetitions = []
    for repeat in range(repeats):
        seed = derive_seed(settings.seed, "report", repeat)
        assigned = fold_numbers(measured["acc_1d"], groups, folds, seed)
        parts: dict[str, dict[str, Array]] = {
            target: {name: np.empty(len(groups)) for name in ("value", "uncertainty", "low", "high", "score")}
            for target in TARGETS
        }
        for fold in range(folds):
            seen, held_out = assigned != fold, assigned == fold
            model = fit_model(
                features[seen],
                {target: values[seen] for target, values in measured.items()},
                groups[seen],
                structural,
                replace(settings, seed=derive_seed(seed, "fold", fold)),
            )
            for target, prediction in model.predict(features[held_out]).items():
                for name, values in parts[target].items():
                    values[held_out] = getattr(prediction, name)
        repetitions.append({target: Prediction(**parts[target]) for target in TARGETS})
    return repetitions


def _frame(ids: Sequence[str], predictions: dict[str, Prediction]) -> pd.DataFrame:
    columns: dict[str, Any] = {"id": np.array(ids, dtype=object)}
    for target, prediction in predictions.items():
        columns[target] = prediction.value
        for name in ("uncertainty", "low", "high"):
            columns[f"{target}_{name}"] = getattr(prediction, name)
    columns["acc_1d_score"] = predictions["acc_1d"].score
    return pd.DataFrame({name: columns[name] for name in COLUMNS}).astype({"id": "str"})


@cache
def _packaged(space: str) -> XGBoostEvaluator | None:
    folder = resources.files("analognas.evaluators") / "packaged" / space
    # Surrogates travel as plain files of the installed package.
    return XGBoostEvaluator.load(str(folder)) if space and (folder / storage.SCHEMA).is_file() else None
