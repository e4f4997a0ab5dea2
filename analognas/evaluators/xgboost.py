"""The XGBoost evaluator: what a characterization would measure, learned from a few dozen that were made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator

from analognas.errors import InputError, NotFittedError
from analognas.evaluators import storage
from analognas.evaluators.base import Context, Evaluator, usable_rows
from analognas.evaluators.boosting import Boosting
from analognas.evaluators.columns import LEAST_ROWS, TARGETS
from analognas.evaluators.contributions import Contributions, contributions
from analognas.evaluators.evidence import Evidence
from analognas.evaluators.features import FeatureSchema
from analognas.evaluators.model import Model, Settings, fit_model
from analognas.evaluators.reporting import Report, frame, metrics_report, out_of_fold
from analognas.seeds import derive_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analognas.hardware.tile_shape import TileSize
    from analognas.search_spaces.architecture import Architecture

    Array = NDArray[np.float64]
    Features = NDArray[np.float32]


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
        tile_size: rows and columns of a tile of the hardware, one number or both, for the features.
        seed: of folds, trees and resamples.
        rounds: trees of a member; None: by the number of rows, see ``Boosting.for_rows``.
        max_depth: of the trees; None: likewise.
        learning_rate: of the boosting; None: likewise.
        report: whether to cross-validate; without it ``report_`` is empty, and a fit takes a sixth of the time.

    Attributes:
        context_: what it was fitted for.
        report_: out-of-fold Kendall tau, Spearman, RMSE (percentage points) and coverage of the 90 % interval
            for each target, each with a 95 % bootstrap interval over architectures; the method chosen. What
            is chosen is chosen again in every fold from its own rows, so the figures are not optimistic.
        out_of_fold_: the predictions behind it beside ``<target>_measured``, one row per measured architecture
            (not stored by ``save``).
        evidence_: what was measured, for ``assess``; None with ``report=False``.
        schema_, model_: features and models.
    """

    def __init__(
        self,
        method: str = "auto",
        *,
        folds: int = 5,
        bootstrap: int = 1000,
        tile_size: TileSize = 256,
        seed: int = 0,
        rounds: int | None = None,
        max_depth: int | None = None,
        learning_rate: float | None = None,
        report: bool = True,
    ) -> None:
        self.method = method
        self.folds = folds
        self.bootstrap = bootstrap
        self.tile_size = tile_size
        self.seed = seed
        self.rounds = rounds
        self.max_depth = max_depth
        self.learning_rate = learning_rate
        self.report = report

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

        def learn(rows: NDArray[np.bool_], seed: int) -> Model:
            chosen_rows = {target: values[rows] for target, values in measured.items()}
            return fit_model(features[rows], chosen_rows, groups[rows], structural, replace(settings, seed=seed))

        model = fit_model(features, measured, groups, structural, replace(settings, seed=derive_seed(self.seed, "fit")))

        self.schema_ = schema
        self.context_ = context
        self.model_ = model
        self.report_: Report = {}
        self.evidence_ = None
        if not self.report:
            return self
        unseen = out_of_fold(
            lambda rows, held_out, seed: learn(rows, seed).predict(features[held_out]),
            measured, groups, settings.folds, settings.seed,
        )  # fmt: skip
        self.out_of_fold_ = frame(ids, unseen[0]).assign(
            **{f"{target}_measured": measured[target] for target in TARGETS}
        )
        methods = {target: model.targets[target].method for target in TARGETS}
        self.evidence_ = Evidence.of(chosen, rows, self.out_of_fold_)
        self.report_ = metrics_report(
            ids, measured, unseen, methods,
            folds=self.folds, bootstrap=self.bootstrap, seed=self.seed, left_out=len(results) - len(chosen),
        )  # fmt: skip
        return self

    def predict(self, architectures: Sequence[Architecture]) -> pd.DataFrame:
        """Return one row per architecture, in order, with the columns ``COLUMNS``; see ``Evaluator.predict``."""
        fitted = self._fitted(architectures[0].space.name if len(architectures) else "")
        features = fitted.schema_.transform(architectures)
        return frame([architecture.id for architecture in architectures], fitted.model_.predict(features))

    def explain(
        self, architectures: Sequence[Architecture], targets: Sequence[str] = TARGETS
    ) -> dict[str, Contributions]:
        """Return what each feature (``feature_names``) contributes to the predictions, by target: Shapley values.

        Args:
            architectures: of one space, at least one.
            targets: of them.

        Raises:
            NotFittedError: if it was not fitted, and none is packaged for the space.
            MismatchError: if an architecture is of another space.
        """
        fitted = self._fitted(architectures[0].space.name)
        return contributions(fitted.model_, fitted.schema_.transform(architectures), targets)

    def feature_names(self, space: str = "") -> tuple[str, ...]:
        """Return the names of the features in order; of a packaged evaluator those of a space."""
        return self._fitted(space).schema_.names

    def save(self, path: Path | str) -> None:
        """Write the evaluator to a directory: ``schema.json``, XGBoost's UBJ models, ``anchors.npy``."""
        if not hasattr(self, "model_"):
            raise NotFittedError("An evaluator that was not fitted cannot be saved: call fit first.")
        storage.save(
            Path(path),
            storage.Stored(
                self.get_params() | {"tile_size": self.schema_.tile_size.plain()},
                self.context_,
                self.schema_,
                self.model_,
                self.report_,
                self.evidence_,
            ),
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
        evaluator.evidence_ = stored.evidence
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


@cache
def _packaged(space: str) -> XGBoostEvaluator | None:
    folder = resources.files("analognas.evaluators") / "packaged" / space
    # Surrogates travel as plain files of the installed package.
    return XGBoostEvaluator.load(str(folder)) if space and (folder / storage.SCHEMA).is_file() else None
