"""Which protocol suits data, machine and hours: pure functions of what was measured."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from analognas.datasets.base import PARTS
from analognas.datasets.reduction import kept
from analognas.datasets.registry import canonical
from analognas.fitted import Choice, with_values

if TYPE_CHECKING:
    from analognas.datasets import Dataset
    from analognas.params import Params, TrainingParams
    from analognas.training.probe import Speed

#: The data that the template's protocol, and its limits of the search, were made for.
TEMPLATES = "digits"
#: Architectures by which a space is judged.
SAMPLED = 48
#: Steps of digital training that a network should get, and those without which it has learned nothing.
_STEPS, _LEAST_STEPS = 1_500, 400
#: Bounds of the epochs that follow: at most, at least if there is time, at least.
_MOST_EPOCHS, _FEW_EPOCHS, _LEAST_EPOCHS = 30, 6, 3
#: What the protocol shrinks by, from the best to what an evaluator can still be learned from: sampled architectures,
#: share of the epochs, repeats. Then images are left out, and only then it shrinks to the least.
_LADDER = (
    *((size, 1.0, 25) for size in (256, 192, 128, 96, 64)),
    (64, 1.0, 10),
    *((48, share, 10) for share in (1.0, 0.7)),
)
_LEAST = (
    *((32, share, 10) for share in (0.7, 0.5)),
    *((24, share, 5) for share in (0.5, 0.33, 0.2)),
)
#: Training images that are left at least, in all and of each class.
_LEAST_IMAGES, _LEAST_PER_CLASS = 3_000, 50
#: Share of the speed of one process that each of several side by side reaches.
_SIDE_BY_SIDE = 0.85
#: Seconds of a run that hardly any protocol changes: starting Prefect and the workers, fitting, searching, logging.
_FIXED_SECONDS = 80.0


@dataclass(frozen=True)
class Profile:
    """What was measured of the data: shape, names of the classes, and how many images each has in every part."""

    input_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, dataset: Dataset) -> Profile:
        """Return the profile of a dataset."""
        counts = {part: np.bincount(dataset.part(part).y, minlength=dataset.classes) for part in PARTS}
        return cls(dataset.input_shape, dataset.class_names, {part: tuple(c.tolist()) for part, c in counts.items()})

    def reduced(self, per_class: int) -> Profile:
        """Return the profile of what ``datasets.reduced`` makes of the data."""
        most = {part: kept(part, per_class) for part in self.counts}
        counts = {part: tuple(min(count, most[part]) for count in counts) for part, counts in self.counts.items()}
        return replace(self, counts=counts)

    @property
    def sizes(self) -> dict[str, int]:
        """Images of each part."""
        return {part: sum(counts) for part, counts in self.counts.items()}

    @property
    def chance(self) -> float:
        """Accuracy of always answering the class that is most frequent in the validation part, on it, percent."""
        counts = self.counts["validation"]
        return 100 * max(counts) / sum(counts)

    def __str__(self) -> str:
        shape = "x".join(map(str, self.input_shape))
        sizes = " / ".join(f"{size:,}" for size in self.sizes.values())
        return f"{len(self.class_names)} classes, images of {shape}, {sizes} for training / validation / test"

    @property
    def balance(self) -> str:
        """One sentence about the classes' sizes."""
        counts, scored = self.counts["train"], self.counts["validation"]
        most, least = max(counts), min(counts)
        if most <= 1.2 * least:
            return f"The classes are balanced: {least:,} to {most:,} training images each."
        largest, smallest = (self.class_names[counts.index(count)] for count in (most, least))
        return (
            f"The classes are not balanced: {most:,} training images of {largest!r}, {least:,} of {smallest!r}; "
            f"always answering {self.class_names[scored.index(max(scored))]!r} gives {self.chance:.0f} % (validation)."
        )


