"""Rows and columns of an analog tile, as plain numbers: nothing here needs torch."""

from __future__ import annotations

from dataclasses import dataclass

from analognas.errors import HardwareError


@dataclass(frozen=True)
class TileShape:
    """How large one tile is, in weights.

    ``rows`` are the inputs of a tile (aihwkit's ``mapping.max_input_size``), ``columns`` its outputs
    (``mapping.max_output_size``). 0 means what it means there: layers are not split in this direction, however large
    they are.
    """

    rows: int
    columns: int

    @classmethod
    def of(cls, given: TileSize) -> TileShape:
        """Return the shape that is meant: one number for square tiles, or rows and columns.

        Raises:
            HardwareError: if it is no size of a tile.
        """
        if isinstance(given, TileShape):
            return given
        if isinstance(given, int) and not isinstance(given, bool) and given >= 1:
            return cls(given, given)
        if isinstance(given, list | tuple) and len(given) == 2:
            rows, columns = given
            if all(isinstance(side, int) and not isinstance(side, bool) and side >= 0 for side in (rows, columns)):
                return cls(rows, columns)
        raise HardwareError(
            f"The tile size is {given}: give the number of rows and columns of a tile, at least 1, or (rows, columns), "
            "0 for a side that is not split."
        )

    def parts(self, rows: int, columns: int) -> tuple[int, int]:
        """Return over how many tiles the rows and the columns of a matrix are split, as aihwkit splits them."""
        return _parts(rows, self.rows), _parts(columns, self.columns)

    def area(self, rows: int, columns: int) -> int:
        """Return how many weights the tiles of a matrix hold; a side that is not split is as long as the matrix."""
        down, across = self.parts(rows, columns)
        return down * (self.rows or rows) * across * (self.columns or columns)

    def plain(self) -> int | list[int]:
        """Return the shape as JSON holds it and ``of`` takes it: one number if it is square."""
        return self.rows if self.rows == self.columns > 0 else [self.rows, self.columns]

    def __str__(self) -> str:
        return f"{self.rows or 'any'} x {self.columns or 'any'}"


#: What is taken for the shape of a tile: one number is square, two are rows and columns.
TileSize = TileShape | int | list[int] | tuple[int, int]


def _parts(size: int, most: int) -> int:
    return -(-size // most) if most else 1
