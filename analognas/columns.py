"""A table described as data: columns, what cells may be, what holds between rows; and what is wrong with one.

Rows belong to what their ids say: they are never taken by position where an id says something else.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from analognas.errors import AnalogNASError, CorruptFileError

if TYPE_CHECKING:
    import pandas as pd

    Rule = Callable[[pd.DataFrame], str | None]

TEXT, WHOLE, NUMBER, TRUTH = "text", "whole number", "number", "truth value"

#: What an id of an architecture matches.
ID = "[0-9a-f]{16}"
_PATTERNS = {ID: "16 hexadecimal digits"}
# The kinds of NumPy's types that hold nothing else, so that all cells can be looked at in one go.
_FAST = {NUMBER: "iuf", WHOLE: "iu", TRUTH: "b", TEXT: ""}


@dataclass(frozen=True)
class Column:
    """One column: what its cells are.

    Args:
        name: of the column.
        kind: ``TEXT``, ``WHOLE``, ``NUMBER`` or ``TRUTH``; a text is no number, and neither is a truth value.
        least, most: bounds of numbers, inclusive; a number is always finite.
        among: the texts that are possible; empty: all.
        pattern: regular expression that a text matches whole.
        needed: whether a table must have the column.
        missing: whether a cell may be empty (None, NaN).
    """

    name: str
    kind: str = NUMBER
    least: float = -math.inf
    most: float = math.inf
    among: tuple[str, ...] = ()
    pattern: str = ""
    needed: bool = True
    missing: bool = False

    def wrong(self, value: object) -> str | None:
        """Return what is wrong with one cell, as the end of a sentence; None if nothing is."""
        if is_empty(value):
            return None if self.missing else f"has no {self.name}"
        return None if self._good(value) else f"has {self.name} = {shown(value)}, not {self._expected()}"

    def first_wrong(self, cells: pd.Series[Any]) -> str | None:
        """Return the first row whose cell is wrong and what is wrong there; None if all are right."""
        import numpy as np

        rows: Iterable[int] = range(len(cells))
        if isinstance(cells.dtype, np.dtype) and cells.dtype.kind in _FAST[self.kind]:
            if self.kind == TRUTH:
                return None
            fast = cells.to_numpy(dtype=np.float64)
            good = np.isfinite(fast) & (fast >= self.least) & (fast <= self.most)
            if good.all():
                return None
            rows = np.flatnonzero(~good & ~(np.isnan(fast) & self.missing))[:1]
        values = cells.tolist()
        if self.kind == TEXT and not self.among and not self.pattern and all(type(value) is str for value in values):
            return None
        for row in rows:
            if problem := self.wrong(values[row]):
                return f"row {row} {problem}"
        return None

    def _good(self, value: object) -> bool:
        if self.kind == TEXT:
            return (
                isinstance(value, str)
                and (not self.among or value in self.among)
                and (not self.pattern or re.fullmatch(self.pattern, value) is not None)
            )
        if self.kind == TRUTH or _truth(value):
            return self.kind == TRUTH and _truth(value)
        if not isinstance(value, Integral if self.kind == WHOLE else Real):
            return False
        return math.isfinite(number := _float(value)) and self.least <= number <= self.most

    def _expected(self) -> str:
        if self.kind == TRUTH:
            return "true or false"
        if self.kind == TEXT:
            if len(self.among) == 1:
                return repr(self.among[0])
            return f"one of {', '.join(self.among)}" if self.among else _PATTERNS.get(self.pattern, "a text")
        what = "a whole number" if self.kind == WHOLE else "a number"
        if math.isinf(self.most):
            return "a finite number" if math.isinf(self.least) else f"{what} of at least {self.least:g}"
        return f"{what} between {self.least:g} and {self.most:g}"


@dataclass(frozen=True)
class Table:
    """A kind of table.

    Args:
        name: what it is called in messages.
        columns: those that are known by name.
        closed: whether any other column is refused. A column that is called as measurements are is held to what these
            can be in every table (``measured``); what else is in an open one is not looked at.
        rules: what has to hold between cells and rows; each returns what is wrong, or None.
    """

    name: str
    columns: tuple[Column, ...]
    closed: bool = False
    rules: tuple[Rule, ...] = ()

    def with_values(self, values: Mapping[str, str]) -> Table:
        """Return the table whose columns of these names have this one value."""
        columns = (
            replace(column, among=(values[column.name],)) if column.name in values else column
            for column in self.columns
        )
        return replace(self, columns=tuple(columns))

    def problem(self, frame: object, ids: Sequence[str] | None = None) -> str | None:
        """Return what is wrong with a table, as a clause that names column and row; None if nothing is.

        Args:
            frame: the table; anything but a frame is wrong.
            ids: of the architectures that the rows are of, in their order; None: the rows say it themselves.
        """
        import pandas as pd

        if not isinstance(frame, pd.DataFrame):
            return f"it is no pandas frame but of the type {type(frame).__name__}"
        if frame.columns.has_duplicates:
            return f"it has two columns {str(frame.columns[frame.columns.duplicated()][0])!r}"
        if lacking := [column.name for column in self.columns if column.needed and column.name not in frame]:
            needed = ", ".join(column.name for column in self.columns if column.needed)
            return f"it has no column {lacking[0]!r} of {needed}"
        if ids is not None and (problem := _misplaced(frame, ids)):
            return problem
        # What is said to be the rows' ids are texts of architectures.
        told = {"id"} if ids is not None and "id" in frame else set()
        known = {column.name: column for column in self.columns}
        described = {
            name: known.get(name) or (measured(name) if isinstance(name, str) else None) for name in frame.columns
        }
        good = _good_numbers(frame, described)
        for name, column in described.items():
            if column is None:
                if self.closed:
                    return f"it has a column {shown(name)}, which it cannot have"
            elif name not in good and name not in told and (problem := column.first_wrong(frame[name])):
                return problem
        return next((problem for rule in self.rules if (problem := rule(frame))), None)

    def check(
        self,
        frame: pd.DataFrame,
        what: str,
        *,
        remedy: str,
        error: type[AnalogNASError] = CorruptFileError,
        ids: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Return a table that is right.

        Args:
            frame: the table.
            what: its file or what else it is; the sentence begins with it.
            remedy: what to do if it is not right; the sentence ends with it.
            error: what is raised then.
            ids: as in ``problem``.

        Raises:
            AnalogNASError: of the given kind.
        """
        if problem := self.problem(frame, ids):
            raise error(f"{what} is no {self.name} ({problem}): {remedy}.")
        return frame


