"""Whether conversions say what of a chip the fast layers leave to aihwkit, and the sentence that says it.

The driver of a run tells it once; the processes that do the work are silent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_silent: ContextVar[bool] = ContextVar("analognas_coverage_silent", default=False)


def sentence(reason: str, which: str) -> str:
    """Return what is said of a setting that the fast layers do not compute in these layers."""
    return (
        f"{reason} is not computed by the fast analog layers: {which} stay aihwkit's, "
        "which take about ten times as long to train and to evaluate; the results are the same."
    )


@contextmanager
def silent() -> Iterator[None]:
    """Let conversions say nothing of it: somebody else has."""
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


def silence() -> None:
    """Let conversions in this thread say nothing of it from now on."""
    _silent.set(True)


def is_silent() -> bool:
    """Return whether conversions say nothing of it."""
    return _silent.get()
