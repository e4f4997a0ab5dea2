"""Rows of results: the table that stages pass on, and which of its rows are used for what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from analognas.training.columns import measured_columns

if TYPE_CHECKING:
    import pandas as pd


def table(rows: Iterable[Mapping[str, Any]], times: Iterable[float]) -> pd.DataFrame:
    """Return result rows as a frame with fixed columns and types; missing measurements are NaN."""
    import pandas as pd

    measured = measured_columns(times)
    text = ("id", "space", "dataset", "hardware", "protocol", "role", "decision", "genes", "status", "reason")
    whole = ("round", "params", "tiles", "repeats")
    frame = pd.DataFrame(list(rows), columns=[*text, *whole, *measured])
    types = dict.fromkeys(text, "str") | dict.fromkeys(whole, "int64")
    return frame.astype(types | dict.fromkeys(measured, "float64"))


def usable(results: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that were measured."""
    return results[results["status"] == "ok"]


def learnable(results: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that an evaluator may learn from: sample and accepted rounds, nothing else."""
    learned = results["role"].isin(["sample", "round"]) & (results["decision"] == "accepted")
    return results[learned].reset_index(drop=True)
