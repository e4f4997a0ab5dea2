"""The XGBoost evaluator: what a characterization would measure, learned from a few dozen that were made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

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
from analognas.evaluators.model import Model, Prediction, Settings, fit_model
from analognas.evaluators.prior import NAMES, PACKAGED, Prior, packaged_folder
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
        prior: folder of an evaluator (``save``) of the same space that was fitted for another chip, protocol or data,
            or "packaged": what it predicts are features, and a trend on them is what trees start from, so that fewer
            architectures have to be measured. None: start from nothing.

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
        prior: Path | str | None = None,
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
        self.prior = prior

    def fit(self, architectures: Sequence[Architecture], results: pd.DataFrame) -> Self:
        """Learn from measured architectures and return self; see ``Evaluator.fit``. At least 8 are needed."""
        chosen, rows = usable_rows(architectures, results, LEAST_ROWS)
        settings = self._settings(len(chosen))
        schema = FeatureSchema.learn(chosen, self.tile_size)
        context = Context.of(schema.space, rows)
        prior = None if self.prior is None else Prior(read_prior(self.prior, schema.space))
        features, seen_before = _seen(schema, prior, chosen)
        measured = {target: rows[target].to_numpy() for target in TARGETS}
        ids = [architecture.id for architecture in chosen]
        _, groups = np.unique(ids, return_inverse=True)
        structural = schema.structural
        from_prior = range(len(schema.names), features.shape[1])

        def learn(rows: NDArray[np.bool_], seed: int) -> Model:
            return fit_model(
                features[rows], {target: values[rows] for target, values in measured.items()}, groups[rows], structural,
                replace(settings, seed=seed), from_prior, None if seen_before is None else seen_before[rows],
            )  # fmt: skip

        model = learn(np.ones(len(ids), dtype=bool), derive_seed(self.seed, "fit"))

        self.schema_ = schema
        self.prior_ = prior
        self.context_ = context
        self.model_ = model
        self.report_: Report = {}
        self.evidence_ = None
        if not self.report:
            return self
        unseen = out_of_fold(
            lambda rows, held_out, seed: learn(rows, seed).predict(
                features[held_out], None if seen_before is None else seen_before[held_out]
            ),
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
        if prior is not None:
            self.report_["prior"] = prior.told
        return self

    def predict(self, architectures: Sequence[Architecture]) -> pd.DataFrame:
        """Return one row per architecture, in order, with the columns ``COLUMNS``; see ``Evaluator.predict``."""
        fitted = self._fitted(architectures[0].space.name if len(architectures) else "")
        predictions = fitted.model_.predict(*_seen(fitted.schema_, fitted.prior_, architectures))
        return frame([architecture.id for architecture in architectures], predictions)

    def look(self, architectures: Sequence[Architecture]) -> tuple[dict[str, Prediction], Array]:
        """Return the predictions by target, and how far the architectures are from what was measured, 0 to 1, (n,).

        Raises what ``predict`` raises.
        """
        fitted = self._fitted(architectures[0].space.name if len(architectures) else "")
        return fitted.model_.look(*_seen(fitted.schema_, fitted.prior_, architectures))

    def features(self, architectures: Sequence[Architecture]) -> Features:
        """Return what it sees, (n, f), in the order of ``feature_names``; raises what ``predict`` raises."""
        fitted = self._fitted(architectures[0].space.name if len(architectures) else "")
        return _seen(fitted.schema_, fitted.prior_, architectures)[0]

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
        return contributions(fitted.model_, self.features(architectures), targets)

    def feature_names(self, space: str = "") -> tuple[str, ...]:
        """Return the names of the features in order; of a packaged evaluator those of a space."""
        fitted = self._fitted(space)
        return (*fitted.schema_.names, *(() if fitted.prior_ is None else NAMES))

    def save(self, path: Path | str) -> None:
        """Write the evaluator to a directory: ``schema.json``, XGBoost's UBJ models, ``anchors.npy``."""
        if not hasattr(self, "model_"):
            raise NotFittedError("An evaluator that was not fitted cannot be saved: call fit first.")
        storage.save(Path(path), self._stored())

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Return the evaluator of a directory; it predicts exactly what the saved one did.

        Raises:
            CorruptFileError: if a file is missing, damaged or of something else.
        """
        return cls._of(storage.load(Path(path)), Path(path))

    @classmethod
    def _of(cls, stored: storage.Stored, path: Path) -> Self:
        evaluator = cls(**stored.params)
        evaluator.context_ = stored.context
        evaluator.schema_ = stored.schema
        evaluator.model_ = stored.model
        evaluator.report_ = stored.report
        evaluator.evidence_ = stored.evidence
        evaluator.prior_ = None
        if stored.prior is not None:
            evaluator.prior = path / storage.PRIOR  # the copy, wherever the original is by now
            evaluator.prior_ = Prior(XGBoostEvaluator._of(stored.prior, evaluator.prior))
        return evaluator

    def _stored(self) -> storage.Stored:
        params = self.get_params() | {"tile_size": self.schema_.tile_size.plain()}
        del params["prior"]  # it is stored itself
        return storage.Stored(
            params,
            self.context_,
            self.schema_,
            self.model_,
            self.report_,
            self.evidence_,
            None if self.prior_ is None else cast("XGBoostEvaluator", self.prior_.evaluator)._stored(),
        )

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
        carried = packaged(space)
        if carried is None:
            of_space = f" and none is packaged for the space {space!r}" if space else ""
            raise NotFittedError(
                f"This evaluator was not fitted{of_space}: call fit(architectures, results) with measured "
                "architectures, or load one with XGBoostEvaluator.load(path)."
            )
        return carried

    def _settings(self, rows: int) -> Settings:
        if self.bootstrap < 1:
            raise InputError(f"bootstrap is {self.bootstrap}: give the number of resamples, 1 or more.")
        boosting = Boosting.for_rows(rows)
        given = {name: getattr(self, name) for name in ("rounds", "max_depth", "learning_rate")}
        boosting = replace(boosting, **{name: value for name, value in given.items() if value is not None})
        return Settings(self.method, self.folds, boosting, self.seed)


def _seen(
    schema: FeatureSchema, prior: Prior | None, architectures: Sequence[Architecture]
) -> tuple[Features, Array | None]:
    """Return the features of architectures, (n, f), and how far they are from what the prior has seen, (n,)."""
    own = schema.transform(architectures)
    if prior is None:
        return own, None
    predicted, novelty = prior.look(architectures)
    return np.column_stack([own, predicted]), novelty


def read_prior(where: Path | str, space: str) -> XGBoostEvaluator:
    """Return the evaluator of a folder, or the packaged one of a space.

    Raises:
        CorruptFileError: if the folder holds none, or it is damaged.
        InputError: if none is packaged.
        MismatchError: if it is of another space.
    """
    if str(where) != PACKAGED:
        evaluator = XGBoostEvaluator.load(where)
    else:
        carried = packaged(space)
        if carried is None:
            raise InputError(f"No evaluator is packaged for the space {space!r}: name the folder of one as prior.")
        evaluator = carried
    evaluator.check(space=space)
    return evaluator


@cache
def packaged(space: str) -> XGBoostEvaluator | None:
    """Return the surrogate that the library carries for a space, None if there is none."""
    folder = packaged_folder() / space
    # Surrogates travel as plain files of the installed package.
    return XGBoostEvaluator.load(folder) if space and (folder / storage.SCHEMA).is_file() else None
