"""DVC: what of a workspace is up to date, its versions, and what a team shares over a remote.

Nothing outside of this room touches DVC.
"""

from __future__ import annotations

from analognas.versioning.repository import Versioning, certainly_stale

__all__ = ["Versioning", "certainly_stale"]
