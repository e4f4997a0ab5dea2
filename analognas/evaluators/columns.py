"""What evaluators predict: names, units and limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

#: What is predicted: accuracy after one day (percent), accuracy variation of one month (percentage points,
#: positive is a loss) and the standard deviation of the accuracy after one day (percentage points).
TARGETS = ("acc_1d", "avm", "acc_1d_std")

#: Values that are possible, in the targets' units.
LIMITS: dict[str, tuple[float, float]] = {
    "acc_1d": (0.0, 100.0),
    "avm": (-100.0, 100.0),
    "acc_1d_std": (0.0, 100.0),
}

#: Measured architectures that the evaluators of the library need at least.
LEAST_ROWS = 8
#: Share of new measurements that the interval from ``<target>_low`` to ``<target>_high`` is made to hold.
COVERAGE = 0.9

#: The columns of a prediction, in order.
COLUMNS = (
    "id",
    *TARGETS,
    *(f"{target}_{suffix}" for target in TARGETS for suffix in ("uncertainty", "low", "high")),
    "acc_1d_score",
)


def problem_of(table: pd.DataFrame, ids: Sequence[str]) -> str | None:
    """Return what is wrong with a table of predictions or measurements, as the end of a sentence; None if nothing is.

    Args:
        table: one row for each architecture; columns that are missing are not looked at, and NaN is no value.
        ids: of the architectures, in the order of the rows.
    """
    if len(table) != len(ids):
        return f"there are {len(ids)} architectures and {len(table)} rows: give one row for each"
    if "id" in table and list(table["id"]) != list(ids):
        row = next(row for row, (own, other) in enumerate(zip(table["id"], ids, strict=True)) if own != other)
        return (
            f"row {row} is of {table['id'].iloc[row]!r}, not of {ids[row]!r}: give rows in the order of architectures"
        )
    for name, (least, most) in LIMITS.items():
        if name not in table:
            continue
        wrong = (table[name] < least) | (table[name] > most)
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            return f"row {row} has {name} = {table[name].iloc[row]:g}: it must be between {least:g} and {most:g}"
    return None
