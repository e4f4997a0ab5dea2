"""MLflow: what the stages wrote is logged there, and the registered evaluators and winners are kept there.

Nothing outside of this room touches MLflow, and nothing in it loads MLflow (seconds) before it is asked.
"""

from __future__ import annotations

from analognas.tracking import standing
from analognas.tracking.connection import registered_name, tracking_uri
from analognas.tracking.syncing import SyncReport, download, forget, sync

__all__ = ["SyncReport", "download", "forget", "registered_name", "standing", "sync", "tracking_uri"]
