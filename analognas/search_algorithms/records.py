"""What a search keeps of every architecture it was told, and what it returns."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from analognas.search_spaces.architecture import Architecture

_COLUMNS = ("iteration", "origin", "id", "genes", "params", "objective", "feasible", "violation")


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
    row: dict[str, Any]

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
    prediction: dict[str, Any]
    history: pd.DataFrame = field(repr=False)
    candidates: list[Architecture] = field(repr=False)
    seed: int


def history_table(evaluated: Iterable[Evaluated]) -> pd.DataFrame:
    """Return one row for every record, columns as in ``SearchResult.history``."""
    records = list(evaluated)
    rows = [
        (
            record.iteration,
            record.origin,
            record.architecture.id,
            record.architecture.genes.to_json(),
            record.architecture.params,
            record.objective,
            record.feasible,
            record.violation,
        )
        for record in records
    ]
    told = pd.DataFrame([record.row for record in records])
    return pd.concat([pd.DataFrame(rows, columns=list(_COLUMNS)), told], axis=1)
