"""What a search maximises and what it must hold: objective, constraints, and why nothing was feasible."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analognas.errors import SearchError
from analognas.hardware.chips import COST_LIMITS, Chip
from analognas.hardware.chips import chip as chip_named
from analognas.hardware.cost import costs
from analognas.plugins import nearest
from analognas.search_algorithms.records import rows_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analognas.search_algorithms.records import Evaluated
    from analognas.search_spaces.architecture import Architecture
    from analognas.search_spaces.config_space import ConfigSpace

OBJECTIVES = ("penalized", "quantile", "ratio")

#: What of a predicted AVM a limit is asked of: its mean, or the upper end of its 90 % interval.
AVM_BOUNDS = ("mean", "upper")

#: The limits, in the order in which they are reported.
NAMES = ("max_nb_param", "T_AVM", "min_acc_1d", *COST_LIMITS)

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
    """A search that must hold its limits (``strict``) evaluated architectures, and none of them holds all."""


@dataclass(frozen=True)
class Objective:
    """What is maximised.

    Args:
        kind: ``"penalized"`` is ``acc_1d - k * acc_1d_std``, in percent. ``"ratio"`` is the published
            fitness, accuracy over its standard deviation (arXiv 2305.10459), with the standard deviation
            floored at 0.1 percentage points: without the floor a network whose predicted spread is near
            zero wins whatever its accuracy. ``"quantile"`` is the worst case: the quantile of the accuracy over
            programmings as that of a normal distribution, percent.
        k: percentage points of accuracy that one point of standard deviation costs (``"penalized"`` only).
        quantile: which one (``"quantile"`` only), above 0, at most 0.5: with 0.05 nineteen of twenty programmings keep
            more.

    Raises:
        SearchError: if ``kind`` is unknown, ``k`` is negative or not finite, or ``quantile`` is none.
    """

    kind: str = "penalized"
    k: float = 1.0
    quantile: float = 0.05

    def __post_init__(self) -> None:
        if self.kind not in OBJECTIVES:
            raise SearchError(f"unknown objective {self.kind!r}: use one of {', '.join(OBJECTIVES)}.")
        if not (_finite(self.k) and self.k >= 0):
            raise SearchError(f"k is {self.k!r}: it must be 0 or more.")
        if not (_finite(self.quantile) and 0 < self.quantile <= 0.5):
            raise SearchError(f"quantile is {self.quantile!r}: it must be above 0 and at most 0.5.")

    @property
    def weight(self) -> float:
        """Percentage points that one point of standard deviation costs; of the ratio, where there are none, 0."""
        if self.kind == "quantile":
            return -NormalDist().inv_cdf(self.quantile)
        return self.k if self.kind == "penalized" else 0.0

    def __str__(self) -> str:
        """Return what it is called in a table."""
        if self.kind == "ratio":
            return "acc / std"
        return f"{100 * self.quantile:g} % quantile" if self.kind == "quantile" else f"acc - {self.k:g} std"

    def __call__(self, values: pd.DataFrame) -> NDArray[np.float64]:
        """Return the objective of every row, shape (n,), from its ``acc_1d`` and ``acc_1d_std``."""
        accuracy = values["acc_1d"].to_numpy(dtype=np.float64)
        spread = values["acc_1d_std"].to_numpy(dtype=np.float64)
        if self.kind == "ratio":
            return np.asarray(accuracy / np.maximum(spread, STD_FLOOR))
        return np.asarray(accuracy - self.weight * spread)


@dataclass(frozen=True)
class CostLimits:
    """What an inference may cost on a chip, at most.

    Args:
        limits: by name, each above 0: ``tiles``, ``latency_us``, ``interval_us`` (microseconds), ``energy_uj``
            (microjoules), see ``analognas.hardware.cost.costs``.
        chip: whose costs they are, or its name.

    Raises:
        SearchError: if there is no limit of a name, or one is not above 0.
        HardwareError: if there is no chip of the name.
    """

    limits: Mapping[str, float]
    chip: Chip | str = field(default_factory=chip_named)

    def __post_init__(self) -> None:
        for name, limit in self.limits.items():
            if name not in COST_LIMITS:
                raise SearchError(f"there is no limit on {name!r}: {nearest(name, COST_LIMITS)}")
            if isinstance(limit, bool) or not (_finite(limit) and limit > 0):
                raise SearchError(f"the limit on {name} is {limit!r}: it must be above 0.")

    @property
    def of_chip(self) -> Chip:
        """The chip itself."""
        return self.chip if isinstance(self.chip, Chip) else chip_named(self.chip)

    def costs(self, architectures: Sequence[Architecture]) -> pd.DataFrame:
        """Return what is limited of each architecture: one row each, a column for each limit, in their usual order."""
        return costs(architectures, self.of_chip)[[name for name in COST_LIMITS if name in self.limits]]


@dataclass(frozen=True)
class Constraints:
    """The limits of a search. Parameters are always held; the others are preferred, and refused only if asked to be.

    Args:
        max_nb_param: most trainable parameters; None: the budget of the space, if it has one.
        T_AVM: largest accuracy variation of one month in percentage points; None: no limit.
        min_acc_1d: least accuracy after one day in percent; None: halfway between chance and 100 %. Without
            it a dead network, which has nothing to lose, would satisfy every limit on its variation.
        avm_bound: ``"mean"``: a prediction holds ``T_AVM`` if its ``avm`` does; what is chosen is measured before it
            is taken. ``"upper"``: if ``avm_high`` does, the upper end of the 90 % interval of a new measurement; after
            a few dozen characterizations that excludes most of what would hold. Measured values have no such end.
        cost: what an inference may cost on a chip; None: anything. Costs follow from the architecture, so that what is
            known of these limits is exact.

    Raises:
        SearchError: if a limit is out of range.
    """

    max_nb_param: int | None = None
    T_AVM: float | None = None
    min_acc_1d: float | None = None
    avm_bound: str = "mean"
    cost: CostLimits | None = None

    def __post_init__(self) -> None:
        if self.max_nb_param is not None:
            whole("max_nb_param", self.max_nb_param, 1)
        if self.T_AVM is not None and not _finite(self.T_AVM):
            raise SearchError(f"T_AVM is {self.T_AVM!r}: give percentage points, or None for no limit.")
        if self.min_acc_1d is not None and not (_finite(self.min_acc_1d) and 0 <= self.min_acc_1d <= 100):
            raise SearchError(f"min_acc_1d is {self.min_acc_1d!r}: it must be between 0 and 100 percent.")
        if self.avm_bound not in AVM_BOUNDS:
            raise SearchError(f"avm_bound is {self.avm_bound!r}: use one of {', '.join(AVM_BOUNDS)}.")

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
        return tuple(name for name in NAMES if self.limit(name) is not None)

    def limit(self, name: str) -> float | None:
        """Return a limit by its name (``NAMES``), None if it is not set."""
        if name in COST_LIMITS:
            return None if self.cost is None else self.cost.limits.get(name)
        limit: float | None = getattr(self, name)
        return limit

    def violations(self, architectures: Sequence[Architecture], values: pd.DataFrame | None) -> NDArray[np.float64]:
        """Return by how much each architecture breaks each active constraint.

        Args:
            architectures: n of them.
            values: ``acc_1d`` and ``avm`` (or ``avm_high``, see ``avm_bound``) of each, n rows; None if only the
                objective is known, then the constraints on them are taken as met.

        Returns:
            Shape (n, constraints) in the order of ``active``; 0 where met, NaN where the value is missing.
            Units are percentage points, and percent of the limit for parameters and costs, so that they can be added.
        """
        columns = [np.maximum(gap, 0) for gap in self._gaps(architectures, values).values()]
        return np.stack(columns, axis=1) if columns else np.zeros((len(architectures), 0))

    def violation(self, architecture: Architecture, row: Mapping[str, Any]) -> float:
        """Return by how much one architecture breaks the limits, see ``violations``; NaN if a value is missing."""
        return float(self.violations([architecture], pd.DataFrame([dict(row)])).sum())

    def _gaps(
        self, architectures: Sequence[Architecture], values: pd.DataFrame | None
    ) -> dict[str, NDArray[np.float64]]:
        """Return value beyond the limit (positive: violated) by the name of the constraint."""
        gaps: dict[str, NDArray[np.float64]] = {}
        met = np.zeros(len(architectures))
        if self.max_nb_param is not None:
            params = np.array([architecture.params for architecture in architectures], dtype=np.float64)
            gaps["max_nb_param"] = 100 * (params / self.max_nb_param - 1)
        if self.T_AVM is not None:
            gaps["T_AVM"] = met if values is None else self._variation(values) - self.T_AVM
        if self.min_acc_1d is not None:
            accuracy = None if values is None else values["acc_1d"].to_numpy(dtype=np.float64)
            gaps["min_acc_1d"] = met if accuracy is None else self.min_acc_1d - accuracy
        if self.cost is not None:
            for name, value in self.cost.costs(architectures).items():
                gaps[str(name)] = 100 * (value.to_numpy(dtype=np.float64) / self.cost.limits[str(name)] - 1)
        return gaps

    def _variation(self, values: pd.DataFrame) -> NDArray[np.float64]:
        name = "avm_high" if self.avm_bound == "upper" and "avm_high" in values else "avm"
        return values[name].to_numpy(dtype=np.float64)

    def explain(self, evaluated: Iterable[Evaluated]) -> str:
        """Return which limit excludes what and by how much, and what helps, in two sentences.

        Args:
            evaluated: everything that was evaluated, none of it within all limits.
        """
        records = list(evaluated)
        alive = [record for record in records if math.isfinite(record.violation)]
        if not alive:
            return (
                f"none of the {len(records)} architectures could be evaluated, every value is missing: "
                "check the evaluator, or the values that were told."
            )
        known = rows_table([record.row for record in alive])
        parts: list[str] = []
        kept: list[str] = []
        gaps = self._gaps([record.architecture for record in alive], known if len(known.columns) else None)
        for name, gap in gaps.items():
            broken = int((gap > 0).sum())
            limit = self.limit(name)
            if broken and limit is not None:
                least = float(np.nanmin(gap))
                said = f"{limit:g}" if name in COST_LIMITS else str(limit)
                parts.append(f"{name} = {said} excludes {broken} ({self._closest(name, limit, least)})")
                if name == "max_nb_param" and least > 0:
                    return f"none of the {len(records)} architectures evaluated is small enough: {parts[-1]}. Raise it."
                # A limit that some architecture meets is not to blame where another one is met by none.
                if least > 0:
                    kept.append(_kept(name, limit, least))
        lost = f"; {len(records) - len(alive)} failed" if len(alive) < len(records) else ""
        best = f" set {' and '.join(kept)}, which the closest one keeps," if kept else ""
        return (
            f"none of the {len(records)} architectures evaluated holds the limits: {'; '.join(parts)}{lost}. "
            "Characterize more architectures (a larger sample.size, or `analognas search --true-evaluations 16`),"
            f"{best} or leave search.strict false: the run then goes on with what comes closest."
        )

    def _closest(self, name: str, limit: float, gap: float) -> str:
        """Return the value that comes closest to its limit; ``gap`` is what it is beyond it."""
        side = f"{gap:.2f} points off" if gap > 0 else "which meets it, but not together with the others"
        if name == "max_nb_param":
            return f"the smallest has {limit * (1 + gap / 100):.0f} parameters"
        if name in COST_LIMITS:
            met = f", {side}" if gap <= 0 else ""
            return f"the lowest {name} is {limit * (1 + gap / 100):.4g}{met}"
        if name == "T_AVM":
            what = "upper bound of the AVM" if self.avm_bound == "upper" else "AVM"
            return f"the lowest {what} is {limit + gap:.2f}, {side}"
        return f"the highest acc_1d is {limit - gap:.2f}, {side}"


def _kept(name: str, limit: float, gap: float) -> str:
    """Return the limit, to a tenth of a point or to three digits, that the closest one holds."""
    if name in COST_LIMITS:
        value = limit * (1 + gap / 100)
        unit = 10.0 ** (math.floor(math.log10(value)) - 2)
        # Whole tiles are told as they are; the rounding of the percentage is not to make one more of them.
        held = round(value) if name == "tiles" else math.ceil(value / unit - 1e-9) * unit
        return f"search.constraints.{name}={held:.12g}"
    value = math.ceil(10 * (limit + gap)) / 10 if name == "T_AVM" else math.floor(10 * (limit - gap)) / 10
    return f"search.{name}={value:g}"
