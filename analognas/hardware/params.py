"""The section ``hardware`` of ``params.yaml``: the chip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired, TypedDict, cast

from pydantic import Field, field_validator, model_validator

from analognas.hardware.chips import COST_LIMITS as COST_LIMITS
from analognas.section import Section

if TYPE_CHECKING:
    from analognas.hardware.chips import Chip
    from analognas.hardware.tile_shape import TileShape

#: Fewest and most rows or columns that ``tile_size`` may ask for; a configuration of the user's own may have others.
_SIDES = (8, 4096)


class ToldHardware(TypedDict):
    """A chip for people: what is set of ``HardwareParams``, and its tiles in any case."""

    rpu_config: str
    tile_size: int | list[int]
    layers: str
    dac_bits: NotRequired[int]
    adc_bits: NotRequired[int]
    out_noise: NotRequired[float]
    weight_noise: NotRequired[float]
    g_max: NotRequired[float]
    prog_noise_scale: NotRequired[float]
    read_noise_scale: NotRequired[float]
    drift_scale: NotRequired[float]


class HardwareParams(Section):
    """The chip that is simulated."""

    rpu_config: str = "analognas-bench"
    """Preset (``analognas hardware``), the library's or a package's, or ``module:function`` that returns an aihwkit RPU
    configuration."""
    tile_size: int | tuple[int, int] | None = None
    """Rows and columns of one analog tile, one number or [rows, columns], in place of the configuration's own; null:
    its own. 0 rows or columns: layers are not split there."""
    layers: Literal["fast", "aihwkit"] = "fast"
    """Who computes the analog layers: the fast ones, or aihwkit's own, about ten times as slowly."""
    dac_bits: Annotated[int, Field(ge=2, le=24)] | None = None
    """Bits of the converters at the inputs of a tile; null, here and below: the preset's."""
    adc_bits: Annotated[int, Field(ge=2, le=24)] | None = None
    """Bits of the converters at its outputs."""
    out_noise: Annotated[float, Field(ge=0)] | None = None
    """Standard deviation of the noise before the output converters, in units of full weight times full input."""
    weight_noise: Annotated[float, Field(ge=0)] | None = None
    """Standard deviation of the noise injected in hardware-aware training, in units of a tile's largest weight."""
    g_max: Annotated[float, Field(gt=0)] | None = None
    """Conductance of the largest weight, microsiemens."""
    prog_noise_scale: Annotated[float, Field(ge=0)] | None = None
    """Factor on the noise of programming."""
    read_noise_scale: Annotated[float, Field(ge=0)] | None = None
    """Factor on the noise of reading that has accumulated since."""
    drift_scale: Annotated[float, Field(ge=0)] | None = None
    """Factor on the drift."""

    @field_validator("tile_size", mode="before")
    @classmethod
    def _sides(cls, given: Any) -> int | tuple[int, int] | None:
        if given is None:
            return None
        both = isinstance(given, list | tuple)
        sides = [_side(side) for side in (given if both else (given, given))]
        if None in sides or len(sides) != 2 or (not both and sides[0] == 0):
            raise ValueError(
                f"give one number of {_SIDES[0]} to {_SIDES[1]} for rows and columns, or [rows, columns], 0 for a side "
                "that is not split"
            )
        rows, columns = (side or 0 for side in sides)
        return rows if rows == columns > 0 else (rows, columns)

    @model_validator(mode="before")
    @classmethod
    def _preset_is_there(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("tile_size") is None:
            from analognas.hardware.presets import preset

            name = str(data.get("rpu_config", cls.model_fields["rpu_config"].default))
            if ":" not in name:
                preset(name)
        return data

    @property
    def tile_shape(self) -> TileShape:
        """The rows and columns of one analog tile of this chip, wherever they are said.

        Those of ``tile_size``, else those of the preset, else those of the configuration that the preset or the
        function makes: only then aihwkit is loaded.

        Raises:
            HardwareError: if the configuration cannot be made.
        """
        from analognas.hardware.presets import said_tiles
        from analognas.hardware.tile_shape import TileShape

        if self.tile_size is not None:
            return TileShape.of(self.tile_size)
        said = said_tiles(self.rpu_config)
        if said is not None:
            return said
        from analognas.hardware.rpu_config import rpu_config, shape_of

        return shape_of(rpu_config(self), self.rpu_config)

    def told(self) -> ToldHardware:
        """Return the chip as plain JSON values, for people: what is set, and its tiles in any case."""
        given = self.model_dump(mode="json", exclude_none=True)
        told = {"rpu_config": self.rpu_config, "tile_size": self.tile_shape.plain()} | {
            name: value for name, value in given.items() if name != "tile_size"
        }
        return cast("ToldHardware", told)


class CostParams(Section):
    """The chip whose tiles, time and energy are told of a network: nothing that is measured hangs on it."""

    chip: str | None = None
    """``analognas-projected``, ``hermes-1-phase``, ``hermes-4-phase``, ``zigzag-28nm``, ``own`` (constants of yours
    alone), ``module:name`` of a ``hardware.chips.Chip``; null: the usual one for the tiles of the simulated chip."""
    constants: dict[str, Annotated[float, Field(strict=True)]] = Field(default_factory=dict)
    """Others than the chip's, e.g. ``vector_ns: 40``; see ``analognas hardware``."""

    def of(self, hardware: HardwareParams) -> Chip:
        """Return the chip, with the tiles of the simulated one.

        Raises:
            HardwareError: if there is no such chip or constant, or its tiles are others.
        """
        from analognas.hardware.chips import chip

        bits = {name: getattr(hardware, name) for name in ("dac_bits", "adc_bits") if getattr(hardware, name)}
        return chip(self.chip, hardware.tile_shape, constants=self.constants, **bits)


def _side(given: Any) -> int | None:
    """Return a number of rows or columns, None if it is none that may be asked for."""
    if isinstance(given, str) and given.isdecimal():
        given = int(given)
    if isinstance(given, bool) or not isinstance(given, int | float) or given != int(given):
        return None
    return int(given) if given == 0 or _SIDES[0] <= given <= _SIDES[1] else None
