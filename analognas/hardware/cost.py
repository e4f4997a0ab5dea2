"""What a network occupies on analog hardware: tiles and their utilisation. Nothing here needs torch.

A layer is a matrix of in_channels * kernel_size**2 rows (inputs) and out_channels columns (outputs). One that
is larger than a tile is split into the fewest parts per dimension, of equal size up to one, as aihwkit does
(``TileModuleArray`` in ``aihwkit.simulator.tiles.array``, by ``mapping.max_input_size`` and
``max_output_size``). Every layer has tiles of its own; biases and batch-norms are digital and occupy none.

A tile size is one number for square tiles, (rows, columns), or a ``TileShape``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from analognas.hardware.tile_shape import TileShape, TileSize

if TYPE_CHECKING:
    from analognas.search_spaces.structure import AnalogLayer, Structure


def layer_tiles(layer: AnalogLayer, tile_size: TileSize) -> int:
    """Return how many tiles of this size one layer occupies."""
    down, across = TileShape.of(tile_size).parts(layer.rows, layer.columns)
    return down * across


def tiles(structure: Structure, tile_size: TileSize) -> int:
    """Return how many tiles of this size the network occupies.

    Raises:
        HardwareError: if ``tile_size`` is no size of a tile.
    """
    shape = TileShape.of(tile_size)
    return sum(layer_tiles(layer, shape) for layer in structure.layers)


def effort(structure: Structure) -> float:
    """Return how long a network takes, relative to others, on a CPU, in multiplications.

    On one core the values of the feature maps take longer than the multiplications: one output of a layer, which is
    quantised, normalised and rectified, as long as about 350 multiplications; and every layer takes a time of its own,
    that of 250,000 for each image. Fitted by ``python -m benchmarks.effort``, whose times it tells to a sixth.
    """
    return float(structure.macs + 350 * structure.outputs + 250_000 * len(structure.layers))


def utilisation(structure: Structure, tile_size: TileSize) -> float:
    """Return the share of the occupied tiles that holds weights, in (0, 1].

    Raises:
        HardwareError: if ``tile_size`` is no size of a tile.
    """
    shape = TileShape.of(tile_size)
    return structure.weights / sum(shape.area(layer.rows, layer.columns) for layer in structure.layers)
