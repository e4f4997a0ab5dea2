"""The result of one characterization, as it travels from a worker to the store and into the table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from analognas.columns import Column
from analognas.errors import CorruptFileError
from analognas.tables import RESULT, problem_of_result

_FIXED = tuple(column.name for column in RESULT.columns)
_ACCURACY = "accuracy"
_PERCENT = Column(_ACCURACY, least=0.0, most=100.0)


@dataclass(frozen=True)
class ResultRow:
    """What came of one architecture: it was measured, or why not.

    Args:
        id: of the architecture.
        space: name of its space.
        genes: its genes as canonical JSON text.
        params: trainable parameters.
        tiles: that it occupies on the hardware.
        status: ``ok``, ``diverged`` or ``too_large``.
        reason: why it was not measured; empty if it was.
        repeats: programmings behind the means.
        measured: by column (``training.columns``), which follow from the times of the protocol: ``acc_digital``,
            ``acc_hwa``, and ``acc_<time>`` and ``avm``, each with ``_std`` and ``_sem``; percent and percentage points.
            None where there is no value: everywhere, unless the status is ``ok``.
        accuracy: percent, of each repeat at each time; empty if nothing was measured, None if it is not told.
    """

    id: str
    space: str
    genes: str
    params: int
    tiles: int
    status: str
    reason: str
    repeats: int
    measured: Mapping[str, float | None]
    accuracy: tuple[tuple[float, ...], ...] | None = field(default=None, repr=False)

    @property
    def ok(self) -> bool:
        """Whether it was measured."""
        return self.status == "ok"

    def __getitem__(self, column: str) -> float:
        """Return a measured value; NaN if it has none.

        Raises:
            KeyError: if there is no such column.
        """
        value = self.measured[column]
        return math.nan if value is None else value

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON values, as the store holds it."""
        values = {name: getattr(self, name) for name in _FIXED} | dict(self.measured)
        if self.accuracy is not None:
            values[_ACCURACY] = [list(repeat) for repeat in self.accuracy] or None
        return values

    @classmethod
    def from_dict(cls, data: object, where: str, remedy: str) -> Self:
        """Return the row that ``to_dict`` described.

        Args:
            data: plain JSON values.
            where: what holds them; the message begins with it.
            remedy: what to do if they are no result; the message ends with it.

        Raises:
            CorruptFileError: if they are no result: a column is missing or foreign, a value impossible, the id not that
                of the genes.
        """
        values = dict(data) if isinstance(data, Mapping) else {}
        told, accuracy = _ACCURACY in values, values.pop(_ACCURACY, None)
        if problem := problem_of_result(values) or _problem_of(accuracy, values):
            raise CorruptFileError(f"{where} holds no result of a characterization (it {problem}): {remedy}.")
        fixed = {name: values.pop(name) for name in _FIXED}
        repeats = tuple(tuple(repeat) for repeat in accuracy or ()) if told else None
        return cls(**fixed, measured=values, accuracy=repeats)

    def problem(self) -> str | None:
        """Return what is wrong with it, as the end of a sentence; None if nothing is."""
        values = self.to_dict()
        accuracy = values.pop(_ACCURACY, None)
        return problem_of_result(values) or _problem_of(accuracy, values)


def _problem_of(accuracy: object, values: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the accuracies of all repeats beside the other columns."""
    if accuracy is None:
        return None
    repeats = values["repeats"]
    rows = accuracy if isinstance(accuracy, list) and all(isinstance(row, list) for row in accuracy) else []
    if values["status"] != "ok" or len(rows) != repeats or len({len(row) for row in rows}) != 1 or not rows[0]:
        return f"has {_ACCURACY} that are not of {repeats} repeats, each at every time"
    return next((problem for row in rows for value in row if (problem := _PERCENT.wrong(value))), None)
