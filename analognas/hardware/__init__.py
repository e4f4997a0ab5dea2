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

__all__ = ["clean_state", "convert", "from_aihwkit", "load_clean_state", "number_of_tiles", "to_aihwkit"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from analognas.hardware import analog

    return getattr(analog, name)
