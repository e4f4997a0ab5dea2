"""The measured columns of a result, and the times after programming that they are named by."""

from __future__ import annotations

from collections.abc import Iterable

_DAY = 86_400

#: Seconds after programming at which the fixed targets are taken.
ONE_SECOND, ONE_DAY, THIRTY_DAYS = 1.0, float(_DAY), float(30 * _DAY)


def time_label(seconds: float) -> str:
    """Return the name of a time after programming: 1 s is ``1s``, 3600 s ``1h``, 86400 s ``1d``."""
    whole = int(seconds)
    if whole != seconds:
        return f"{seconds:g}s"
    if whole and whole % _DAY == 0:
        return f"{whole // _DAY}d"
    if whole and whole % 3600 == 0:
        return f"{whole // 3600}h"
    return f"{whole}s"


def measured_columns(times: Iterable[float]) -> tuple[str, ...]:
    """Return the names of the measured columns of a row, in order."""
    labels = [time_label(time) for time in times]
    names = ["acc_digital", "acc_hwa"]
    names += [f"acc_{label}{suffix}" for label in labels for suffix in ("", "_std", "_sem")]
    return (*names, "avm", "avm_std", "avm_sem")
