"""Whom to tell what happened while nobody looked: a webhook or a command of the user's, and nobody unless she says so.

A notice is written as a small file before it is sent, and stays until the receiver has taken it.
"""

from __future__ import annotations

from analognas.notices.going import alive, crashed, going_on
from analognas.notices.outbox import resume, tell, waiting

__all__ = ["alive", "crashed", "going_on", "resume", "tell", "waiting"]