@dataclass(frozen=True)
class Tailored:
    """What was chosen, and how long a run will take with it, as far as one can tell.

    ``profile`` is of the images that are used, ``whole`` of all that there are. ``one`` is the time of one
    characterization in seconds, ``seconds`` that of the whole run. ``kept`` are the keys that would have been chosen,
    and were left alone because they are the user's.
    """

    profile: Profile
    whole: Profile
    choices: tuple[Choice, ...]
    one: float
    seconds: float
    hours: float
    workers: int
    kept: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether the run is over within the given time."""
        return self.seconds <= 3600 * self.hours

    @property
    def per_class(self) -> int | None:
        """What ``dataset.per_class`` was chosen to be, None if no image is left out."""
        return next((one.value for one in self.choices if one.key == "dataset.per_class"), None)

    def lines(self) -> list[str]:
        """Return what a user should know, in sentences."""
        said = [f"Data: {self.profile}.", self.profile.balance]
        if self.per_class is not None:
            said.append(
                f"Only a part is used, of {self.whole.sizes['train']:,} training images: with all of them it would "
                "take too long (see dataset.per_class, and --hours)."
            )
        time = (
            f"Time: a typical characterization takes {duration(self.one)} on one core (a few small ones were timed, "
            f"the others are judged by their layers), so with {self.workers} side by side the run takes "
            f"{duration(self.seconds)}; {self.hours:g} h were allowed (--hours)."
        )
        if not self.fits:
            time += " Less is not worth its while: reduce per_class, max_params or image_size, or allow more."
        yours = f"Yours, and kept: {', '.join(self.kept)}. Delete such a line to have it fitted."
        return [*said, time, *([yours] if self.kept else [])]

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable description."""
        return {
            "input_shape": list(self.profile.input_shape),
            "classes": len(self.profile.class_names),
            "sizes": self.profile.sizes,
            "sizes_of_all": self.whole.sizes,
            "images_per_class": dict(zip(self.profile.class_names, self.profile.counts["train"], strict=True)),
            "params": {choice.key: choice.value for choice in self.choices},
            "seconds_per_characterization": round(self.one, 1),
            "seconds": round(self.seconds),
            "hours_allowed": self.hours,
            "fits": self.fits,
            "workers": self.workers,
            "kept": list(self.kept),
        }


def choose(
    profile: Profile,
    before: Sequence[Choice],
    params: Params,
    speed: Speed,
    efforts: Sequence[float],
    workers: int,
    hours: float,
    given: Set[str],
    more: int = 0,
) -> Tailored:
    """Return the best protocol whose run fits the time, the least one if none does.

    Args:
        profile: of the data.
        before: what was chosen before, to read the data.
        params: with it.
        speed: of this machine.
        efforts: of some architectures of the space.
        workers: processes side by side.
        hours: that the run may take.
        given: keys that the user has set: they stay, and it is only said that they are kept.
        more: architectures to characterize besides the sample: those of rounds and of the sentinel set.
    """
    side_by_side = workers if workers == 1 else _SIDE_BY_SIDE * workers
    parts: list[int | None] = [None]
    if "dataset.per_class" not in given:
        parts += _parts(profile)
    tries = [(part, rung) for part in parts for rung in _LADDER]
    everything = math.inf
    for part, (size, share, repeats) in [*tries, *((parts[-1], rung) for rung in _LEAST)]:
        used = profile if part is None else profile.reduced(part)
        if len(efforts) < SAMPLED:  # the space holds no more
            size = min(size, len(efforts))
        left_out = [] if part is None else [_left_out(part, profile, everything)]
        all_of_it = [*before, *left_out, *of_the_data(used, params)]
        here = _with(params, all_of_it, given)
        all_of_it += _protocol(used, here, size, share, repeats)
        all_of_it += _winners(_with(params, all_of_it, given).characterize)
        choices = tuple(one for one in all_of_it if one.key not in given)
        here = _with(params, choices, given)
        train, validation, test = (used.sizes[name] for name in ("train", "validation", "test"))
        one = speed.seconds(sum(efforts) / len(efforts), here.characterize, train, validation)
        final = speed.seconds(max(efforts), here.train, train, validation + test)
        number = here.sample.size + here.characterize.replicates + more
        seconds = _FIXED_SECONDS + one * number / side_by_side + 2 * final / min(2.0, side_by_side)
        if part is None:
            everything = seconds
        if seconds <= 3600 * hours:
            break
    kept = tuple(one.key for one in all_of_it if one.key in given)
    return Tailored(used, profile, choices, one, seconds, hours, workers, kept)


