"""Digital and hardware-aware training, and accuracy under drift.

Importing this package is cheap; torch and aihwkit are loaded when a name that needs them is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analognas.training.protocol import Characterization, characterize
    from analognas.training.winner import Winner, load_winner, save_winner

__all__ = [
    "Characterization",
    "Winner",
    "characterize",
    "load_winner",
    "save_winner",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"analognas.training.{'winner' if 'inner' in name else 'protocol'}")
    return getattr(module, name)
