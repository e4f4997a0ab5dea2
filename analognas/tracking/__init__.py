"""MLflow: what the stages wrote is logged there, and the registered evaluators and winners are kept there.

Nothing outside of this room touches MLflow, and nothing in it loads MLflow (seconds) before it is asked.
"""

from __future__ import annotations

from analognas.tracking.connection import registered_name, tracking_uri
from analognas.tracking.syncing import SyncReport, download, sync

__all__ = ["SyncReport", "download", "registered_name", "sync", "tracking_uri"]
