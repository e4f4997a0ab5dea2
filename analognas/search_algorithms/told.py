"""What a search is told: objective values, or a frame of predicted or measured values, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

from analognas.columns import Column, shuffled
from analognas.errors import SearchError
from analognas.search_algorithms.records import TableRow
from analognas.tables import TOLD

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analognas.search_algorithms.constraints import Constraints, Objective
    from analognas.search_spaces.architecture import Architecture

#: Objective values, or a frame of predicted or measured values.
Values: TypeAlias = "Sequence[float | None] | NDArray[np.float64] | pd.Series[float] | pd.DataFrame"

_OBJECTIVE = Column("objective", missing=True)
_REMEDY = "give one row for each architecture, in their order, in percent and percentage points, NaN for a failed one"


@dataclass(frozen=True)
class Judged:
    """What follows from what was told, of each architecture in order.

    Attributes:
        objective: higher is better.
        violation: by how much it breaks the limits, all together; infinite: it failed.
        rows: the values it was told with, by name; empty if these are objective values alone.
    """

    objective: list[float]
    violation: list[float]
    rows: Sequence[Mapping[str, Any]]


def judged(
    architectures: Sequence[Architecture],
    values: Values,
    objective: Objective,
    constraints: Constraints,
    limits: Constraints,
    *,
    looked_at: bool = False,
) -> Judged:
    """Return what follows from values.

    Args:
        architectures: n of them.
        values: n objective values, or a frame of n rows.
        objective: what is made of a frame.
        constraints: the limits that were set.
        limits: the same, resolved for the space.
        looked_at: whether the values are a table of predictions that was found right.

    Raises:
        SearchError: if an architecture is there twice, a column is missing or holds what it cannot, the ids differ, or
            a limit needs a frame and only objective values are given.
    """
    ids = [architecture.id for architecture in architectures]
    if len(set(ids)) < len(ids):
        twice = next(name for row, name in enumerate(ids) if name in ids[:row])
        raise SearchError(f"architecture {twice} is told twice in one call: tell one value for each, their mean.")
    if isinstance(values, pd.DataFrame):
        needed = ["acc_1d", "acc_1d_std"] + (["avm"] if limits.T_AVM is not None else [])
        if missing := [name for name in needed if name not in values]:
            raise SearchError(f"the values have no column {missing[0]}: a search needs {', '.join(needed)}.")
        if not looked_at:
            TOLD.check(values, "what was told", remedy=_REMEDY, error=SearchError, ids=ids)
        table = values.reset_index(drop=True)
        value = objective(table)
        violation = limits.violations(architectures, table).sum(axis=1)
        rows: Sequence[Mapping[str, Any]] = [TableRow(table, number) for number in range(len(table))]
    else:
        for name in ("T_AVM", "min_acc_1d"):
            if getattr(constraints, name) is not None:
                raise SearchError(
                    f"{name} cannot be held with objective values alone: tell a frame with acc_1d, acc_1d_std, avm."
                )
        value = _objectives(values, ids)
        violation = limits.violations(architectures, None).sum(axis=1)
        rows = [{} for _ in architectures]
    violation = np.where(np.isfinite(value) & np.isfinite(violation), violation, np.inf)
    return Judged(value.tolist(), violation.tolist(), rows)


def _objectives(values: Values, ids: Sequence[str]) -> NDArray[np.float64]:
    """Return objective values as floats, NaN for those that are missing."""
    if isinstance(values, pd.Series) and (problem := shuffled(values.index, ids)):
        raise SearchError(f"the values are not those of the architectures, in their order ({problem}): give them so.")
    for row, value in enumerate(values):
        if not isinstance(value, float) and (problem := _OBJECTIVE.wrong(value)):
            raise SearchError(f"tell got values that are no numbers (row {row} {problem}): give one number each.")
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)
