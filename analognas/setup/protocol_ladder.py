"""The order in which a protocol shrinks until its run fits the hours: what costs least quality goes first.

With all images and the form of the data and the space as they are, fewer architectures, programmings and epochs; then
fewer images; then smaller networks and smaller images; then so little of everything that it is good for a first look.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analognas.datasets.registry import canonical

if TYPE_CHECKING:
    from analognas.params import Params
    from analognas.setup.run_time import Shape

#: Datasets whose images can be resized.
RESIZABLE = ("image-folder", "vww", "kws")
#: Edge lengths and budgets that are tried, each if it is smaller than what there is.
_EDGES = (64, 48, 32, 24, 16)
_BUDGETS = (50_000, 25_000, 10_000, 5_000)
#: Training images that are left at least, in all and of each class; and for a first look.
_LEAST_IMAGES, _LEAST_PER_CLASS = 3_000, 50
_FEW_IMAGES, _FEW_PER_CLASS = 750, 20


@dataclass(frozen=True)
class Form:
    """What networks and images are: other edge length or budget than before, None where they stay."""

    edge: int | None = None
    budget: int | None = None

    def shape(self, before: Shape) -> Shape:
        """Return the shape of the images."""
        return before if self.edge is None else (before[0], self.edge, self.edge)


@dataclass(frozen=True)
class Rung:
    """How much is done with networks and images of one form.

    ``size`` architectures are sampled; ``share`` is that of the epochs that they should get, which never go below those
    for ``steps`` steps, nor below ``epochs``; ``repeats`` are the programmings, ``final_repeats`` those of the winner,
    which is trained for ``longer`` times the epochs.
    """

    size: int
    share: float
    repeats: int
    final_repeats: int = 25
    steps: int = 400
    epochs: int = 3
    longer: float = 1.5


LADDER = (
    *(Rung(size, 1.0, 25) for size in (256, 192, 128, 96, 64)),
    Rung(64, 1.0, 10),
    *(Rung(48, share, 10) for share in (1.0, 0.7)),
)
LEAST = (
    *(Rung(32, share, 10, final_repeats=10) for share in (0.7, 0.5)),
    *(Rung(24, share, 5, final_repeats=10) for share in (0.5, 0.33, 0.2)),
    Rung(24, 0.2, 5, final_repeats=5, steps=250),
)
FIRST_LOOK = (
    Rung(24, 0.2, 3, final_repeats=5, steps=200, epochs=1, longer=1.0),
    Rung(20, 0.15, 3, final_repeats=5, steps=150, epochs=1, longer=1.0),
    Rung(16, 0.15, 3, final_repeats=5, steps=150, epochs=1, longer=1.0),
    Rung(12, 0.1, 3, final_repeats=3, steps=100, epochs=1, longer=1.0),
)


@dataclass(frozen=True)
class Try:
    """One protocol that is tried: ``part`` are the images kept of each class, None if all are."""

    form: Form
    part: int | None
    rung: Rung


def forms(shape: Shape, params: Params, given: Set[str]) -> list[Form]:
    """Return the forms that may be had, the one that there is first, each smaller than the one before.

    Args:
        shape: of the images.
        params: with the budget that there is.
        given: keys that the user has set: they stay.
    """
    edges: list[int | None] = [None]
    if canonical(params.dataset.name) in RESIZABLE and "dataset.image_size" not in given:
        edges += [edge for edge in _EDGES if edge**2 <= 0.8 * shape[1] * shape[2]]
    budgets: list[int | None] = [None]
    budget = params.space.max_params
    if params.space.name == "resnet" and budget is not None and "space.max_params" not in given:
        budgets += [smaller for smaller in _BUDGETS if smaller < budget]
    ladder, edge, budget_place = [Form()], 0, 0
    while edge < len(edges) - 1 or budget_place < len(budgets) - 1:
        if budget_place < len(budgets) - 1 and (budget_place <= edge or edge == len(edges) - 1):
            budget_place += 1
        else:
            edge += 1
        ladder.append(Form(edges[edge], budgets[budget_place]))
    return ladder


def tries(forms: Sequence[Form], counts: Sequence[int], given: Set[str], begin: int = 0) -> Iterator[Try]:
    """Yield what is tried, the best first.

    Args:
        forms: of networks and images.
        counts: training images of each class.
        given: keys that the user has set.
        begin: place of the form before which none is tried.
    """
    parts: list[int | None] = [None]
    few: list[int | None] = []
    if "dataset.per_class" not in given:
        parts += parts_of(counts, None, _LEAST_IMAGES, _LEAST_PER_CLASS)
        few += parts_of(counts, parts[-1], _FEW_IMAGES, _FEW_PER_CLASS)
    if begin == 0:
        yield from (Try(forms[0], part, rung) for part in parts for rung in LADDER)
    for form in forms[begin:]:
        yield from (Try(form, parts[-1], rung) for rung in LEAST)
    yield from (Try(forms[-1], part, rung) for rung in FIRST_LOOK for part in (parts[-1], *few))


def parts_of(
    counts: Sequence[int], most: int | None = None, images: int = _LEAST_IMAGES, per_class: int = _LEAST_PER_CLASS
) -> Iterator[int]:
    """Yield how many images of each class may be kept: half as many each time, to two digits, down to the least.

    Args:
        counts: training images of each class.
        most: of each class that are kept anyway, None if all are.
        images: that are left at least in all, as far as there are so many.
        per_class: that are left at least of each class.
    """
    most = max(counts) if most is None else most
    if sum(min(count, most) for count in counts) <= images:
        return
    enough = (number for number in range(1, most) if sum(min(count, number) for count in counts) >= images)
    least = max(per_class, next(enough, most))
    top = most
    while (top := top // 2) > least:
        digits = max(0, len(str(top)) - 2)
        yield top // 10**digits * 10**digits
    if most > least:
        yield least
