"""How much a set of architectures is worth in several objectives at once: the volume that it dominates.

The volume between a set and a point that is worse than all of it (Zitzler and Thiele, IEEE Transactions on Evolutionary
Computation 1999). All objectives are costs: lower is better. Libraries for it (moocore, pygmo) are made for fronts of
thousands of points and bring compiled code; the front of a search has a few dozen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def hypervolume(costs: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """Return the volume that rows of costs dominate, exactly.

    Args:
        costs: shape (n, m); what is not better than the reference in every respect adds nothing.
        reference: the corner of the volume, shape (m,).
    """
    costs = costs[(costs < reference).all(axis=1)]
    if not len(costs):
        return 0.0
    if len(reference) == 1:
        return float(reference[0] - costs.min())
    # Slice by slice along the last objective: within one, what dominates does not change.
    levels = np.unique(costs[:, -1])
    ends = np.append(levels[1:], reference[-1])
    return float(
        sum(
            (end - level) * hypervolume(costs[costs[:, -1] <= level, :-1], reference[:-1])
            for level, end in zip(levels, ends, strict=True)
        )
    )


def improvements(
    candidates: NDArray[np.float64], known: NDArray[np.float64], draws: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the share of points that each candidate dominates and nothing known does.

    Args:
        candidates: costs, shape (n, m).
        known: costs of what is known, shape (k, m).
        draws: points, uniform in the box that counts, shape (s, m).

    Returns:
        Shape (n,), in [0, 1]: the candidates' improvement of the hypervolume in units of the box.
    """
    dominated = np.zeros(len(draws), dtype=bool)
    for row in known:
        dominated |= (row <= draws).all(axis=1)
    left = draws[~dominated]
    reached = np.ones((len(candidates), len(left)), dtype=bool)
    for column, points in zip(candidates.T, left.T, strict=True):
        reached &= column[:, None] <= points[None, :]
    return np.asarray(reached.sum(axis=1) / max(1, len(draws)))
