"""Simulated analog hardware: its description, and networks on it.

Importing this package is cheap; torch and aihwkit are loaded when a name that needs them is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analognas.hardware.analog import clean_state, convert, load_clean_state, number_of_tiles
    from analognas.hardware.rpu_config import describe, digest, rpu_config

__all__ = [
    "clean_state",
    "convert",
    "describe",
    "digest",
    "load_clean_state",
    "number_of_tiles",
    "rpu_config",
]

_ANALOG = ("clean_state", "convert", "load_clean_state", "number_of_tiles")


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = "analog" if name in _ANALOG else "rpu_config"
    loaded = import_module(f"analognas.hardware.{module}")
    # `rpu_config` is a module and a function in it: keep the function, which importing the module shadowed.
    for public in _ANALOG if module == "analog" else ("describe", "digest", "rpu_config"):
        globals()[public] = getattr(loaded, public)
    return globals()[name]
