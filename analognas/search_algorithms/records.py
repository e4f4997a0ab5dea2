"""What a search keeps of every architecture it was told, and what it returns."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from analognas.search_spaces.architecture import Architecture


class KnownValues(TypedDict, total=False):
    """What is predicted or was measured of an architecture, by column: percent and percentage points.

    The columns of predictions are named here (``measured``: whether they are weighed against a measurement); an
    evaluator of somebody else's may give more, and a measurement has all its columns.
    """

    acc_1d: float
    avm: float
    acc_1d_std: float
    acc_1d_uncertainty: float
    acc_1d_low: float
    acc_1d_high: float
    avm_uncertainty: float
    avm_low: float
    avm_high: float
    acc_1d_std_uncertainty: float
    acc_1d_std_low: float
    acc_1d_std_high: float
    acc_1d_score: float
    measured: bool


class TableRow(Mapping[str, Any]):
    """A row of a table as a mapping from names, but for ``id``, to values.

    A search keeps tens of thousands of them, most of which nobody reads.

    Args:
        table: with the index 0, 1, ...
        number: of the row.
    """

    __slots__ = ("number", "table")

    def __init__(self, table: pd.DataFrame, number: int) -> None:
        self.table = table
        self.number = number

    def __getitem__(self, name: str) -> Any:
        value = self.table[name].iloc[self.number]
        return value.item() if isinstance(value, np.generic) else value

    def __iter__(self) -> Iterator[str]:
        return (str(name) for name in self.table.columns if name != "id")

    def __len__(self) -> int:
        return sum(1 for _ in self)


def rows_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows as one table again, with the index 0, 1, ..."""
    tables = {id(row.table): row.table for row in rows if isinstance(row, TableRow)}
    if not tables or not all(isinstance(row, TableRow) for row in rows):
        return pd.DataFrame([dict(row) for row in rows])
    lengths = [len(table) for table in tables.values()]
    starts = dict(zip(tables, np.cumsum([0, *lengths[:-1]]), strict=True))
    places = [starts[id(row.table)] + row.number for row in rows if isinstance(row, TableRow)]
    together = pd.concat(tables.values(), ignore_index=True).drop(columns="id", errors="ignore")
    return together.iloc[places].reset_index(drop=True)


@dataclass(frozen=True, slots=True)
class Evaluated:
    """An architecture that was told, with what followed from it.

    ``objective`` is NaN if it failed; ``violation`` is 0 if it is feasible and infinite if it failed; ``row``
    has the values it was told with, by name.
    """

    architecture: Architecture
    iteration: int
    origin: str
    objective: float
    violation: float
    row: Mapping[str, Any]

    @property
    def feasible(self) -> bool:
        """Return whether all constraints hold."""
        return self.violation == 0

    @property
    def alive(self) -> bool:
        """Return whether it did not fail."""
        return math.isfinite(self.violation)

    @property
    def rank_key(self) -> tuple[float, float, int, str]:
        """Sort key, best first: feasible by objective, then infeasible by violation, then failed ones."""
        loss = math.inf if math.isnan(self.objective) else -self.objective
        return self.violation, loss, self.architecture.params, self.architecture.id


@dataclass(frozen=True)
class SearchResult:
    """What one run of a search found.

    Args:
        best: the architecture with the highest objective of those that hold all limits; if none does, the one that
            comes closest (least violation, then objective).
        value: its objective.
        violation: by how much it breaks the limits, see ``Constraints.violations``; 0 if it holds them.
        prediction: its predicted (or told) values by name.
        history: one row for every evaluated architecture: ``iteration``, ``origin`` (where the proposal came
            from), ``id``, ``genes`` (JSON), ``params``, ``objective`` (NaN: failed), ``feasible``, ``violation``
            (infinite: failed), and the predictions.
        candidates: all architectures that hold the limits, best first; if none does, all that did not fail, those that
            come closest first.
        seed: what the run was seeded with.
    """

    best: Architecture
    value: float
    violation: float
    prediction: KnownValues
    history: pd.DataFrame = field(repr=False)
    candidates: list[Architecture] = field(repr=False)
    seed: int


def history_table(evaluated: Iterable[Evaluated]) -> pd.DataFrame:
    """Return one row for every record, columns as in ``SearchResult.history``."""
    records = list(evaluated)
    architectures = [record.architecture for record in records]
    own = {
        "iteration": [record.iteration for record in records],
        "origin": [record.origin for record in records],
        "id": [architecture.id for architecture in architectures],
        "genes": [architecture.genes.to_json() for architecture in architectures],
        "params": [architecture.params for architecture in architectures],
        "objective": [record.objective for record in records],
        "feasible": [record.feasible for record in records],
        "violation": [record.violation for record in records],
    }
    told = rows_table([record.row for record in records])
    return pd.concat([pd.DataFrame(own), told], axis=1)
