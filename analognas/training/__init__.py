"""Digital and hardware-aware training, and accuracy under drift.

Importing this package is cheap; torch and aihwkit are loaded when a name that needs them is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from analognas.training.measured import load_measured
    from analognas.training.own import OwnNetwork
    from analognas.training.protocol import Characterization, characterize
    from analognas.training.winner import Winner, load_winner, save_winner

__all__ = [
    "Characterization",
    "OwnNetwork",
    "Winner",
    "characterize",
    "load_measured",
    "load_winner",
    "save_winner",
]

__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "measured": ["load_measured"],
        "own": ["OwnNetwork"],
        "protocol": ["Characterization", "characterize"],
        "winner": ["Winner", "load_winner", "save_winner"],
    },
)
