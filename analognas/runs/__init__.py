"""The runs of a workspace: what ran, how two differ, an earlier one back again, the same with other values."""

from __future__ import annotations

from analognas.runs.finding import Listing, Run, find, listed

__all__ = ["Listing", "Run", "find", "listed"]
