"""Rows of results: the table that stages pass on, and which of its rows are used for what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from analognas.errors import CorruptFileError
from analognas.files import read_parquet
from analognas.tables import CHARACTERIZED, OUT_OF_FOLD
from analognas.training.columns import measured_columns

if TYPE_CHECKING:
    import pandas as pd

    from analognas.workspace import Paths

_REMEDY = "run `analognas stage characterize`"


def table(rows: Iterable[Mapping[str, Any]], times: Iterable[float]) -> pd.DataFrame:
    """Return result rows as a frame with fixed columns and types; missing measurements are NaN."""
    import pandas as pd

    measured = measured_columns(times)
    text = ("id", "space", "dataset", "hardware", "protocol", "role", "decision", "genes", "status", "reason")
    whole = ("round", "params", "tiles", "repeats")
    frame = pd.DataFrame(list(rows), columns=[*text, *whole, *measured])
    types = dict.fromkeys(text, "str") | dict.fromkeys(whole, "int64")
    return frame.astype(types | dict.fromkeys(measured, "float64"))


def read_table(paths: Paths, context: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Return ``data/surrogate.parquet``.

    Args:
        paths: of the workspace.
        context: ids of dataset, hardware and protocol that all rows have to have, see ``identity.context``; None: any.

    Raises:
        CorruptFileError: if it is missing or damaged, or its rows are no results of this workspace.
    """
    return CHARACTERIZED.with_values(context or {}).check(
        read_parquet(paths.surrogate, remedy=_REMEDY), str(paths.surrogate), remedy=_REMEDY
    )


def read_out_of_fold(paths: Paths) -> pd.DataFrame:
    """Return ``data/plots/fit.csv``: what was predicted of the architectures that the evaluator has learned from.

    Raises:
        CorruptFileError: if it is missing or damaged.
    """
    import pandas as pd

    path, remedy = paths.plot("fit.csv"), "run `analognas stage fit`"
    try:
        frame = pd.read_csv(path, dtype={"id": "str"})
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise CorruptFileError(f"{path} is damaged or missing ({type(error).__name__}): {remedy}.") from None
    return OUT_OF_FOLD.check(frame, str(path), remedy=remedy)


def usable(results: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that were measured."""
    return results[results["status"] == "ok"]


def learnable(results: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that an evaluator may learn from: sample and accepted rounds, nothing else."""
    learned = results["role"].isin(["sample", "round"]) & (results["decision"] == "accepted")
    return results[learned].reset_index(drop=True)
