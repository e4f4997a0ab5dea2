"""The drivers: Prefect's flows over the stages, and the processes, Dask or Ray that characterize side by side.

A workspace's ``flows/`` import from here alone, and nothing outside of this room touches Prefect, Dask or Ray. None of
them is loaded before a flow runs.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analognas.orchestration.flows import run_pipeline
    from analognas.orchestration.sessions import Freshness, current, session, stage

__all__ = ["Freshness", "current", "run_pipeline", "session", "stage"]


def __getattr__(name: str) -> Any:
    if name in __all__:  # the workers of a cluster import one module of this room, and nothing else of it
        module = "flows" if name == "run_pipeline" else "sessions"
        return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
