from __future__ import annotations

from typing import Any

import pytest

from analognas.errors import HardwareError
from analognas.hardware.tile_shape import TileShape


@pytest.mark.parametrize(
    ("given", "rows", "columns", "plain", "text"),
    [
        (128, 128, 128, 128, "128 x 128"),
        ((128, 64), 128, 64, [128, 64], "128 x 64"),
        ([64, 64], 64, 64, 64, "64 x 64"),
        ((512, 0), 512, 0, [512, 0], "512 x any"),
        ((0, 0), 0, 0, [0, 0], "any x any"),
    ],
)
def test_one_number_is_square_and_two_are_rows_and_columns(
    given: Any, rows: int, columns: int, plain: Any, text: str
) -> None:
    shape = TileShape.of(given)
    assert (shape.rows, shape.columns) == (rows, columns)
    assert shape.plain() == plain
    assert TileShape.of(plain) == shape == TileShape.of(shape)
    assert str(shape) == text


def test_rows_are_inputs_and_columns_outputs() -> None:
    shape = TileShape(100, 30)
    assert shape.parts(201, 30) == (3, 1)
    assert shape.parts(100, 31) == (1, 2)
    assert shape.area(201, 31) == 3 * 100 * 2 * 30


def test_a_side_that_is_not_split_is_as_long_as_the_matrix() -> None:
    assert TileShape(100, 0).parts(150, 9_999) == (2, 1)
    assert TileShape(100, 0).area(150, 7) == 2 * 100 * 7
    assert TileShape(0, 0).area(150, 7) == 150 * 7


@pytest.mark.parametrize("given", [0, -1, True, 2.5, "64", None, (64,), (64, -1), (64, 1, 1), (64, 2.5)])
def test_what_is_no_size_is_refused(given: Any) -> None:
    with pytest.raises(HardwareError, match=r"tile size is .*: give the number of rows and columns"):
        TileShape.of(given)
