"""What a search maximises and what it must hold: objective, constraints, and why nothing was feasible."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analognas.errors import SearchError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analognas.search_algorithms.records import Evaluated
    from analognas.search_spaces.config_space import ConfigSpace

OBJECTIVES = ("penalized", "ratio")

#: Percentage points below which the published ratio does not reward a smaller standard deviation.
STD_FLOOR = 0.1


def whole(name: str, value: int, least: int) -> int:
    """Return ``value`` as an int; SearchError if it is no whole number of at least ``least``."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value < least:
        raise SearchError(f"{name} is {value!r}: it must be a whole number of at least {least}.")
    return int(value)


def _finite(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)


class InfeasibleError(SearchError):
    """A search evaluated architectures, but none of them satisfies the constraints."""


@dataclass(frozen=True)
class Objective:
    """What is maximised.

    Args:
        kind: ``"penalized"`` is ``acc_1d - k * acc_1d_std``, in percent. ``"ratio"`` is the published
            fitness, accuracy over its standard deviation (arXiv 2305.10459), with the standard deviation
            floored at 0.1 percentage points: without the floor a network whose predicted spread is near
            zero wins whatever its accuracy.
        k: percentage points of accuracy that one point of standard deviation costs (``"penalized"`` only).

    Raises:
        SearchError: if ``kind`` is unknown or ``k`` is negative or not finite.
    """

    kind: str = "penalized"
    k: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in OBJECTIVES:
            raise SearchError(f"unknown objective {self.kind!r}: use one of {', '.join(OBJECTIVES)}.")
        if not (_finite(self.k) and self.k >= 0):
            raise SearchError(f"k is {self.k!r}: it must be 0 or more.")

    def __call__(self, values: pd.DataFrame) -> NDArray[np.float64]:
        """Return the objective of every row, shape (n,), from its ``acc_1d`` and ``acc_1d_std``."""
        accuracy = values["acc_1d"].to_numpy(dtype=np.float64)
        spread = values["acc_1d_std"].to_numpy(dtype=np.float64)
        if self.kind == "ratio":
            return np.asarray(accuracy / np.maximum(spread, STD_FLOOR))
        return np.asarray(accuracy - self.k * spread)


