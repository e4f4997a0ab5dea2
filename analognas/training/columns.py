"""The measured columns of a result, and the times after programming that they are named by."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import NotRequired, TypedDict

from analognas.errors import ParamsError

_DAY = 86_400
_NAMES = {1.0: "1 s", 60.0: "1 min", 3_600.0: "1 h", 86_400.0: "1 day", 604_800.0: "1 week", 2_592_000.0: "30 days"}
_UNITS = {"s": 1, "min": 60, "h": 3600, "d": _DAY, "w": 7 * _DAY}
_TIME = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*([a-z]*)\s*", re.IGNORECASE)

#: Seconds after programming at which the fixed targets are taken.
ONE_SECOND, ONE_DAY, THIRTY_DAYS = 1.0, float(_DAY), float(30 * _DAY)


class NetworkFigures(TypedDict):
    """What was measured of a network: parameters, tiles, programmings, and the measured columns.

    Accuracies are percent, AVM and standard deviations percentage points. The columns of the fixed times are named
    here; there is one of each time of the protocol, see ``measured_columns``, and what was looked up has fewer.
    """

    params: int
    tiles: int
    repeats: int
    acc_digital: float
    acc_1d: float
    acc_1d_std: float
    avm: float
    acc_hwa: NotRequired[float]
    acc_1s: NotRequired[float]
    acc_1s_std: NotRequired[float]
    acc_30d: NotRequired[float]
    acc_30d_std: NotRequired[float]
    avm_std: NotRequired[float]


class ArchitectureFigures(NetworkFigures):
    """What was measured of an architecture on test, and of a winner its accuracy on validation."""

    id: str
    acc_1d_validation: NotRequired[float]


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


def time_name(seconds: float) -> str:
    """Return a time after programming as people write it: ``1 s``, ``1 h``, ``1 day``, ``30 days``."""
    return _NAMES.get(seconds, f"{seconds:g} s")


def seconds_of(text: str) -> float:
    """Return the seconds of a time after programming as people write it: ``1s``, ``10min``, ``1h``, ``30d``, ``2w``.

    Raises:
        ParamsError: if it is something else; a number without its unit, too.
    """
    match = _TIME.fullmatch(text)
    unit = match and _UNITS.get(match[2].lower())
    seconds = float(match[1]) * unit if match and unit else 0.0
    return checked_seconds(seconds, text)


def checked_seconds(seconds: float, given: object = None) -> float:
    """Return a time after programming, seconds; raises ParamsError unless it is a positive, finite number."""
    if isinstance(seconds, bool) or not (math.isfinite(seconds) and seconds > 0):
        given = seconds if given is None else given
        raise ParamsError(f"{given!r} is no time after programming: write 1s, 10min, 1h, 1d or 30d.")
    return float(seconds)


def measured_columns(times: Iterable[float]) -> tuple[str, ...]:
    """Return the names of the measured columns of a row, in order."""
    labels = [time_label(time) for time in times]
    names = ["acc_digital", "acc_hwa"]
    names += [f"acc_{label}{suffix}" for label in labels for suffix in ("", "_std", "_sem")]
    return (*names, "avm", "avm_std", "avm_sem")
