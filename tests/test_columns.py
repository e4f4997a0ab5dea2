import math

import numpy as np
import pandas as pd
import pytest

from analognas.columns import ID, NUMBER, TEXT, TRUTH, WHOLE, Column, Table, is_empty, measured, shown, shuffled


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        (Column("a"), 1, None),
        (Column("a"), np.float32(1.5), None),
        (Column("a"), "1", "has a = '1', not a finite number"),
        (Column("a"), True, "has a = True, not a finite number"),
        (Column("a"), math.inf, "has a = inf, not a finite number"),
        (Column("a"), None, "has no a"),
        (Column("a", missing=True), math.nan, None),
        (Column("a", NUMBER, least=0.0, most=100.0), 101, "has a = 101, not a number between 0 and 100"),
        (Column("a", WHOLE, least=1), 0, "has a = 0, not a whole number of at least 1"),
        (Column("a", WHOLE), 1.0, "has a = 1, not a finite number"),
        (Column("a", TRUTH), np.True_, None),
        (Column("a", TRUTH), 1, "has a = 1, not true or false"),
        (Column("a", TEXT, among=("x", "y")), "z", "has a = 'z', not one of x, y"),
        (Column("a", TEXT, pattern=ID), "0" * 16, None),
        (Column("a", TEXT, pattern=ID), "0" * 15, f"has a = '{'0' * 15}', not 16 hexadecimal digits"),
    ],
)
def test_a_cell_is_held_to_its_column(column: Column, value: object, problem: str | None):
    assert column.wrong(value) == problem
    first = column.first_wrong(pd.Series([value], dtype=object))
    assert first == (None if problem is None else f"row 0 {problem}")


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("acc_1d", (0, 100)),
        ("acc_30d_std", (0, 100)),
        ("avm", (-100, 100)),
        ("avm_uncertainty", (0, math.inf)),
        ("acc_1d_low", (-math.inf, math.inf)),
        ("predicted_acc_1d", (0, 100)),
        ("seconds", None),
        ("avmx", None),
    ],
)
def test_what_is_called_as_measurements_are_is_held_to_what_these_can_be(name: str, bounds: tuple | None):
    column = measured(name)
    assert (None if column is None else (column.least, column.most)) == bounds


def test_a_table_says_the_first_thing_that_is_wrong_with_it():
    table = Table("table of things", (Column("id", TEXT), Column("size", WHOLE, least=1, needed=False)), closed=True)
    frame = pd.DataFrame({"id": ["a", "b"]})
    assert table.problem(frame) is None
    assert table.problem(frame, ["a", "b"]) is None
    assert table.problem(frame, ["b", "a"]) == "row 0 is of 'a', not of 'b'"
    assert table.problem(frame, ["a"]) == "there are 1 architectures and 2 rows"
    assert table.problem(frame.assign(size=[1, 0])) == "row 1 has size = 0, not a whole number of at least 1"
    assert table.problem(frame.assign(colour=1)) == "it has a column 'colour', which it cannot have"
    assert table.problem(frame.drop(columns="id")) == "it has no column 'id' of id"
    assert table.with_values({"id": "a"}).problem(frame) == "row 1 has id = 'b', not 'a'"


def test_rows_without_ids_that_were_sorted_are_seen():
    assert shuffled(pd.RangeIndex(2), ["a", "b"]) is None
    assert shuffled(pd.Index([4, 7]), ["a", "b"]) is None
    assert shuffled(pd.Index(["x", "y"]), ["a", "b"]) is None
    assert shuffled(pd.Index([7, 4]), ["a", "b"]) == (
        "its rows have no id, and the index of row 1 says that they were sorted (4)"
    )
    assert shuffled(pd.Index(["b", "a"]), ["a", "b"]) == "row 0 is of 'b', not of 'a'"


def test_cells_are_shown_on_one_short_line():
    assert [shown(1.0), shown(10**400), shown("a\n  b")] == ["1", "inf", r"'a\n b'"]
    assert len(shown("x" * 100)) == 40
    assert [is_empty(value) for value in (None, pd.NA, pd.NaT, math.nan, 0, "")] == [True] * 4 + [False] * 2
