"""A sample that is even in size: spread over the logarithm of the number of parameters, up to the budget.

Draws that are even in the genes are not even in size. Of the published space within 500,000 parameters two of three
have more than half of these, of the small space for digits every second has fewer than 17,000.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analognas.errors import SpaceError
from analognas.search_spaces.sampling import sample
from analognas.seeds import derive_seed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analognas.search_spaces.architecture import Architecture
    from analognas.search_spaces.schema import Schema

#: How a sample is spread: as the method draws the genes, or evenly over the logarithm of the parameters.
SPREADS = ("genes", "size")

# Budgets that are drawn within: each has many networks near it.
_BUDGETS = 16
# Architectures drawn within each, of those that are wanted.
_SHARE = 0.5


def spread_by_size(
    space: Schema, n: int, *, seed: int, method: str, max_params: int | None = None
) -> list[Architecture]:
    """Return ``n`` distinct architectures whose sizes are as even in the logarithm as they come.

    Candidates are drawn (``sample``) within budgets from that of the smallest network to the whole one; of these the
    ``n`` are taken that are nearest to sizes in equal steps of the logarithm, from the smallest to the largest.

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
    least = space.smallest()
    by_id = {least.id: least} | {architecture.id: architecture for architecture in whole}
    for number, budget in enumerate(np.geomspace(least.params, most, _BUDGETS)[1:]):
        own = derive_seed(seed, "spread", number)
        for architecture in _drawn(space, max(2, round(_SHARE * n)), own, method, int(budget)):
            by_id.setdefault(architecture.id, architecture)
    candidates = list(by_id.values())
    sizes = np.log([architecture.params for architecture in candidates])
    order = np.argsort(sizes, kind="stable")
    chosen = order[_nearest(sizes[order], np.linspace(sizes.min(), sizes.max(), n))]
    return [candidates[place] for place in sorted(chosen.tolist())]  # as they were drawn: by size they would be sorted


def _drawn(space: Schema, n: int, seed: int, method: str, budget: int) -> list[Architecture]:
    """Return so many architectures within a budget, fewer where it holds fewer."""
    while n:
        try:
            return sample(space, n, seed=seed, method=method, max_params=budget)
        except SpaceError:
            n //= 2
    return []


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
