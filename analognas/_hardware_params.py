"""The section ``hardware`` of ``params.yaml``, and what all sections have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Section(BaseModel):
    """One section of ``params.yaml``: frozen, without other keys than its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class HardwareParams(Section):
    """The chip that is simulated."""

    rpu_config: str = "analognas-bench"
    """Preset (``analognas hardware``), the library's or a package's, or ``module:function`` that returns an aihwkit RPU
    configuration."""
    tile_size: Annotated[int, Field(ge=8, le=4096)] = 256
    """Rows and columns of one analog tile; null: the preset's, 256 for ``module:function``."""
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

    @model_validator(mode="before")
    @classmethod
    def _tiles_of_the_preset(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or data.get("tile_size") is not None:
            return data
        from analognas.hardware.presets import tile_size

        return {**data, "tile_size": tile_size(str(data.get("rpu_config", cls.model_fields["rpu_config"].default)))}
