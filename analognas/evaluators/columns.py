"""What evaluators predict: names, units and limits."""

from __future__ import annotations

#: What is predicted: accuracy after one day (percent), accuracy variation of one month (percentage points,
#: positive is a loss) and the standard deviation of the accuracy after one day (percentage points).
TARGETS = ("acc_1d", "avm", "acc_1d_std")

#: Values that are possible, in the targets' units.
LIMITS: dict[str, tuple[float, float]] = {
    "acc_1d": (0.0, 100.0),
    "avm": (-100.0, 100.0),
    "acc_1d_std": (0.0, 100.0),
}

#: Share of new measurements that the interval from ``<target>_low`` to ``<target>_high`` is made to hold.
COVERAGE = 0.9

#: The columns of a prediction, in order.
COLUMNS = (
    "id",
    *TARGETS,
    *(f"{target}_{suffix}" for target in TARGETS for suffix in ("uncertainty", "low", "high")),
    "acc_1d_score",
)
