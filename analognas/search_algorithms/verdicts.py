"""Whether limits hold, as far as it is known: held, not shown, or broken."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict, cast

from analognas.hardware.chips import COST_LIMITS
from analognas.search_algorithms.constraints import Constraints

if TYPE_CHECKING:
    from analognas.search_spaces.architecture import Architecture

#: From best to worst: the whole 90 % interval is within the limit, the limit is inside of it, all of it is beyond.
HELD, NOT_SHOWN, BROKEN = STATUSES = ("held", "not shown", "broken")

#: The value that a limit is asked of, its sign (1: at most) and its unit.
_ASKED = {"T_AVM": ("avm", 1, "points"), "min_acc_1d": ("acc_1d", -1, "%")}
_WORDS = {
    "T_AVM": "at most {limit:g} points lost in a month",
    "min_acc_1d": "at least {limit:g} % after a day",
    "tiles": "at most {limit:g} tiles",
    "latency_us": "at most {limit:g} us for an inference",
    "interval_us": "at most {limit:g} us from one answer to the next",
    "energy_uj": "at most {limit:g} uJ for an inference",
}
_UNITS = {"tiles": "tiles", "latency_us": "us", "interval_us": "us", "energy_uj": "uJ"}


@dataclass(frozen=True)
class Verdict:
    """What is known of one limit.

    Args:
        name: ``T_AVM`` or ``min_acc_1d``, or one of ``COST_LIMITS``.
        limit: in percentage points or percent; of a cost in its unit.
        value: what is predicted or was measured, in the same unit; of a cost what follows from the architecture.
        low, high: its 90 % interval; of a cost, which is exact for its chip, the value itself.
        status: ``held``, ``not shown`` or ``broken``.
    """

    name: str
    limit: float
    value: float
    low: float
    high: float
    status: str

    def __str__(self) -> str:
        limit = _WORDS[self.name].format(limit=self.limit)
        if self.name in COST_LIMITS:
            figure = f"{self.value:.4g} {_UNITS[self.name]}"
            return f"search.constraints.{self.name} ({limit}) {_VERBS[self.status]}: {figure}"
        figures = f"{self.value:.2f} {_ASKED[self.name][2]}, 90 % interval {self.low:.2f} to {self.high:.2f}"
        return f"search.{self.name} ({limit}) {_VERBS[self.status]}: {figures}"


class LimitFigures(TypedDict):
    """A ``Verdict`` in JSON, without its name."""

    limit: float
    value: float
    low: float
    high: float
    status: str


class Described(TypedDict):
    """The verdicts on the limits that are set, and the worst status."""

    status: str
    T_AVM: NotRequired[LimitFigures]
    min_acc_1d: NotRequired[LimitFigures]
    tiles: NotRequired[LimitFigures]
    latency_us: NotRequired[LimitFigures]
    interval_us: NotRequired[LimitFigures]
    energy_uj: NotRequired[LimitFigures]


_VERBS = {HELD: "is held", NOT_SHOWN: "is not shown to hold", BROKEN: "is broken"}


def verdicts(constraints: Constraints, values: Mapping[Any, Any], architecture: Architecture) -> list[Verdict]:
    """Return the verdict on each limit that is set, but for the parameters, which always hold.

    Args:
        constraints: resolved for the space.
        values: of the architecture by name: ``acc_1d`` and ``avm``, each perhaps with ``_low`` and ``_high``.
        architecture: what is judged: its costs follow from it.
    """
    judged = []
    for name, (column, sign, _) in _ASKED.items():
        limit = getattr(constraints, name)
        if limit is None or column not in values:
            continue
        value = float(values[column])
        low, high = (float(values.get(f"{column}_{end}", value)) for end in ("low", "high"))
        best, worst = (low, high) if sign > 0 else (-high, -low)
        status = HELD if worst <= sign * limit else BROKEN if best > sign * limit else NOT_SHOWN
        judged.append(Verdict(name, float(limit), value, low, high, status))
    return judged + _of_costs(constraints, architecture)


def _of_costs(constraints: Constraints, architecture: Architecture) -> list[Verdict]:
    if constraints.cost is None:
        return []
    known = constraints.cost.costs([architecture]).iloc[0]
    judged = []
    for column, cost in known.items():
        name, value = str(column), float(cost)
        limit = float(constraints.cost.limits[name])
        judged.append(Verdict(name, limit, value, value, value, HELD if value <= limit else BROKEN))
    return judged


def with_interval(row: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return measured values (and ``repeats``) with 90 % intervals over programmings of what limits are asked of."""
    from scipy.stats import t as student

    extended = dict(row)
    for column, _, _ in _ASKED.values():
        sem, repeats = (float(row.get(name) or math.nan) for name in (f"{column}_sem", "repeats"))
        if not (math.isfinite(sem) and repeats >= 2):  # what was looked up has none
            continue
        half = float(student.ppf(0.95, repeats - 1)) * sem
        extended |= {f"{column}_low": row[column] - half, f"{column}_high": row[column] + half}
    return extended


def overall(judged: Iterable[Verdict]) -> str:
    """Return the worst status; ``held`` if there is no limit."""
    return max((verdict.status for verdict in judged), key=STATUSES.index, default=HELD)


def described(judged: list[Verdict]) -> Described:
    """Return a JSON-serializable description: ``status`` (the worst), and the figures of each limit by its name."""
    figures = {
        verdict.name: {key: value for key, value in asdict(verdict).items() if key != "name"} for verdict in judged
    }
    return cast("Described", {"status": overall(judged), **figures})


def from_described(data: Mapping[str, Any]) -> list[Verdict]:
    """Return the verdicts that ``described`` described."""
    return [Verdict(name, **figures) for name, figures in data.items() if name in _WORDS]
