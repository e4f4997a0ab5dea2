"""What an operation costs on chips by name: how long a tile takes for a vector and what energy, each with its source.

These are constants of hardware, not of a simulation: which devices and noise are simulated is said by ``presets``. A
chip of the user's own is a ``Chip``, made in Python or of constants in ``params.yaml``; those of the library are
replaced one by one in the same way. docs/cost.md says how they were come by.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict

from analognas.causes import own_code
from analognas.errors import HardwareError
from analognas.hardware.tile_shape import TileShape, TileSize
from analognas.plugins import load, nearest

#: The costs that may be limited or an objective of a search: columns of ``cost.costs``.
COST_LIMITS = ("tiles", "latency_us", "interval_us", "energy_uj")
#: What is added up, and its unit.
FIGURES: Mapping[str, str] = {
    "vector_ns": "ns for a vector through a tile",
    "tile_pj": "pJ of a tile for a vector, however much of the tile is used",
    "row_pj": "pJ for a row that is driven (one conversion of a DAC)",
    "column_pj": "pJ for a column that is read (one conversion of an ADC)",
}
#: Rows or columns that a formula takes for a side that is not split.
_UNSPLIT = 512
#: The source of a constant that is nobody's but the user's.
GIVEN = "given by the user"


def _checked(what: str, value: float, *, above: bool = False) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or value < 0 or (above and value == 0):
        raise HardwareError(f"{what} is {value!r}: give a number {'above 0' if above else 'of at least 0'}.")


@dataclass(frozen=True)
class Constant:
    """A constant of a chip: its name, value and unit, and where it comes from."""

    name: str
    value: float
    unit: str
    source: str

    def __str__(self) -> str:
        return f"{self.name} = {self.value:g} {self.unit}: {self.source}"

    def to_dict(self) -> ConstantDescription:
        """Return it as plain JSON values."""
        return {"name": self.name, "value": self.value, "unit": self.unit, "source": self.source}


class ConstantDescription(TypedDict):
    """A ``Constant`` in JSON."""

    name: str
    value: float
    unit: str
    source: str


class ChipDescription(TypedDict):
    """A ``Chip`` in JSON, with everything that decides a cost and its source."""

    name: str
    tile_size: int | list[int]
    tiles: int | None
    source: str
    note: str
    vector_ns: float
    tile_pj: float
    row_pj: float
    column_pj: float
    constants: list[ConstantDescription]


@dataclass(frozen=True)
class Chip:
    """A chip as far as costs go.

    A tile takes ``vector_ns`` for a vector. It takes ``tile_pj`` each time, whatever is on it, ``row_pj`` for each row
    in use and ``column_pj`` for each column in use.

    Args:
        name: what it is called where its costs are shown.
        tile: rows and columns of a tile.
        vector_ns: nanoseconds, above 0.
        tile_pj: picojoules, here and below at least 0; one of the three above 0.
        row_pj: picojoules.
        column_pj: picojoules.
        tiles: how many tiles the chip has; None: as many as are needed.
        source: where it is described.
        note: what must be known of it, in a few words.
        sources: where each figure comes from, by its name.
        basis: the constants that the figures were computed from, if they were.

    Raises:
        HardwareError: if a figure is out of range.
    """

    name: str
    tile: TileSize
    vector_ns: float
    tile_pj: float = 0.0
    row_pj: float = 0.0
    column_pj: float = 0.0
    tiles: int | None = None
    source: str = GIVEN
    note: str = ""
    sources: Mapping[str, str] = field(default_factory=dict)
    basis: tuple[Constant, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "tile", TileShape.of(self.tile))
        for name in FIGURES:
            _checked(f"{name} of the chip {self.name}", getattr(self, name), above=name == "vector_ns")
        if self.tile_pj == self.row_pj == self.column_pj == 0:
            raise HardwareError(f"The chip {self.name} takes no energy: give tile_pj, row_pj or column_pj.")

    @property
    def shape(self) -> TileShape:
        """Rows and columns of a tile."""
        return TileShape.of(self.tile)

    @property
    def constants(self) -> tuple[Constant, ...]:
        """Everything that decides a cost, with its source; figures that are 0 are left out."""
        computed = [] if not self.basis else [name for name in FIGURES if name not in self.sources]
        figures = tuple(
            Constant(name, getattr(self, name), unit.partition(" ")[0], self.sources.get(name, GIVEN))
            for name, unit in FIGURES.items()
            if getattr(self, name) and name not in computed
        )
        return (*figures, *self.basis)

    def replaced(self, **figures: float) -> Chip:
        """Return this chip with other figures (``FIGURES``); raises HardwareError if there is none of a name."""
        for name in figures:
            if name not in FIGURES:
                raise HardwareError(f"A chip has no figure {name!r}: {nearest(name, FIGURES)}")
        changes: dict[str, Any] = {**figures, "sources": {**self.sources, **dict.fromkeys(figures, GIVEN)}}
        return replace(self, **changes)

    def to_dict(self) -> ChipDescription:
        """Return a JSON-serializable description."""
        return {
            "name": self.name,
            "tile_size": self.shape.plain(),
            "tiles": self.tiles,
            "source": self.source,
            "note": self.note,
            "vector_ns": self.vector_ns,
            "tile_pj": self.tile_pj,
            "row_pj": self.row_pj,
            "column_pj": self.column_pj,
            "constants": [constant.to_dict() for constant in self.constants],
        }


_TABLE_IV = "AnalogNAS, arXiv 2305.10459, table IV"
_HERMES = "Le Gallo et al., Nature Electronics 6, 2023, doi 10.1038/s41928-023-01010-1"

#: The chip that AnalogNAS's figures fit; inferred, since the paper says no constants.
ANALOGNAS_PROJECTED = Chip(
    name="analognas-projected",
    tile=512,
    vector_ns=30.0,
    tile_pj=1481.0,
    source=_TABLE_IV,
    note="a projection, not a measurement: both constants were inferred from one network of that table",
    sources={
        "vector_ns": f"{_TABLE_IV}: 0.434 ms of ResNet32 by the 14,465 vectors that go through it one after the other; "
        "Jain et al. (TVLSI 2023, doi 10.1109/TVLSI.2022.3221390) have 40 ns",
        "tile_pj": f"{_TABLE_IV}: 43,956.7 inferences/s/W of ResNet32, which are 22.75 uJ, by the 15,361 times that a "
        "vector goes through one of its tiles",
    },
)


def _hermes(phases: int, tops: float, tops_per_watt: float) -> Chip:
    """Return HERMES with reads of one phase or four, from what it does at full use.

    Its 64 cores have 256 x 256 weights, so that a vector is 2 * 256 * 256 operations in each.
    """
    operations = 2 * 256 * 256
    words = {1: "one phase", 4: "four phases, which are more precise"}[phases]
    return Chip(
        name=f"hermes-{phases}-phase",
        tile=256,
        vector_ns=operations * 64 / tops / 1e3,
        tile_pj=operations / tops_per_watt,
        tiles=64,
        source=_HERMES,
        note=f"IBM's HERMES project chip, 14 nm, 8-bit converters, reads of {words}; measured",
        sources={
            "vector_ns": f"{_HERMES}: {tops} TOPS of 64 cores of 256 x 256, 2 operations a weight",
            "tile_pj": f"{_HERMES}: {tops_per_watt} TOPS/W; of a core in full use, and taken for one that is not",
        },
    )


HERMES_1_PHASE = _hermes(1, 63.1, 9.76)
HERMES_4_PHASE = _hermes(4, 16.1, 2.48)

_ZIGZAG = "ZigZag (zigzag-dse 3.9.1, github.com/KULeuven-MICAS/zigzag), its model of analog in-memory computing, 28 nm"
#: The constants of ZigZag's model, one analog cell for a weight: value, unit, what it is.
ZIGZAG: Mapping[str, tuple[float, str, str]] = {
    "vdd": (0.9, "V", "supply voltage"),
    "adc_bit_ff": (100.0, "fF", "of an ADC for each bit"),
    "adc_level_ff": (0.001, "fF", "of an ADC for each of its 4^bits"),
    "dac_bit_ff": (50.0, "fF", "of a DAC for each bit"),
    "cell_ff": (0.35, "fF", "of a cell on its row, half of a NAND gate's 0.7"),
    "bitline_ff": (0.35, "fF", "of a cell on its column, likewise"),
    "adc_row_ns": (0.00653, "ns", "of an ADC for each bit and row"),
    "adc_bit_ns": (0.640, "ns", "of an ADC for each bit"),
    "cell_ns": (0.0478, "ns", "of a cell, a NAND gate's"),
}


def zigzag_28nm(tile: TileSize = 512, *, dac_bits: int = 8, adc_bits: int = 8, **constants: float) -> Chip:
    """Return the chip of ZigZag's formulas, for tiles and converters of any size.

    With V the supply: a DAC takes ``dac_bit_ff * bits * V**2``, an ADC ``(adc_bit_ff * bits + adc_level_ff * 4**bits) *
    V**2`` and ``bits * (adc_row_ns * rows + adc_bit_ns)``, as many work at once as there are columns. Each row that is
    driven charges the cells of all columns, each column that is read those of all rows. For sides that are not split,
    which no circuit has, 512 is taken.

    Args:
        tile: rows and columns of a tile.
        dac_bits: bits of its DACs.
        adc_bits: bits of its ADCs.
        constants: others than those of ``ZIGZAG``.

    Raises:
        HardwareError: if there is no constant of a name, or one is out of range.
    """
    for name in constants:
        if name not in ZIGZAG:
            raise HardwareError(f"zigzag-28nm has no constant {name!r}: {nearest(name, ZIGZAG)}")
        _checked(f"{name} of zigzag-28nm", constants[name])
    known = {name: constants.get(name, default) for name, (default, _, _) in ZIGZAG.items()}
    shape = TileShape.of(tile)
    rows, columns = shape.rows or _UNSPLIT, shape.columns or _UNSPLIT
    square = known["vdd"] ** 2
    converter = known["adc_bit_ff"] * adc_bits + known["adc_level_ff"] * 4**adc_bits
    basis = tuple(
        Constant(name, known[name], unit, f"{what}; {GIVEN if name in constants else _ZIGZAG}")
        for name, (_, unit, what) in ZIGZAG.items()
    )
    bits = (
        Constant("dac_bits", dac_bits, "bits", "of the DACs"),
        Constant("adc_bits", adc_bits, "bits", "of the ADCs"),
    )
    return Chip(
        name="zigzag-28nm",
        tile=shape,
        vector_ns=adc_bits * (known["adc_row_ns"] * rows + known["adc_bit_ns"]) + known["cell_ns"],
        row_pj=(known["dac_bit_ff"] * dac_bits + known["cell_ff"] * columns) * square / 1e3,
        column_pj=(converter + known["bitline_ff"] * rows) * square / 1e3,
        source=_ZIGZAG,
        note="formulas for any tile and any converters; what is not in use takes no energy",
        basis=(*basis, *bits),
    )


#: Chips whose tiles are what they are.
_FIXED: Mapping[str, Chip] = {chip.name: chip for chip in (ANALOGNAS_PROJECTED, HERMES_1_PHASE, HERMES_4_PHASE)}
#: What may be named; ``own`` has constants of the user's alone.
CHIPS = (*_FIXED, "zigzag-28nm", "own")


def chip(
    name: str | None = None,
    tile: TileSize | None = None,
    *,
    dac_bits: int = 8,
    adc_bits: int = 8,
    constants: Mapping[str, float] | None = None,
) -> Chip:
    """Return a chip by name.

    Args:
        name: one of ``CHIPS``; ``module:name`` of a ``Chip`` or of a function without arguments that returns one; None:
            the one whose tiles are those asked for, ``hermes-1-phase`` (256 x 256, also where nothing is asked for) or
            ``analognas-projected`` (512 x 512), otherwise ``zigzag-28nm``, which has tiles of any size.
        tile: rows and columns that its tiles are to have; None: its own, 512 x 512 of ``zigzag-28nm`` and ``own``.
        dac_bits: bits of the converters at the rows, for ``zigzag-28nm``.
        adc_bits: bits of those at the columns, likewise.
        constants: others than the chip's: ``FIGURES``, and for ``zigzag-28nm`` those of ``ZIGZAG``.

    Raises:
        HardwareError: if there is none of the name, its tiles are others, or a constant is none of it or out of range.
    """
    given = dict(constants or {})
    shape = None if tile is None else TileShape.of(tile)
    if name is None:
        name = _usual(shape)
    made = _made(name, shape, dac_bits, adc_bits, given)
    if shape is not None and made.shape != shape:
        raise HardwareError(
            f"The chip {name} has tiles of {made.shape}, and tiles of {shape} are asked for: take another chip, "
            "zigzag-28nm for any tiles, or its tiles (hardware.tile_size)."
        )
    if not constants or name == "own":
        return made
    return replace(made, name=f"{made.name} with {', '.join(f'{key} {value:g}' for key, value in constants.items())}")


def _made(name: str, shape: TileShape | None, dac_bits: int, adc_bits: int, given: dict[str, float]) -> Chip:
    if name in _FIXED:
        return _replaced(_FIXED[name], given)
    if name == "zigzag-28nm":
        inner = {key: given.pop(key) for key in ZIGZAG if key in given}
        made = zigzag_28nm(shape or _UNSPLIT, dac_bits=dac_bits, adc_bits=adc_bits, **inner)
        return _replaced(made, given, further=ZIGZAG)
    if name == "own":
        _known(name, given, FIGURES)
        if "vector_ns" not in given:
            raise HardwareError(f"The chip own has no vector_ns: give it, {FIGURES['vector_ns']}.")
        figures = {key: given.get(key, 0.0) for key in FIGURES}
        return Chip(
            "own", shape or _UNSPLIT, figures["vector_ns"], figures["tile_pj"], figures["row_pj"], figures["column_pj"]
        )
    if ":" not in name:
        raise HardwareError(f"unknown chip {name!r}: {nearest(name, CHIPS)} One of your own is module:name.")
    return _replaced(_loaded(name), given)


def _usual(shape: TileShape | None) -> str:
    if shape is None or shape == HERMES_1_PHASE.shape:
        return HERMES_1_PHASE.name
    return ANALOGNAS_PROJECTED.name if shape == ANALOGNAS_PROJECTED.shape else "zigzag-28nm"


def _replaced(made: Chip, given: Mapping[str, float], further: Mapping[str, Any] | None = None) -> Chip:
    _known(made.name, given, {**FIGURES, **(further or {})})
    return made.replaced(**given) if given else made


def _known(name: str, given: Mapping[str, float], known: Mapping[str, Any]) -> None:
    for key in given:
        if key not in known:
            raise HardwareError(f"The chip {name} has no constant {key!r}: {nearest(key, known)}")


def _loaded(name: str) -> Chip:
    loaded: Chip | Callable[[], Chip] = load(name, f"chip {name!r}", HardwareError)
    try:
        made = loaded if isinstance(loaded, Chip) or not callable(loaded) else loaded()
    except Exception as error:  # somebody else's code may fail in any way
        raise HardwareError(f"chip {name!r} cannot be made ({own_code(error)}): mend it.") from error
    if not isinstance(made, Chip):
        raise HardwareError(
            f"chip {name!r} is a {type(made).__name__}: let it be an analognas.hardware.chips.Chip, or a function "
            "without arguments that returns one."
        )
    return made