@functools.cache
def measured(name: str) -> Column | None:
    """Return what a column of this name holds if it is called as measurements and predictions are, else None.

    Accuracies (``acc_...``) are percent, ``avm`` is percentage points; ``..._std``, ``..._sem`` and
    ``..._uncertainty`` are their spreads, ``..._low`` and ``..._high`` ends of intervals, ``..._score`` ranks.
    """
    if re.match(r"(?:[a-z]+_)?acc_\w|avm(?:_|$)", name) is None:
        return None
    column = Column(name, needed=False, missing=True)
    if name.endswith(("_std", "_sem")):
        return replace(column, least=0.0, most=100.0)
    if name.endswith("_uncertainty"):
        return replace(column, least=0.0)
    if name.endswith(("_low", "_high", "_score")):
        return column
    return replace(column, least=-100.0 if name.startswith("avm") else 0.0, most=100.0)


def shuffled(index: pd.Index[Any], ids: Sequence[str]) -> str | None:
    """Return how the index of rows without ids contradicts that they are of these architectures, in this order.

    It does if it holds their ids in another order, or numbers that do not rise: then the rows were sorted by something
    since they were made.
    """
    labels = list(index)
    if labels and all(isinstance(label, str) for label in labels):
        return _other_row(labels, ids) if set(labels) & set(ids) else None
    if getattr(index.dtype, "kind", "") not in "iu" or index.is_monotonic_increasing:
        return None
    row = next(row for row in range(1, len(labels)) if labels[row] < labels[row - 1])
    return f"its rows have no id, and the index of row {row} says that they were sorted ({labels[row]})"


def _good_numbers(frame: pd.DataFrame, described: Mapping[Any, Column | None]) -> Collection[Any]:
    """Return the columns of floats if nothing is wrong with any of them: looking at all at once is much faster."""
    import numpy as np

    floats = {
        name: column
        for (name, column), dtype in zip(described.items(), frame.dtypes, strict=True)
        if column is not None and column.kind == NUMBER and isinstance(dtype, np.dtype) and dtype.kind == "f"
    }
    values = np.array([frame[name].to_numpy() for name in floats])
    least, most = (np.array([[getattr(column, end)] for column in floats.values()]) for end in ("least", "most"))
    return floats if (np.isfinite(values) & (values >= least) & (values <= most)).all() else ()


def _misplaced(frame: pd.DataFrame, ids: Sequence[str]) -> str | None:
    if len(frame) != len(ids):
        return f"there are {len(ids)} architectures and {len(frame)} rows"
    return _other_row(frame["id"].tolist(), ids) if "id" in frame else shuffled(frame.index, ids)


def _other_row(own: Sequence[object], expected: Sequence[str]) -> str | None:
    if own == expected:  # as it mostly is, and told at once
        return None
    for row, (name, other) in enumerate(zip(own, expected, strict=True)):
        if name != other:
            return f"row {row} is of {shown(name)}, not of {other!r}"
    return None


def is_empty(value: object) -> bool:
    """Return whether a cell holds nothing: None, or what pandas and NumPy have in its place."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and math.isnan(value)


def _truth(value: object) -> bool:
    return isinstance(value, bool) or type(value).__name__ == "bool"  # NumPy's, which does not derive from Python's


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # an integer of more digits than a float has
        return math.inf


def shown(value: object) -> str:
    """Return a cell on one line, and not too long."""
    if isinstance(value, Real) and not _truth(value):
        return f"{_float(value):g}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 40 else f"{text[:37]}..."
