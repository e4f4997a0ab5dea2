"""The drivers: Prefect's flows over the stages, and the processes, Dask or Ray that characterize side by side.

A workspace's ``flows/`` import from here alone, and nothing outside of this room touches Prefect, Dask or Ray. None of
them is loaded before a flow runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from analognas.orchestration.flows import run_pipeline
    from analognas.orchestration.freshness import Freshness
    from analognas.orchestration.sessions import current, ended, session, stage

__all__ = ["Freshness", "current", "ended", "run_pipeline", "session", "stage"]

# The workers of a cluster import one module of this room, and nothing else of it.
__getattr__, __dir__, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "flows": ["run_pipeline"],
        "freshness": ["Freshness"],
        "sessions": ["current", "ended", "session", "stage"],
    },
)
