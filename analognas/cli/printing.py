"""Tables for a terminal of 80 columns, in which no word is broken."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

#: Columns of a terminal that everything fits.
WIDTH = 80


def folded(text: str, width: int) -> str:
    """Return a text in lines of at most ``width``: broken at spaces, and at hyphens if a word is longer than that.

    A word that is longer still is cut, with a sign.
    """
    hyphens = any(len(word) > width for word in text.split())
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=hyphens)
    return "\n".join(line if len(line) <= width else f"{line[: width - 1]}…" for line in lines)


def hanging(line: str, margin: int) -> str:
    """Return a line folded for the terminal, no word broken; what follows the first line begins after a margin."""
    return textwrap.fill(line, WIDTH, subsequent_indent=" " * margin, break_long_words=False, break_on_hyphens=False)


def plain_table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], *, title: str | None = None, numbers: Iterable[int] = ()
) -> Any:
    """Return a table without vertical lines; its cells must be folded.

    Args:
        headings: of the columns.
        rows: cells, which may have several lines.
        title: above it.
        numbers: places of the columns that are set to the right.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    right = set(numbers)
    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False
    )
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place in right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))  # "analognas[bench]" is no style
    return table
