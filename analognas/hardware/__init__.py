"""Simulated analog hardware: its description (``rpu_config``), networks on it (``analog``), its cost (``cost``).

Importing this package is cheap; torch and aihwkit are loaded when a name that needs them is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

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

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "analog": ["clean_state", "convert", "from_aihwkit", "load_clean_state", "number_of_tiles", "to_aihwkit"],
        "carrying_over": ["torch_tiles"],
    },
)
