"""How well an evaluator predicts what it has not seen, and predictions as the frame that people get."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import pandas as pd

from analognas.evaluators.boosting import fold_numbers
from analognas.evaluators.columns import COLUMNS, COVERAGE, TARGETS
from analognas.evaluators.metrics import CONFIDENCE, Metrics, bootstrap_weights, summary
from analognas.evaluators.model import Prediction
from analognas.seeds import derive_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Mask = NDArray[np.bool_]

# Rows up to which the reported cross-validation is done twice: there the luck of the folds is large.
_REPEAT_BELOW = 50


class TargetReport(Metrics):
    """The metrics of one target, and what predicts it."""

    method: str


class ToldPrior(TypedDict):
    """The evaluator that another one started from: ids of what it was fitted for, and its architectures."""

    dataset: str
    hardware: str
    protocol: str
    architectures: int


class Report(TypedDict, total=False):
    """``Evaluator.report_``: metrics of out-of-fold predictions by target, and what they were computed from.

    Empty of an evaluator that was not cross-validated; one of somebody else's may have further keys.
    """

    rows: int
    left_out: int
    architectures: int
    folds: int
    repeats: int
    resamples: int
    confidence: float
    nominal_coverage: float
    targets: dict[str, TargetReport]
    prior: ToldPrior


def out_of_fold(
    predict: Callable[[Mask, Mask, int], Mapping[str, Prediction]],
    measured: Mapping[str, Array],
    groups: NDArray[np.int64],
    folds: int,
    seed: int,
) -> list[dict[str, Prediction]]:
    """Return predictions of every row by models that did not see it, once per repetition.

    Args:
        predict: a whole fit of its own, every choice included: called with the rows to learn from, the rows to
            predict and a seed.
        measured: n values of each target.
        groups: numbers of the architectures, (n,): rows of one are never in different folds.
        folds: of the cross-validation.
        seed: of the folds.
    """
    folds = min(folds, int(groups.max()) + 1)
    repetitions = []
    for repeat in range(2 if len(groups) < _REPEAT_BELOW else 1):
        own = derive_seed(seed, "report", repeat)
        assigned = fold_numbers(measured["acc_1d"], groups, folds, own)
        parts: dict[str, dict[str, Array]] = {
            target: {name: np.empty(len(groups)) for name in ("value", "uncertainty", "low", "high", "score")}
            for target in TARGETS
        }
        for fold in range(folds):
            held_out = assigned == fold
            for target, prediction in predict(~held_out, held_out, derive_seed(own, "fold", fold)).items():
                for name, values in parts[target].items():
                    values[held_out] = getattr(prediction, name)
        repetitions.append({target: Prediction(**parts[target]) for target in TARGETS})
    return repetitions


def metrics_report(
    ids: Sequence[str],
    measured: Mapping[str, Array],
    unseen: Sequence[Mapping[str, Prediction]],
    methods: Mapping[str, str],
    *,
    folds: int,
    bootstrap: int,
    seed: int,
    left_out: int,
) -> Report:
    """Return the metrics of out-of-fold predictions, each with its 95 % bootstrap interval over architectures.

    Args:
        ids: of the measured architectures, n.
        measured: n values of each target.
        unseen: of ``out_of_fold``.
        methods: what predicts each target.
        folds: that were asked for.
        bootstrap: resamples.
        seed: of the resamples.
        left_out: rows that could not be used.
    """
    weights, groups = bootstrap_weights(ids, bootstrap, seed)
    targets: dict[str, TargetReport] = {}
    for target in TARGETS:
        predictions = [
            {name: getattr(repetition[target], name) for name in ("score", "value", "low", "high")}
            for repetition in unseen
        ]
        targets[target] = {"method": methods[target], **summary(measured[target], predictions, weights, groups)}
    return {
        "rows": len(ids),
        "left_out": left_out,
        "architectures": len(set(ids)),
        "folds": min(folds, len(set(ids))),
        "repeats": len(unseen),
        "resamples": bootstrap,
        "confidence": CONFIDENCE,
        "nominal_coverage": COVERAGE,
        "targets": targets,
    }


def frame(ids: Sequence[str], predictions: Mapping[str, Prediction]) -> pd.DataFrame:
    """Return predictions as a frame with the columns ``COLUMNS``."""
    columns: dict[str, Any] = {"id": pd.array(list(ids), dtype="str")}
    for target, prediction in predictions.items():
        columns[target] = prediction.value
        for name in ("uncertainty", "low", "high"):
            columns[f"{target}_{name}"] = getattr(prediction, name)
    columns["acc_1d_score"] = predictions["acc_1d"].score
    return pd.DataFrame({name: columns[name] for name in COLUMNS})