def _parts(profile: Profile) -> Iterator[int]:
    """Yield how many images of each class may be kept: half as many each time, to two digits, down to the least."""
    counts = profile.counts["train"]
    if sum(counts) <= _LEAST_IMAGES:
        return
    enough = (
        number for number in range(1, max(counts)) if sum(min(count, number) for count in counts) >= _LEAST_IMAGES
    )
    least = max(_LEAST_PER_CLASS, next(enough, max(counts)))
    most = max(counts)
    while (most := most // 2) > least:
        digits = len(str(most)) - 2
        yield most // 10**digits * 10**digits
    if max(counts) > least:
        yield least


def _left_out(part: int, profile: Profile, everything: float) -> Choice:
    why = f"of up to {max(profile.counts['train']):,}: with all of them the run would take {duration(everything)}"
    return Choice("dataset.per_class", part, f"{why}; null: all")


def of_the_data(profile: Profile, params: Params) -> Iterator[Choice]:
    """Yield what the data decide, whatever the machine."""
    _, height, width = profile.input_shape
    if height * width > 16 * 16 and params.space.name == "resnet":
        yield Choice("space.max_params", 100_000, f"as small as the published networks, for {width}x{height} pixels")
    train = profile.sizes["train"]
    batch = next((size for size in (64, 32) if train >= 10 * size), 16)
    if batch < 64:
        for stage in ("characterize", "train"):
            yield Choice(f"{stage}.batch_size", batch, f"{train:,} training images: enough steps in an epoch")
            yield Choice(f"{stage}.learning_rate", 0.1, "smaller batches, smaller steps")
            yield Choice(f"{stage}.hwa_learning_rate", 0.01, "peak, hardware-aware")
    if canonical(params.dataset.name) == TEMPLATES:  # the template's limits were made for these data, and hold for them
        return
    least = math.floor(10 * profile.chance) / 10
    yield Choice("search.min_acc_1d", least, "of always answering the largest class: a network that learned nothing")
    yield Choice("search.T_AVM", None, "no limit until you know what your networks lose; then e.g. 5.0, and run again")


def _protocol(profile: Profile, params: Params, size: int, share: float, repeats: int) -> Iterator[Choice]:
    """Yield the protocol of one rung of the ladder."""
    steps = -(-profile.sizes["train"] // params.characterize.batch_size)
    wanted = min(_MOST_EPOCHS, max(_FEW_EPOCHS, math.ceil(_STEPS / steps)))
    least = min(wanted, max(_LEAST_EPOCHS, math.ceil(_LEAST_STEPS / steps)))
    epochs = max(least, round(share * wanted))
    hwa = max(2, round(epochs / 3))
    cut = "" if epochs == wanted else f"; {wanted} would be better and take longer"
    yield Choice("sample.size", size, "architectures to characterize: the more, the better the evaluator")
    again = min(8, size // 6)
    yield Choice("characterize.replicates", again, "of them, characterized again with another seed: how much is luck")
    yield Choice("characterize.epochs", epochs, f"digital, {steps:,} steps each{cut}")
    yield Choice("characterize.hwa_epochs", hwa, "hardware-aware, with injected noise: a third of the digital ones")
    yield Choice("characterize.repeats", repeats, "how often the trained weights are programmed anew")


def _winners(training: TrainingParams) -> Iterator[Choice]:
    """Yield the protocol of the winner, from that of the characterizations."""
    yield Choice("train.epochs", math.ceil(1.5 * training.epochs), "the winner's: half as many again")
    yield Choice("train.hwa_epochs", math.ceil(1.5 * training.hwa_epochs), "hardware-aware")


def _with(params: Params, choices: Iterable[Choice], given: Set[str]) -> Params:
    return with_values(params, by_key(one for one in choices if one.key not in given))


def by_key(choices: Iterable[Choice]) -> dict[str, Any]:
    """Return the values of choices."""
    return {choice.key: choice.value for choice in choices}


def duration(seconds: float) -> str:
    """Return a time in words, as exactly as an estimate deserves."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    if seconds < 5400:
        return f"about {round(seconds / 60)} min"
    return f"about {seconds / 3600:.1f} h"
