"""What evaluators predict: names, units and limits."""

from __future__ import annotations

from analognas.columns import measured
from analognas.tables import TARGETS as TARGETS

#: Values that are possible, in the targets' units.
LIMITS: dict[str, tuple[float, float]] = {
    target: (column.least, column.most) for target in TARGETS if (column := measured(target)) is not None
}

#: Measured architectures that the evaluators of the library need at least.
LEAST_ROWS = 8
#: Share of new measurements that the interval from ``<target>_low`` to ``<target>_high`` is made to hold.
COVERAGE = 0.9

#: The columns of a prediction, in order.
COLUMNS = (
    "id",
    *TARGETS,
    *(f"{target}_{suffix}" for target in TARGETS for suffix in ("uncertainty", "low", "high")),
    "acc_1d_score",
)
