"""What a network costs on analog hardware: tiles, and on a named chip time and energy. Nothing here needs torch.

A layer is a matrix of in_channels * kernel_size**2 rows (inputs) and out_channels columns (outputs). One that
is larger than a tile is split into the fewest parts per dimension, of equal size up to one, as aihwkit does
(``TileModuleArray`` in ``aihwkit.simulator.tiles.array``, by ``mapping.max_input_size`` and
``max_output_size``). Every layer has tiles of its own; biases and batch-norms are digital and occupy none.

A tile size is one number for square tiles, (rows, columns), or a ``TileShape``.

A picture goes through a layer as one vector for each pixel of the layer's output, through all tiles of the layer at
once. Layers of the same depth (branches, a projection beside its block) work side by side, others one after the other.
What the formulas are, what they leave out and how far off they may be is in docs/cost.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from analognas.hardware.tile_shape import TileShape, TileSize
from analognas.search_spaces.structure import Run, Structure, runs_of

if TYPE_CHECKING:
    import pandas as pd

    from analognas.hardware.chips import Chip
    from analognas.search_spaces.architecture import Architecture
    from analognas.search_spaces.structure import AnalogLayer

#: The columns of ``costs``.
COLUMNS = (
    "tiles",
    "utilisation",
    "vectors",
    "dac_conversions",
    "adc_conversions",
    "latency_us",
    "interval_us",
    "energy_uj",
)


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


def costs(networks: Sequence[Architecture | Structure], chip: Chip) -> pd.DataFrame:
    """Return what each network costs on a chip, for one inference: one row each, with ``COLUMNS``.

    - ``tiles`` are those occupied, ``utilisation`` is the share of them that holds weights, in (0, 1].
    - ``vectors`` counts matrix-vector operations: how often a vector goes through a tile. ``dac_conversions`` are the
      rows that are driven for that, ``adc_conversions`` the columns that are read.
    - ``latency_us`` is the time for one picture, layer by layer, in microseconds.
    - ``interval_us`` is the time from one answer to the next where all layers are at work, each on a picture of its own
      (pipelined): that of the layer with the most vectors.
    - ``energy_uj`` is the energy of one inference in microjoules, in either case.

    Thousands of architectures are counted at once, by the runs of their families (``Family.runs``).
    """
    import pandas as pd

    counted = [runs_of(network) if isinstance(network, Structure) else network.runs for network in networks]
    return pd.DataFrame(_added_up(counted, chip), columns=list(COLUMNS))


def cost(network: Architecture | Structure, chip: Chip) -> dict[str, float]:
    """Return what one network costs on a chip, see ``costs``, as plain numbers by column."""
    row = costs([network], chip)
    return {name: row[name].item() for name in COLUMNS}


def costs_of_layers(structure: Structure, chip: Chip) -> pd.DataFrame:
    """Return what each analog layer costs on a chip, see ``costs``: one row each, with ``name`` first.

    Energies and tiles add up to those of the network; times do so only where no layers work side by side.
    """
    import pandas as pd

    alone = [[run._replace(levels=1)] for run in runs_of(structure)]
    table = pd.DataFrame(_added_up(alone, chip), columns=list(COLUMNS))
    table.insert(0, "name", [layer.name for layer in structure.layers])
    return table


def _added_up(counted: Sequence[Sequence[Run]], chip: Chip) -> dict[str, np.ndarray]:
    """Return the columns of ``costs`` of networks that are given by their runs, each of at least one."""
    if not counted:
        return {name: np.zeros(0) for name in COLUMNS}
    tile = chip.shape
    numbers = np.fromiter(chain.from_iterable(chain.from_iterable(counted)), dtype=np.int64).reshape(
        -1, len(Run._fields)
    )
    rows, columns, vectors, copies, levels = numbers.T
    first = np.cumsum([0, *(len(runs) for runs in counted[:-1])])

    def total(values: np.ndarray) -> np.ndarray:
        return np.asarray(np.add.reduceat(values, first))

    down = -(-rows // tile.rows) if tile.rows else np.ones_like(rows)
    across = -(-columns // tile.columns) if tile.columns else np.ones_like(columns)
    occupied = copies * down * across
    area = occupied * (tile.rows or rows) * (tile.columns or columns)
    through, driven, read = (
        total(vectors * each) for each in (occupied, copies * rows * across, copies * columns * down)
    )
    return {
        "tiles": total(occupied),
        "utilisation": total(copies * rows * columns) / total(area),
        "vectors": through,
        "dac_conversions": driven,
        "adc_conversions": read,
        "latency_us": total(levels * vectors) * (chip.vector_ns / 1e3),
        "interval_us": np.maximum.reduceat(vectors, first) * (chip.vector_ns / 1e3),
        "energy_uj": (through * chip.tile_pj + driven * chip.row_pj + read * chip.column_pj) / 1e6,
    }
