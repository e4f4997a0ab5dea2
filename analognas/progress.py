"""How far something is: what is called while it goes on."""

from __future__ import annotations

from collections.abc import Callable

#: Called with what was done, what there is to do, and one line about it.
Progress = Callable[[float, float, str], None]
#: The same of a run of several stages, with the stage before it.
RunProgress = Callable[[str, float, float, str], None]


def silent(done: float, total: float, text: str) -> None:
    """Report nothing."""
