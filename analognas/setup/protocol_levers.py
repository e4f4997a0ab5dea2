"""What helps where no run fits the hours: which values of the user stand in the way, and how long it would take."""

from __future__ import annotations

import math
from collections.abc import Callable, Set
from typing import TYPE_CHECKING

from analognas.setup.run_time import duration

if TYPE_CHECKING:
    from analognas.params import Params
    from analognas.setup.protocol_choice import Tailored

#: Keys that a fit would choose smaller, or that make a run longer, if they are the user's.
CHOSEN = (
    "space.max_params",
    "dataset.image_size",
    "dataset.per_class",
    "sample.size",
    "characterize.epochs",
    "characterize.hwa_epochs",
    "characterize.repeats",
    "characterize.replicates",
    "train.epochs",
    "train.hwa_epochs",
    "train.repeats",
)
#: Keys whose defaults take less time than other values may.
DEFAULTED = (
    "characterize.times",
    "train.times",
    "search.population_size",
    "search.nb_iter",
    "search.runs",
    "run.workers",
    "run.runner",
)
#: A value that saves less than this share of the time is not named.
_WORTH = 0.05
#: So many values are named at most.
_NAMED = 3


def refusal(
    shortest: Tailored, params: Params, given: Set[str], more: int, without: Callable[[Set[str]], Tailored]
) -> str:
    """Return one sentence: how long the shortest run takes, and what helps most.

    Args:
        shortest: the shortest run, which does not fit.
        params: with the values that the user has set.
        given: keys of these.
        more: architectures that are characterized besides the sample.
        without: chooses again as if some of these keys were not the user's.
    """
    takes, besides = duration(shortest.seconds), duration(shortest.time.besides)
    said = (
        f"No run fits {shortest.hours:g} h (--hours, two if you say none) with these data on this machine: the "
        f"shortest one that is worth its while takes {takes}, {besides} of it to start, fit and search"
    )
    if more:
        said += f", with {more} architectures of the rounds and the sentinel set to characterize"
    ways = [f"allow --hours {_hours(shortest.seconds)}"]
    ways += _values(shortest, params, sorted(given & {*CHOSEN, *DEFAULTED}), without)
    if params.hardware.layers != "fast":
        ways.append("--set hardware.layers=fast (about ten times as fast)")
    return f"{said}; {', or '.join(ways)}."


def _values(shortest: Tailored, params: Params, keys: list[str], without: Callable[[Set[str]], Tailored]) -> list[str]:
    """Return which of the user's values to change: those that help alone, or some together if none does."""
    alone = {key: without({key}) for key in keys}
    worth = sorted(
        (key for key in keys if alone[key].seconds < (1 - _WORTH) * shortest.seconds),
        key=lambda key: alone[key].seconds,
    )
    enough = [key for key in worth if alone[key].fits]
    if enough or len(worth) < 2:
        return [f"{_change(key, params, alone[key])} ({duration(alone[key].seconds)})" for key in (enough or worth)[:2]]
    together = without({*worth[:_NAMED]})
    changes = " and ".join(_change(key, params, together) for key in worth[:_NAMED])
    return [f"{changes} ({duration(together.seconds)})"]


def _change(key: str, before: Params, after: Tailored) -> str:
    then, now = (_value(params, key) for params in (before, after.params))
    option = f"--max-params {now}" if key == "space.max_params" else f"--set {key}={now}"
    return f"{option} instead of {then}"


def _value(params: Params, key: str) -> str:
    section, _, name = key.partition(".")
    value = getattr(getattr(params, section), name)
    if value is None:
        return "null"
    return str([f"{number:g}" for number in value]).replace("'", "") if isinstance(value, tuple) else str(value)


def _hours(seconds: float) -> str:
    """Return hours that are enough, to two digits."""
    hours = 1.02 * seconds / 3600
    step = 10.0 ** (math.floor(math.log10(hours)) - 1)
    return f"{math.ceil(hours / step) * step:g}"
