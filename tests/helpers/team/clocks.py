"""Waiting, and how long it took: events of a month, and what was seen in each."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

#: What was seen in each event, and its seconds: the summary of pytest shows it.
STORY: list[tuple[str, float, str]] = []


def until(done: Callable[[], Any], what: str, seconds: float = 1200) -> Any:
    """Wait until something is true, and return it; a server that is just started again is asked once more."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError):
            if value := done():
                return value
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.2)


@contextlib.contextmanager
def event(name: str) -> Iterator[list[str]]:
    """Play an event; what is put into the list is what was seen."""
    seen: list[str] = []
    began = time.monotonic()
    try:
        yield seen
    except BaseException:
        seen.append("FAILED")
        raise
    finally:
        STORY.append((name, time.monotonic() - began, "; ".join(seen)))
