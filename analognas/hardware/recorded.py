"""A chip as ``hardware.json`` holds it: recorded, and rebuilt from the record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from analognas import files
from analognas.errors import MismatchError
from analognas.hardware.params import HardwareParams, ToldHardware
from analognas.hardware.rpu_config import OVERRIDES, describe, overrides, rpu_config, shape_of


class HardwareRecord(ToldHardware):
    """What ``hardware.json`` holds: a chip for people, and its whole configuration with a digest of it."""

    digest: str
    description: dict[str, Any]


def record(spec: HardwareParams) -> HardwareRecord:
    """Return what ``hardware.json`` holds: enough to rebuild the configuration and to see that it is the same."""
    config = rpu_config(spec)
    description = describe(config)
    recorded = {
        "rpu_config": spec.rpu_config,
        "tile_size": shape_of(config, spec.rpu_config).plain(),
        "layers": spec.layers,
        # What is not set is left out: then the record is the one it was before there was anything to set.
        **overrides(spec),
        "digest": files.digest(description)[:16],
        "description": description,
    }
    return cast("HardwareRecord", recorded)


def from_record(recorded: Mapping[str, Any]) -> tuple[HardwareParams, Any]:
    """Return the hardware of ``record`` and its configuration, rebuilt.

    Raises:
        HardwareError: if the configuration cannot be made here.
        MismatchError: if what is made here is not what was recorded; the message names the first difference.
    """
    spec = spec_of(recorded)
    config = rpu_config(spec)
    difference = _difference(recorded["description"], describe(config), "rpu_config")
    if difference:
        raise MismatchError(
            f"Hardware {spec.rpu_config!r} is no longer what was recorded: {difference}; "
            "use the version of it, and of aihwkit, that the record was made with."
        )
    return spec, config


def spec_of(recorded: Mapping[str, Any]) -> HardwareParams:
    """Return the hardware of ``record``, not compared with what is made here; raises HardwareError if it is unknown."""
    given = {name: recorded[name] for name in ("rpu_config", "layers", *OVERRIDES) if name in recorded}
    spec = HardwareParams(**given)
    if spec.tile_shape.plain() != recorded["tile_size"]:  # asked for in place of the configuration's own
        spec = HardwareParams(**given, tile_size=recorded["tile_size"])
    return spec


def _difference(recorded: Any, present: Any, path: str) -> str | None:
    if isinstance(recorded, Mapping) and isinstance(present, Mapping):
        for key in sorted({*recorded, *present}):
            difference = _difference(recorded.get(key, "absent"), present.get(key, "absent"), f"{path}.{key}")
            if difference:
                return difference
        return None
    return None if recorded == present else f"{path} was {recorded!r} and is {present!r}"
