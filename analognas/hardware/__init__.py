"""Simulated analog hardware: its description (``rpu_config``), networks on it (``analog``), its cost (``cost``).

Importing this package is cheap; torch and aihwkit are loaded when a name that needs them is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analognas.hardware.analog import (
        clean_state,
        convert,
        from_aihwkit,
        load_clean_state,
        number_of_tiles,
        to_aihwkit,
    )
    from analognas.hardware.carrying_over import torch_tiles

__all__ = [
    "clean_state",
    "convert",
    "from_aihwkit",
    "load_clean_state",
    "number_of_tiles",
    "to_aihwkit",
    "torch_tiles",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from analognas.hardware import analog, carrying_over

    return getattr(carrying_over if name == "torch_tiles" else analog, name)
