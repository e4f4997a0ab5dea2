"""What nothing beats in every respect: the trade-off that a search is looked at by, and its Pareto set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analognas.errors import SearchError
from analognas.hardware.chips import COST_LIMITS

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

#: Columns by which one architecture may be better than another; True: more is better.
TRADE_OFF: Mapping[str, bool] = {"acc_1d": True, "avm": False, "acc_1d_std": False, "params": False}

#: What can be an objective; True: more is better. The last ones are costs on a chip (``hardware.cost.costs``).
OBJECTIVES = {**TRADE_OFF, **dict.fromkeys(COST_LIMITS, False)}


def trade_off_of(objectives: Sequence[str]) -> dict[str, bool]:
    """Return which of the objectives are better the more there is of them.

    Raises:
        SearchError: if there are fewer than two, one is twice or unknown.
    """
    unknown = [name for name in objectives if name not in OBJECTIVES]
    if isinstance(objectives, str) or unknown or not 2 <= len(set(objectives)) == len(objectives):
        raise SearchError(f"objectives is {objectives!r}: give two or more of {', '.join(OBJECTIVES)}, each once.")
    return {name: OBJECTIVES[name] for name in objectives}


def non_dominated(costs: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return which rows no other row dominates.

    Args:
        costs: shape (n, m), lower is better.

    Returns:
        Mask of shape (n,). Of equal rows all stay.
    """
    # In lexicographic order a row can only be dominated by an earlier one, so each round keeps the first
    # row that is left and drops all that it dominates.
    left = np.lexsort(costs.T[::-1])
    columns, mask = np.ascontiguousarray(costs[left].T), np.zeros(len(costs), dtype=bool)
    while len(left):
        first = columns[:, 0]
        better, equal = np.zeros(len(left), dtype=bool), np.ones(len(left), dtype=bool)
        for column, value in zip(columns, first, strict=True):  # few and long: much faster than by rows
            better |= column < value
            equal &= column == value
        mask[left[equal]] = True
        left, columns = left[better], columns[:, better]
    return mask


def pareto_front(table: pd.DataFrame, trade_off: Mapping[str, bool]) -> pd.DataFrame:
    """Return the rows that no other row dominates, best first by the first column of the trade-off.

    Args:
        table: one row for every architecture, with ``id`` and the columns of ``trade_off``.
        trade_off: columns by which one may be better than another; True: more is better.
    """
    costs: NDArray[np.float64] = np.stack(
        [table[name].to_numpy(dtype=np.float64) * (-1 if more else 1) for name, more in trade_off.items()], axis=1
    )
    return (
        table[non_dominated(costs)]
        .sort_values([*trade_off, "id"], ascending=[not more for more in trade_off.values()] + [True])
        .reset_index(drop=True)
    )
