"""The cells of NAS-Bench-201: their family, their space, and the published table of how they fare on an analog chip."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from analognas.search_spaces.nasbench201.cell import EDGES, OPERATIONS
from analognas.search_spaces.nasbench201.family import NASBench201, NASBench201Space

if TYPE_CHECKING:
    from analognas.search_spaces.nasbench201.table import AnalogNASBench

__all__ = ["EDGES", "OPERATIONS", "AnalogNASBench", "NASBench201", "NASBench201Space"]

# It needs pandas.
__getattr__, __dir__, _ = lazy_loader.attach(__name__, submod_attrs={"table": ["AnalogNASBench"]})