@dataclass(frozen=True)
class Constraints:
    """What everything that a search returns must satisfy.

    Args:
        max_nb_param: most trainable parameters; None: the budget of the space, if it has one.
        T_AVM: largest accuracy variation of one month in percentage points, held by ``avm_high``, the upper
            bound of the predicted 90 % interval (by ``avm`` where measured values are told); None: no limit.
        min_acc_1d: least accuracy after one day in percent; None: halfway between chance and 100 %. Without
            it a dead network, which has nothing to lose, would satisfy every limit on its variation.

    Raises:
        SearchError: if a limit is out of range.
    """

    max_nb_param: int | None = None
    T_AVM: float | None = None
    min_acc_1d: float | None = None

    def __post_init__(self) -> None:
        if self.max_nb_param is not None:
            whole("max_nb_param", self.max_nb_param, 1)
        if self.T_AVM is not None and not _finite(self.T_AVM):
            raise SearchError(f"T_AVM is {self.T_AVM!r}: give percentage points, or None for no limit.")
        if self.min_acc_1d is not None and not (_finite(self.min_acc_1d) and 0 <= self.min_acc_1d <= 100):
            raise SearchError(f"min_acc_1d is {self.min_acc_1d!r}: it must be between 0 and 100 percent.")

    def resolve(self, space: ConfigSpace) -> Constraints:
        """Return these constraints with the defaults that follow from ``space``.

        Raises:
            SearchError: if the smallest network of the space has more than ``max_nb_param`` parameters.
        """
        limits = [limit for limit in (self.max_nb_param, space.max_params) if limit is not None]
        limit = min(limits, default=None)
        smallest = space.smallest().params
        if limit is not None and smallest > limit:
            raise SearchError(
                f"max_nb_param is {limit}, but the smallest network of {space.name} has {smallest} "
                f"parameters: allow at least {smallest}, or widen the space downwards."
            )
        accuracy = self.min_acc_1d
        if accuracy is None:
            accuracy = (100 / space.classes + 100) / 2
        return replace(self, max_nb_param=limit, min_acc_1d=accuracy)

    @property
    def active(self) -> tuple[str, ...]:
        """Return the names of the constraints that are set."""
        return tuple(field.name for field in fields(self) if getattr(self, field.name) is not None)

    def violations(self, params: NDArray[np.float64], values: pd.DataFrame | None) -> NDArray[np.float64]:
        """Return by how much each architecture breaks each active constraint.

        Args:
            params: parameters of the architectures, shape (n,).
            values: ``acc_1d`` and ``avm_high`` or ``avm`` of each, n rows; None if only the objective is
                known, then the constraints on them are taken as met.

        Returns:
            Shape (n, constraints) in the order of ``active``; 0 where met, NaN where the value is missing.
            Units are percentage points, and percent of the limit for parameters, so that they can be added.
        """
        columns = [np.maximum(gap, 0) for gap in self._gaps(params, values).values()]
        return np.stack(columns, axis=1) if columns else np.zeros((len(params), 0))

    def _gaps(self, params: NDArray[np.float64], values: pd.DataFrame | None) -> dict[str, NDArray[np.float64]]:
        """Return value beyond the limit (positive: violated) by the name of the constraint."""
        gaps: dict[str, NDArray[np.float64]] = {}
        met = np.zeros(len(params))
        if self.max_nb_param is not None:
            gaps["max_nb_param"] = 100 * (params / self.max_nb_param - 1)
        if self.T_AVM is not None:
            gaps["T_AVM"] = met if values is None else _variation(values) - self.T_AVM
        if self.min_acc_1d is not None:
            accuracy = None if values is None else values["acc_1d"].to_numpy(dtype=np.float64)
            gaps["min_acc_1d"] = met if accuracy is None else self.min_acc_1d - accuracy
        return gaps

    def explain(self, evaluated: Iterable[Evaluated]) -> str:
        """Return which constraint excludes what and by how much, and the remedy, in two sentences.

        Args:
            evaluated: everything that was evaluated, none of it feasible.
        """
        records = list(evaluated)
        alive = [record for record in records if math.isfinite(record.violation)]
        if not alive:
            return (
                f"none of the {len(records)} architectures could be evaluated, every value is missing: "
                "check the evaluator, or the values that were told."
            )
        sizes = np.array([record.architecture.params for record in alive], dtype=np.float64)
        known = pd.DataFrame([record.row for record in alive])
        parts: list[str] = []
        remedies: dict[str, float] = {}
        for name, gap in self._gaps(sizes, known if len(known.columns) else None).items():
            broken = int((gap > 0).sum())
            if broken:
                limit, nearest = getattr(self, name), float(np.nanmin(gap))
                parts.append(f"{name} = {limit} excludes {broken} ({_closest(name, limit, nearest)})")
                remedies["lower min_acc_1d" if name == "min_acc_1d" else f"raise {name}"] = nearest
        # A limit that some architecture meets is not to blame where another one is met by none.
        to_blame = [remedy for remedy, nearest in remedies.items() if nearest > 0] or list(remedies)
        lost = f"; {len(records) - len(alive)} failed" if len(alive) < len(records) else ""
        return (
            f"none of the {len(records)} architectures evaluated satisfies the constraints: "
            f"{'; '.join(parts)}{lost}. {_capital(' or '.join(to_blame))}, "
            "search longer (population_size, nb_iter), or widen the space."
        )


def _closest(name: str, limit: float, gap: float) -> str:
    """Return the value that comes closest to its limit; ``gap`` is what it is beyond it."""
    side = f"{gap:.2f} points off" if gap > 0 else "which meets it, but not together with the others"
    if name == "max_nb_param":
        return f"the smallest has {limit * (1 + gap / 100):.0f} parameters"
    if name == "T_AVM":
        return f"the lowest upper bound of the AVM is {limit + gap:.2f}, {side}"
    return f"the highest acc_1d is {limit - gap:.2f}, {side}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _variation(values: pd.DataFrame) -> NDArray[np.float64]:
    name = "avm_high" if "avm_high" in values else "avm"
    return values[name].to_numpy(dtype=np.float64)
