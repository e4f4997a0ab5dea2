"""Ensembles of unlike models: Gaussian processes, boosted trees and a random forest that learn the same components.

Each is wrong in its own way, so their mean ranks better than any of them: on AnalogNAS-Bench by 0.01 to 0.03 in
Kendall's tau (``python -m benchmarks.surrogate``). The Gaussian processes tell what is not known, and their
leave-one-out errors how wide an interval has to be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator
from xgboost import Booster

from analognas.errors import InputError, NotFittedError
from analognas.evaluators import storage
from analognas.evaluators.base import Context, Evaluator, usable_rows
from analognas.evaluators.columns import COVERAGE, LEAST_ROWS, TARGETS
from analognas.evaluators.evidence import Evidence
from analognas.evaluators.features import PROFILE, RARE, FeatureSchema
from analognas.evaluators.members import TREES, GaussianProcess, Trees
from analognas.evaluators.model import Prediction
from analognas.evaluators.reporting import Report, frame, metrics_report, out_of_fold
from analognas.evaluators.targets import Components, QuantileMap, measured_columns
from analognas.seeds import derive_seed, numpy_generator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analognas.hardware.tile_shape import TileSize
    from analognas.search_spaces.architecture import Architecture

    Array = NDArray[np.float64]


#: The kinds of members: Gaussian processes with one length scale or one per feature, and trees.
MEMBERS = ("gaussian_process", "gaussian_process_ard", *TREES)

# Standardised features beyond so many standard deviations are held there.
_FAR = 6.0
_LEAST_WIDTH = 1e-6


@dataclass(frozen=True)
class Standard:
    """Features as Gaussian processes see them: standardised, constant and rare ones left out.

    ``weights`` divide a group of features (counts of paths, all others) by the root of its size for the kernel that
    has one length scale.
    """

    columns: tuple[int, ...]
    mean: Array
    std: Array
    weights: Array

    @classmethod
    def fit(cls, schema: FeatureSchema, features: Array) -> Standard:
        """Return what standardises ``features`` (n, f)."""
        rare, profile = set(schema.indices(RARE)), set(schema.indices(PROFILE))
        std = features.std(axis=0)
        varied = std > 1e-6 * (1 + np.abs(features.mean(axis=0)))
        columns = [i for i in range(features.shape[1]) if varied[i] and i not in rare]
        columns = columns or [0]
        groups = np.array([i in profile for i in columns])
        sizes = np.where(groups, max(groups.sum(), 1), max((~groups).sum(), 1))
        scale = np.where(varied, std, 1.0)[columns]
        return cls(tuple(columns), features.mean(axis=0)[columns], scale, 1 / np.sqrt(sizes))

    def __call__(self, features: Array, ard: bool) -> Array:
        """Return the features (t, columns) for a kernel."""
        standardized = np.clip((features[:, list(self.columns)] - self.mean) / self.std, -_FAR, _FAR)
        return standardized if ard else standardized * self.weights


@dataclass(frozen=True)
class Fitted:
    """Everything that was learned; ``factors`` are the half widths of the targets' intervals, see ``_factors``."""

    components: Components
    standard: Standard
    processes: Mapping[str, GaussianProcess]
    trees: Mapping[str, Trees]
    factors: Array

    @classmethod
    def fit(
        cls,
        schema: FeatureSchema,
        features: Array,
        columns: Mapping[str, Array],
        members: Sequence[str],
        count: int,
        seed: int,
    ) -> Fitted:
        """Return the models for features (n, f) and ``measured_columns``."""
        components, values, scores = Components.fit(columns, count)
        standard = Standard.fit(schema, features)
        processes: dict[str, GaussianProcess] = {}
        trees: dict[str, Trees] = {}
        for name in members:
            if name in TREES:
                trees[name] = Trees.fit(features, values, name, derive_seed(seed, name))
            else:
                ard = name.endswith("ard")
                rng = numpy_generator(seed, name)
                processes[name] = GaussianProcess.fit(standard(features, ard), values, ard, rng)
        made = cls(components, standard, processes, trees, np.ones(len(TARGETS)))
        return replace(made, factors=_factors(components, scores, made.calibrated))

    @property
    def calibrated(self) -> GaussianProcess:
        """Return the process of the intervals: with many hyperparameters, leave-one-out errors are not honest."""
        return min(self.processes.values(), key=lambda process: process.thetas[0].size)

    def predict(self, features: Array) -> dict[str, Prediction]:
        """Return the predictions by target for features (t, f)."""
        loadings = self.components.loadings
        means, variances = [], []
        for name, process in self.processes.items():
            mean, variance = process.predict(self.standard(features, name.endswith("ard")))
            means.append(_weighted(mean, loadings))
            variances.append(_weighted(variance, loadings**2))
            if process is self.calibrated:
                spread = np.sqrt(variances[-1] + _weighted(process.noise[None], loadings**2) + self.components.rest)
        means += [_weighted(model.predict(features), loadings) for model in self.trees.values()]
        mean = np.mean(means, axis=0)
        known = np.mean(variances, axis=0)
        uncertainty = np.sqrt(known + np.var(means, axis=0))
        half = np.maximum(self.factors * spread, _LEAST_WIDTH)
        return {
            target: _prediction(to_unit, mean[:, place], uncertainty[:, place], half[:, place])
            for place, (target, to_unit) in enumerate(zip(TARGETS, self.components.maps, strict=True))
        }


