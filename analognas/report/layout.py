"""The report laid out: as tables for a terminal, and as Markdown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from analognas.report.sentences import told

if TYPE_CHECKING:
    from rich.console import RenderableType

    from analognas.report.figures import RunFigures
    from analognas.report.sentences import Told

#: Networks in one table of a terminal.
_BESIDE = 3


def render(figures: RunFigures) -> RenderableType:
    """Return the figures as a table for a terminal; raises what ``told`` raises."""
    return laid_out(told(figures))


def laid_out(report: Told) -> RenderableType:
    """Return a report as tables of a few networks each, and lines, for a terminal of 80 columns."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    tables: list[Table] = []
    for first in range(1, len(report.columns), _BESIDE):
        shown = slice(first, first + _BESIDE)
        table = Table(title=None if tables else report.title, title_justify="left")
        table.add_column(report.columns[0])
        for column in report.columns[shown]:
            table.add_column(column, justify="right")
        for row in report.rows:
            table.add_row(row[0], *row[shown])
        tables.append(table)
    return Group(*tables, *map(Text, report.lines))


def markdown(figures: RunFigures) -> str:
    """Return the figures as Markdown: a table, and a list of what must be known of it."""
    report = told(figures)
    lines = [f"## {report.title}", "", _row(report.columns), _row(["---", *["---:"] * (len(report.columns) - 1)])]
    use = [f"The winner is in `data/winner` (`card.md` there): `{figures['use']}`"] if figures.get("use") else []
    return "\n".join([*lines, *map(_row, report.rows), "", *(f"- {line}" for line in (*report.lines, *use)), ""])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
