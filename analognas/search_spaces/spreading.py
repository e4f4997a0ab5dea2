"""A sample that is even in size: spread over the logarithm of the number of parameters, up to the budget.

Draws that are even in the genes are not even in size. Of the published space within 500,000 parameters two of three
have more than half of these; of the small space for digits one in fourteen does, and half have fewer than 17,200. What
a search ends with uses most of the budget, so the spread begins at a thirtieth of it: from the smallest network on,
which is a four-thousandth there, the sample would have more small networks than before.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from analognas.errors import SpaceError
from analognas.search_spaces.sampling import sample, smallest
from analognas.seeds import derive_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analognas.search_spaces.architecture import Architecture
    from analognas.search_spaces.schema import Schema

#: How a sample is spread: as the method draws the genes, or evenly over the logarithm of the parameters.
SPREADS = ("genes", "size")

#: The share of the budget at which the spread begins, where the space has networks as small as that.
LOWEST = 1 / 30

# Budgets that are drawn within: each has many networks near it.
_BUDGETS = 12
# Architectures drawn within each, of those that are wanted.
_SHARE = 0.5


def spread_by_size(
    space: Schema, n: int, *, seed: int, method: str, max_params: int | None = None
) -> list[Architecture]:
    """Return ``n`` distinct architectures whose sizes are as even in the logarithm as they come.

    Candidates are drawn (``sample``) within budgets from ``LOWEST`` of the whole one on; of these the ``n`` are taken
    that are nearest to sizes in equal steps of the logarithm, from there to the largest. Smaller ones are among them
    only where there are too few.

    Args:
        space: where to draw.
        n: how many.
        seed: of all draws.
        method: of each draw.
        max_params: the budget; None: the largest network of a draw without one.

    Raises:
        SpaceError: if the space holds fewer within the budget.
    """
    whole = sample(space, n, seed=seed, method=method, max_params=max_params)
    most = max(architecture.params for architecture in whole) if max_params is None else max_params
    by_id = {architecture.id: architecture for architecture in whole}
    lowest = max(LOWEST * most, smallest(space).params)
    for number, budget in enumerate(np.geomspace(lowest, most, _BUDGETS + 1)[1:]):
        own = derive_seed(seed, "spread", number)
        with suppress(SpaceError):  # it may hold fewer; of the whole budget there are enough
            drawn = sample(space, max(2, round(_SHARE * n)), seed=own, method=method, max_params=int(budget))
            by_id |= {architecture.id: architecture for architecture in drawn if architecture.id not in by_id}
    candidates = list(by_id.values())
    sizes = np.log([architecture.params for architecture in candidates])
    order = np.argsort(sizes, kind="stable")
    order = order[min(int((sizes < np.log(lowest)).sum()), len(order) - n) :]
    chosen = order[_nearest(sizes[order], np.linspace(sizes[order[0]], sizes[order[-1]], n))]
    return [candidates[place] for place in sorted(chosen.tolist())]  # as they were drawn: by size they would be sorted


def _nearest(values: NDArray[np.float64], wanted: NDArray[np.float64]) -> list[int]:
    """Return for each of the wanted numbers, ascending, the place of a value near it, each value once, ascending."""
    places: list[int] = []
    for number, value in enumerate(wanted):
        first = places[-1] + 1 if places else 0
        last = len(values) - (len(wanted) - number)  # as many have to be left as are wanted after this one
        place = int(np.clip(np.searchsorted(values, value), first, last))
        if place > first and value - values[place - 1] < values[place] - value:
            place -= 1
        places.append(place)
    return places
