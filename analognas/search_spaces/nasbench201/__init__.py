"""The cells of NAS-Bench-201: their family, their space, and the published table of how they fare on an analog chip."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analognas.search_spaces.nasbench201.cell import EDGES, OPERATIONS
from analognas.search_spaces.nasbench201.family import NASBench201, NASBench201Space

if TYPE_CHECKING:
    from analognas.search_spaces.nasbench201.table import AnalogNASBench

__all__ = ["EDGES", "OPERATIONS", "AnalogNASBench", "NASBench201", "NASBench201Space"]


def __getattr__(name: str) -> Any:
    if name == "AnalogNASBench":  # it needs pandas
        from analognas.search_spaces.nasbench201.table import AnalogNASBench

        return AnalogNASBench
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
