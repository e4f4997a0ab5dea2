"""MLflow metrics from the files that the stages wrote; loaded only when there is something to log."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd
from mlflow.entities import Metric

if TYPE_CHECKING:
    from analognas.workspace import Paths


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
