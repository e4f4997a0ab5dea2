from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from analognas.cli.printing import folded, hanging, plain_table


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("analognas-bench", 10, ["analognas-", "bench"]),
        ("the fan-in of", 11, ["the fan-in", "of"]),
        ("in a fan-in", 8, ["in a", "fan-in"]),
        ("not shown", 6, ["not", "shown"]),
        ("held", 6, ["held"]),
        ("abcdefghijklmnop", 10, ["abcdefghi…"]),
        ("", 5, [""]),
    ],
)
def test_text_is_folded_at_spaces_and_hyphens_only(text: str, width: int, lines: list[str]):
    assert folded(text, width).split("\n") == lines


def test_a_long_line_goes_on_below_its_text():
    first, second = hanging(f"sizes          {'well-known ' * 7}", 15).splitlines()
    assert (first, second) == ("sizes          " + " ".join(["well-known"] * 6), " " * 15 + "well-known")
    assert hanging(f"digest         {'a' * 64}", 15) == f"digest         {'a' * 64}"


def test_cells_are_text_and_numbers_stand_to_the_right():
    file = StringIO()
    Console(file=file, width=80).print(plain_table(("a", "b"), [("[red]x[/red]", "1"), ("y", "222")], numbers=(1,)))
    shown = file.getvalue().splitlines()
    assert shown[0].split() == ["a", "b"]
    assert shown[2].split() == ["[red]x[/red]", "1"]
    assert shown[3].index("222") < shown[2].rindex("1")