class EnsembleEvaluator(BaseEstimator, Evaluator):  # type: ignore[misc]  # scikit-learn ships no types
    """Predicts ``acc_1d``, ``avm`` and ``acc_1d_std`` with the mean of unlike models.

    Every accuracy in the results helps to learn all targets (``targets.Components``). It is a scikit-learn
    estimator, everything random follows from ``seed``, and a fit takes seconds: about 2 for 100 architectures, 15 for
    500, as much again for each fold of the report.

    Args:
        members: of ``MEMBERS``; at least one Gaussian process.
        components: that are learned, at most.
        folds: of the cross-validation behind ``report_``.
        bootstrap: resamples behind its intervals.
        tile_size: rows and columns of a tile of the hardware, one number or both, for the features.
        seed: of everything that is drawn.
        report: whether to cross-validate; without it ``report_`` is empty, and a fit takes a sixth of the time.

    Attributes:
        context_, report_, out_of_fold_: as those of ``XGBoostEvaluator``.
        schema_, model_: features and models.
    """

    kind: ClassVar[str] = "analognas evaluator: ensemble"

    def __init__(
        self,
        members: Sequence[str] = MEMBERS,
        *,
        components: int = 5,
        folds: int = 5,
        bootstrap: int = 1000,
        tile_size: TileSize = 256,
        seed: int = 0,
        report: bool = True,
    ) -> None:
        self.members = members
        self.components = components
        self.folds = folds
        self.bootstrap = bootstrap
        self.tile_size = tile_size
        self.seed = seed
        self.report = report

    def fit(self, architectures: Sequence[Architecture], results: pd.DataFrame) -> Self:
        """Learn from measured architectures and return self; see ``Evaluator.fit``. At least 8 are needed."""
        self._check()
        chosen, rows = usable_rows(architectures, results, LEAST_ROWS)
        schema = FeatureSchema.learn(chosen, self.tile_size)
        context = Context.of(schema.space, rows)
        features = schema.transform(chosen).astype(np.float64)
        columns = measured_columns(rows)
        ids = [architecture.id for architecture in chosen]
        _, groups = np.unique(ids, return_inverse=True)

        def learn(seen: NDArray[np.bool_], seed: int) -> Fitted:
            own = {name: values[seen] for name, values in columns.items()}
            return Fitted.fit(schema, features[seen], own, self.members, self.components, seed)

        model = learn(np.ones(len(ids), dtype=bool), derive_seed(self.seed, "fit"))
        self.schema_, self.context_, self.model_ = schema, context, model
        self.report_: Report = {}
        self.evidence_ = None
        if self.report:
            measured = {target: columns[target] for target in TARGETS}
            unseen = out_of_fold(
                lambda seen, held_out, seed: learn(seen, seed).predict(features[held_out]),
                measured, groups, self.folds, self.seed,
            )  # fmt: skip
            self.out_of_fold_ = frame(ids, unseen[0]).assign(
                **{f"{target}_measured": values for target, values in measured.items()}
            )
            self.evidence_ = Evidence.of(chosen, rows, self.out_of_fold_)
            self.report_ = metrics_report(
                ids, measured, unseen, dict.fromkeys(TARGETS, " + ".join(self.members)),
                folds=self.folds, bootstrap=self.bootstrap, seed=self.seed, left_out=len(results) - len(chosen),
            )  # fmt: skip
        return self

    def predict(self, architectures: Sequence[Architecture]) -> pd.DataFrame:
        """Return one row per architecture, in order, with the columns ``COLUMNS``; see ``Evaluator.predict``."""
        self._require_fit("call fit(architectures, results) first")
        features = self.schema_.transform(architectures).astype(np.float64)
        if not len(features):
            nothing = np.zeros(0)
            empty = Prediction(nothing, nothing, nothing, nothing, nothing)
            return frame([], dict.fromkeys(TARGETS, empty))
        return frame([architecture.id for architecture in architectures], self.model_.predict(features))

    def save(self, path: Path | str) -> None:
        """Write the evaluator to a directory: ``schema.json``, XGBoost's UBJ models, arrays. No pickle."""
        self._require_fit("an evaluator that was not fitted cannot be saved, call fit first")
        model = self.model_
        contents = {"standard.npy": storage.array_bytes(_table(model.standard))}
        for name, process in model.processes.items():
            contents[f"{name}/features.npy"] = storage.array_bytes(process.features)
            contents[f"{name}/values.npy"] = storage.array_bytes(process.values)
            contents[f"{name}/thetas.npy"] = storage.array_bytes(np.array(process.thetas))
        for name, trees in model.trees.items():
            for place, booster in enumerate(trees.boosters):
                contents[f"{name}/{place}.ubj"] = bytes(booster.save_raw("ubj"))
        schema = {
            "context": asdict(self.context_),
            "params": storage.plain(self.get_params())
            | {"members": list(self.members), "tile_size": self.schema_.tile_size.plain()},
            "features": self.schema_.to_dict(),
            "components": {
                "loadings": model.components.loadings.tolist(),
                "rest": model.components.rest.tolist(),
                "maps": [quantile_map.to_dict() for quantile_map in model.components.maps],
            },
            "columns": list(model.standard.columns),
            "factors": model.factors.tolist(),
            "report": self.report_,
        }
        contents |= storage.evidence_file(self.evidence_)
        storage.write(Path(path), self.kind, schema, contents)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Return the evaluator of a directory; it predicts exactly what the saved one did.

        Raises:
            CorruptFileError: if a file is missing, damaged or of something else.
        """
        folder = Path(path)
        schema, contents = storage.read(folder, cls.kind)

        def array(name: str) -> Array:
            return np.asarray(storage.array(folder / name, contents[name]), dtype=np.float64)

        with storage.described(folder):
            params = dict(schema["params"])
            evaluator = cls(**params)
            evaluator.context_ = Context(**schema["context"])
            evidence = evaluator.evidence_ = storage.evidence_of(contents)
            evaluator.schema_ = FeatureSchema.from_dict(
                schema["features"], None if evidence is None else evidence.space
            )
            evaluator.report_ = schema["report"]
            stored = schema["components"]
            loadings = np.array(stored["loadings"])
            processes, trees = {}, {}
            for name in params["members"]:
                if name in TREES:
                    boosters = [Booster({"nthread": 1}) for _ in loadings]
                    for place, booster in enumerate(boosters):
                        booster.load_model(bytearray(contents[f"{name}/{place}.ubj"]))
                    trees[name] = Trees(tuple(boosters))
                else:
                    parts = (array(f"{name}/{part}.npy") for part in ("features", "values", "thetas"))
                    inputs, values, thetas = parts
                    processes[name] = GaussianProcess.of(inputs, values, name.endswith("ard"), list(thetas))
            mean, std, weights = array("standard.npy")
            maps = tuple(QuantileMap.from_dict(quantile_map) for quantile_map in stored["maps"])
            evaluator.model_ = Fitted(
                Components(loadings, np.array(stored["rest"]), maps),
                Standard(tuple(schema["columns"]), mean, std, weights),
                processes,
                trees,
                np.array(schema["factors"]),
            )
        return evaluator

    def _check(self) -> None:
        unknown = [name for name in self.members if name not in MEMBERS]
        if unknown:
            raise InputError(f"The member {unknown[0]!r} is unknown: use some of {', '.join(MEMBERS)}.")
        if not any(name.startswith("gaussian") for name in self.members):
            raise InputError(
                "An ensemble needs a Gaussian process for its uncertainty: add gaussian_process to members."
            )
        if self.components < 1 or self.bootstrap < 1 or self.folds < 2:
            raise InputError("components and bootstrap must be 1 or more, and folds 2 or more.")

    def _require_fit(self, remedy: str) -> None:
        if not hasattr(self, "model_"):
            raise NotFittedError(f"This {type(self).__name__} was not fitted: {remedy}.")


class GaussianProcessEvaluator(EnsembleEvaluator):
    """The Gaussian processes of the ensemble alone: a little worse in rank, faster, smooth in every feature.

    Arguments and attributes: ``EnsembleEvaluator``.
    """

    kind: ClassVar[str] = "analognas evaluator: gaussian_process"

    def __init__(
        self,
        members: Sequence[str] = MEMBERS[:2],
        *,
        components: int = 5,
        folds: int = 5,
        bootstrap: int = 1000,
        tile_size: TileSize = 256,
        seed: int = 0,
        report: bool = True,
    ) -> None:
        super().__init__(
            members,
            components=components,
            folds=folds,
            bootstrap=bootstrap,
            tile_size=tile_size,
            seed=seed,
            report=report,
        )


def _prediction(to_unit: QuantileMap, mean: Array, uncertainty: Array, half: Array) -> Prediction:
    value = to_unit(mean)
    return Prediction(
        value=value,
        uncertainty=(to_unit(mean + uncertainty) - to_unit(mean - uncertainty)) / 2,
        low=np.minimum(to_unit(mean - half), value),
        high=np.maximum(to_unit(mean + half), value),
        score=mean,
    )


def _weighted(values: Array, loadings: Array) -> Array:
    """Return components (t, c) as targets (t, targets)."""
    # Not `@`: the order of BLAS's sums depends on the number of rows.
    return np.asarray(sum(values[:, [place]] * row[None] for place, row in enumerate(loadings)))


def _factors(components: Components, scores: Array, process: GaussianProcess) -> Array:
    """Return how many standard deviations of a process the interval of each target has on each side.

    So many that the nominal share of the measured rows, each predicted by the others, lies within (a quantile of
    normalised scores: Lei et al., JASA 113, 2018; without the correction for few rows, because the ensemble errs less
    than the process alone).
    """
    mean, variance = process.leave_one_out()
    error = np.abs(scores - _weighted(mean, components.loadings))
    spread = np.sqrt(_weighted(variance, components.loadings**2) + components.rest)
    return np.asarray(np.quantile(error / np.maximum(spread, _LEAST_WIDTH), COVERAGE, axis=0))


def _table(standard: Standard) -> Array:
    return np.stack([standard.mean, standard.std, standard.weights])
