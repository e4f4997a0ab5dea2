"""MLflow metrics from the files that the stages wrote; loaded only when there is something to log."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd
from mlflow.entities import Metric

if TYPE_CHECKING:
    from analognas.workspace import Paths


#: Figures of each stage that the run of a whole pipeline shows: MLflow draws a chart of every one. The runs of the
#: stages have them all.
_HEADLINES: dict[str, tuple[str, ...]] = {
    "sample": ("architectures",),
    "characterize": ("acc_1d_max", "acc_1d_median", "avm_median"),
    "fit": ("targets.acc_1d.kendall_tau.value", "targets.acc_1d.coverage.value"),
    "search": ("predicted_acc_1d", "predicted_avm"),
    "train": (
        *(f"winner.{name}" for name in ("acc_digital", "acc_1d", "acc_30d", "avm", "params", "tiles")),
        *(f"baseline.{name}" for name in ("acc_1d", "acc_30d", "avm", "params")),
        *(f"known.mlperf_tiny.figures.{name}" for name in ("acc_1d", "acc_30d", "avm")),
        *(f"difference.acc_1d.{name}" for name in ("value", "low", "high")),
    ),
}


def headlines(stage: str, values: Mapping[str, Any]) -> list[Metric]:
    """Return the numbers of a stage's metrics file that the run of the whole pipeline shows, ``STAGE.`` before each."""
    shown = {f"{stage}.{name}" for name in _HEADLINES[stage]}
    return [metric for metric in flat_metrics(values, f"{stage}.") if metric.key in shown]


def flat_metrics(values: Mapping[str, Any], prefix: str = "") -> list[Metric]:
    """Return the numbers of a metrics file, nested names joined with dots."""
    metrics = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            metrics += flat_metrics(value, f"{prefix}{key}.")
        elif isinstance(value, int | float):
            metrics.append(_metric(prefix + key, value))
    return metrics


def curves(paths: Paths, stage: str) -> list[Metric]:
    """Return curves as metric steps: accuracy by seconds since programming, best objective by evaluations."""
    table = paths.plot(f"{stage}.csv")
    if stage not in ("search", "train") or not table.is_file():
        return []
    frame = pd.read_csv(table)
    if stage == "train":
        return [
            _metric(f"drift.{_key(row['network'])}.{name}", row[name], round(row["seconds"]))
            for row in frame.to_dict(orient="records")
            for name in ("accuracy", "std")
        ]
    best = frame.dropna(subset=["best"]).sort_values(["search", "evaluation"])
    best = best[best.groupby("search")["best"].diff() != 0]  # only where it got better
    return [
        _metric(f"best.{_key(row['search'])}", row["best"], int(row["evaluation"]))
        for row in best.to_dict(orient="records")
    ]


def _metric(key: str, value: float, step: int = 0) -> Metric:
    return Metric(key, float(value), int(time.time() * 1000), step)


def _key(name: Any) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in str(name))
