"""Two finished runs side by side: which parameters differ, and which winner is better.

What a run keeps of its winner are means over programmings with their standard errors, and of the limits that are set
90 % intervals over programmings and test images. Where both winners are kept, their answers to single images are worked
out again (``answers``), and the interval of a difference is paired, as that of the winner and the plain network of one
run is. Otherwise both errors add up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from analognas.errors import CorruptFileError
from analognas.runs.answers import Answers
from analognas.training.intervals import half_width, of_images

if TYPE_CHECKING:
    from analognas.runs.finding import Run

BETTER, WORSE, INCONCLUSIVE, SAME = "better", "worse", "inconclusive", "the same"

#: Figures that are compared: name, words, unit, and whether more of it is better (-1: less is).
FIGURES = (
    ("acc_digital", "digital", "%", 1),
    ("acc_1d", "after 1 day", "%", 1),
    ("acc_30d", "after 1 month", "%", 1),
    ("avm", "AVM", "points", -1),
)
#: Figures that follow from the architecture, with no error.
EXACT = ("params", "tiles")
#: The limit by whose verdict the interval of a figure is known.
_LIMITS = {"acc_1d": "min_acc_1d", "avm": "T_AVM"}
#: Of Student's quantile, for a two-sided interval of 90 %.
_LEVEL = 0.95


@dataclass(frozen=True)
class Figure:
    """A figure of two winners in percent or points.

    ``a`` and ``b`` are those of the runs, ``half_a`` and ``half_b`` half widths of their 90 % intervals (None: not
    known); ``difference`` is b minus a, from ``low`` to ``high`` in its 90 % interval, which is ``paired`` if it is
    over the differences on the same images; ``verdict`` is what b is beside a.
    """

    name: str
    words: str
    unit: str
    a: float
    b: float
    half_a: float | None
    half_b: float | None
    difference: float
    low: float | None
    high: float | None
    paired: bool
    verdict: str


@dataclass(frozen=True)
class Comparison:
    """What two runs have in common, and what not.

    Attributes:
        a, b: the runs.
        params: values of both runs by ``section.key`` where they differ.
        versions: the same of versions, data and chip by what was recorded of them.
        figures: of the winners.
        same_images: whether both were tested on the same images.
        unpaired: why intervals are not paired, a sentence; None: they are, or nobody asked.
    """

    a: Run
    b: Run
    params: Mapping[str, tuple[Any, Any]]
    versions: Mapping[str, tuple[Any, Any]]
    figures: tuple[Figure, ...]
    same_images: bool
    unpaired: str | None = None

    @property
    def exact(self) -> dict[str, tuple[int, int]]:
        """Figures of both winners that follow from the architecture, by name."""
        winners = [run.train["winner"] for run in (self.a, self.b)]
        return {name: (int(_number(winners[0], name)), int(_number(winners[1], name))) for name in EXACT}

    @property
    def paired(self) -> bool:
        """Whether the intervals of what was measured under drift are paired."""
        return any(figure.paired for figure in self.figures)

    @property
    def verdict(self) -> str:
        """What the winner of b is beside that of a by the accuracy after a day."""
        return next(figure.verdict for figure in self.figures if figure.name == "acc_1d")

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""

        def pair(values: tuple[Any, Any]) -> dict[str, Any]:
            return {"a": values[0], "b": values[1]}

        exact = {name: pair(values) for name, values in self.exact.items()}
        return {
            "a": self.a.to_dict(),
            "b": self.b.to_dict(),
            "params": {key: pair(values) for key, values in self.params.items()},
            "versions": {key: pair(values) for key, values in self.versions.items()},
            "figures": {figure.name: asdict(figure) for figure in self.figures},
            "exact": exact,
            "interval": 0.9,
            "paired": self.paired,
            "unpaired": self.unpaired,
            "same_test_images": self.same_images,
            "verdict": self.verdict,
        }

    def sentences(self) -> list[str]:
        """Return what has to be known of the figures, in words."""
        said = [self._told(figure) for figure in self.figures if figure.name in ("acc_1d", "avm")]
        if not self.same_images:
            said.append("The runs were tested on different images: a difference may be that of the data.")
        if all(figure.verdict == SAME for figure in self.figures):
            kind = "Intervals are of 90 %, over programmings and test images."
        elif self.paired:
            kind = (
                "Intervals are of 90 %, over programmings and test images. Those of differences are paired: both "
                "winners answered the same images (digital accuracies are not: both errors add up)."
            )
        else:
            kind = (
                "Intervals are of 90 %, over programmings and test images. They are not paired: both errors add up"
                + (", and the interval of a difference is wider than one from the same images would be."
                   if self.same_images else ".")
            )  # fmt: skip
            said += [] if self.unpaired is None else [self.unpaired]
        return [*said, kind, "How much another training of the same network would change is in none of them."]

    def _told(self, figure: Figure) -> str:
        what = f"B's winner {figure.words}" if figure.name == "acc_1d" else f"{figure.words} of B's winner"
        if figure.verdict == SAME:
            return f"{what}: the same as A's."
        apart = f"{figure.difference:+.2f} points"
        if figure.low is None or figure.high is None:
            return f"{what}: {apart}, of which no interval is known."
        kind = "paired 90 % interval" if figure.paired else "90 % interval"
        text = f"{what}: {figure.verdict}, {apart} ({kind} {figure.low:+.2f} to {figure.high:+.2f})"
        return f"{text}."


def compare(a: Run, b: Run, answers: Answers | None = None) -> Comparison:
    """Compare two finished runs; figures are b minus a.

    Args:
        a, b: the runs.
        answers: of both winners to the same test images, see ``answers.of_both``; None: nobody asked them.

    Raises:
        CorruptFileError: if the figures of one are of another version.
    """
    try:
        figures = tuple(_figures(a, b, answers or Answers()))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise CorruptFileError(
            f"The figures of {a.name} or {b.name} are of another version: take another run, see `analognas runs`."
        ) from None
    params = dict(_differing(_flat(a.params), _flat(b.params)))
    versions = dict(_differing(_recorded(a), _recorded(b)))
    return Comparison(a, b, params, versions, figures, same_images(a, b), None if answers is None else answers.problem)


def same_images(a: Run, b: Run) -> bool:
    """Return whether two runs were tested on the same images."""
    digests = [(run.dataset.get("digest"), run.dataset.get("split_digest")) for run in (a, b)]
    return digests[0] == digests[1] and None not in digests[0]


def _figures(a: Run, b: Run, answers: Answers) -> Iterator[Figure]:
    for name, words, unit, sign in FIGURES:
        if not all(isinstance(run.train["winner"].get(name), int | float) for run in (a, b)):
            continue  # a protocol without that time
        first, second = (_number(run.train["winner"], name) for run in (a, b))
        half_a, half_b = (half_of(run.train, run.dataset, name) for run in (a, b))
        apart = second - first
        low, high = None, None
        paired = _paired_half(a.train["winner"], b.train["winner"], answers, name)
        if paired is not None:
            low, high = apart - paired, apart + paired
        elif half_a is not None and half_b is not None:
            # Square-and-add of two independent intervals: Zou and Donner, Statistics in Medicine 27 (2008) 1693.
            half = math.hypot(half_a, half_b)
            low, high = apart - half, apart + half
        same = a.train["winner"] == b.train["winner"]
        if same:  # one network, measured once: what one run knows of it, such as a limit's interval, holds for both
            half_a = half_b = min((half for half in (half_a, half_b) if half is not None), default=None)
            low = high = 0.0
        verdict = SAME if same else _verdict(low, high, sign)
        yield Figure(name, words, unit, first, second, half_a, half_b, apart, low, high, paired is not None, verdict)


def _paired_half(a: Mapping[str, Any], b: Mapping[str, Any], answers: Answers, name: str) -> float | None:
    """Return the half width of the 90 % interval of a difference over programmings and the same test images.

    Three variances add up: of the mean over programmings of each network, and of the mean over images of their
    difference on the same image, as for the winner and the plain network of a run. None: it is not known.

    Args:
        a, b: figures of the winners.
        answers: of both to the same images.
        name: of the figure.
    """
    if answers.a is None or answers.b is None or name not in answers.a:
        return None
    sems, repeats = [_number(winner, f"{name}_sem") for winner in (a, b)], [int(winner["repeats"]) for winner in (a, b)]
    apart = answers.b[name] - answers.a[name]
    if min(repeats) < 2 or len(apart) < 2:
        return None
    return half_width(
        [*(sem**2 for sem in sems), of_images(apart)], [*(count - 1 for count in repeats), len(apart) - 1], _LEVEL
    )


def _verdict(low: float | None, high: float | None, sign: int) -> str:
    if low is None or high is None or low <= 0 <= high:
        return INCONCLUSIVE
    return BETTER if (low > 0) == (sign > 0) else WORSE


def half_of(train: Mapping[str, Any], dataset: Mapping[str, Any], name: str) -> float | None:
    """Return the half width of the 90 % interval of a winner's figure over programmings and test images.

    None: it is not known. That of a limit is taken where one is set. Otherwise the variance over images is bounded by
    what the means allow: an image that a share p of the programmings classify rightly contributes at most p (1 - p) to
    that of an accuracy, and one that changes sides in a month at most its share to that of the difference.

    Args:
        train: what the stage ``train`` said.
        dataset: what was recorded of the data.
        name: of the figure.
    """
    winner = train["winner"]
    known = train["limits"].get(_LIMITS.get(name, ""))
    if isinstance(known, Mapping) and known["high"] > known["low"] and known["value"] == winner[name]:
        return float(known["high"] - known["low"]) / 2
    images = int((dataset.get("sizes") or {}).get("test") or 0)
    repeats, sem = winner.get("repeats"), winner.get(f"{name}_sem", 0.0 if name == "acc_digital" else None)
    if images < 2 or not isinstance(repeats, int) or repeats < 2 or not isinstance(sem, int | float):
        return None
    if name == "avm":
        before, after = (_number(winner, time) / 100 for time in ("acc_1s", "acc_30d"))
        spread = min(before + after, 2 - before - after) - (before - after) ** 2
    else:
        mean = _number(winner, name) / 100
        spread = mean * (1 - mean)
    return half_width([float(sem) ** 2, 100**2 * spread / (images - 1)], [repeats - 1, images - 1], _LEVEL)


def _number(winner: Mapping[str, Any], name: str) -> float:
    value = winner[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is no number")
    return float(value)


def _flat(params: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{section}.{key}": value for section, values in params.items() for key, value in values.items()}


def _recorded(run: Run) -> dict[str, Any]:
    """Return what was recorded of data and versions, by what it is called."""
    versions = {key: value for key, value in run.environment.items() if not isinstance(value, dict)}
    stages = {f"protocol of {stage}": value for stage, value in (run.environment.get("protocol") or {}).items()}
    data = {f"data: {key}": run.dataset.get(key) for key in ("name", "digest", "split_digest", "augment")}
    return data | versions | stages


def _differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Yield what has other values; what was not recorded of one of them is left out."""
    for key in [*a, *(key for key in b if key not in a)]:
        if key in a and key in b and _plain(a[key]) != _plain(b[key]):
            yield key, (a[key], b[key])


def _plain(value: Any) -> Any:
    return [float(item) if isinstance(item, int) else item for item in value] if isinstance(value, list) else value
