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
from analognas.setup.protocol_ladder import Form, Rung, forms, tries
from analognas.setup.record import Choice, with_values
from analognas.setup.run_time import EffortsOf, Machine, RunTime, duration, estimate

if TYPE_CHECKING:
    from analognas.datasets import Dataset
    from analognas.params import Params, TrainingParams

#: The data that the template's protocol, and its limits of the search, were made for.
TEMPLATES = "digits"
#: Architectures by which a space is judged.
SAMPLED = 48
#: Steps of digital training that a network should get.
_STEPS = 1_500
#: Bounds of the epochs that follow: at most, and at least if there is time.
_MOST_EPOCHS, _FEW_EPOCHS = 30, 6
#: So few architectures, or programmings, are good for a first look.
_FIRST_LOOK_SIZE, _FIRST_LOOK_REPEATS = 32, 5


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
            each = f"{least:,}" if least == most else f"{least:,} to {most:,}"
            return f"The classes are balanced: {each} training images each."
        largest, smallest = (self.class_names[counts.index(count)] for count in (most, least))
        return (
            f"The classes are not balanced: {most:,} training images of {largest!r}, {least:,} of {smallest!r}; "
            f"always answering {self.class_names[scored.index(max(scored))]!r} gives {self.chance:.0f} % (validation)."
        )


@dataclass(frozen=True)
class Tailored:
    """What was chosen, and how long a run will take with it, as far as one can tell.

    ``profile`` is of the images that are used, ``whole`` of all that there are. ``params`` are those of the run, and
    ``form`` tells what was made smaller. ``each`` is the time of one characterization in seconds, ``time`` that of the
    whole run by parts. ``kept`` are the keys that would have been chosen, and were left alone because they are the
    user's.
    """

    profile: Profile
    whole: Profile
    choices: tuple[Choice, ...]
    params: Params
    form: Form
    each: float
    time: RunTime
    hours: float
    workers: int
    kept: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """How long the whole run takes."""
        return self.time.seconds

    @property
    def fits(self) -> bool:
        """Whether the run is over within the given time."""
        return self.seconds <= 3600 * self.hours

    @property
    def per_class(self) -> int | None:
        """What ``dataset.per_class`` was chosen to be, None if no image is left out."""
        return next((choice.value for choice in self.choices if choice.key == "dataset.per_class"), None)

    def lines(self) -> list[str]:
        """Return what a user should know, in sentences."""
        said = [f"Data: {self.profile}.", self.profile.balance]
        if self.per_class is not None:
            said.append(
                f"Only a part is used, of {self.whole.sizes['train']:,} training images: with all of them it would "
                "take too long (see dataset.per_class, and --hours)."
            )
        said.append(
            f"Time: a typical characterization takes {duration(self.each)} on one core (a few small ones were timed, "
            f"the others are judged by their layers), so with {self.workers} side by side the run takes "
            f"{duration(self.seconds)}, {duration(self.time.besides)} of it whatever the protocol (starting, fitting, "
            f"searching, logging); {self.hours:g} h were allowed (--hours)."
        )
        if self.first_look is not None:
            said.append(self.first_look)
        if self.kept:
            said.append(f"Yours, and kept: {', '.join(self.kept)}. Delete such a line to have it fitted.")
        return said

    @property
    def first_look(self) -> str | None:
        """One sentence about what a short run is good for, None if it is not that short."""
        size, training = self.params.sample.size, self.params.characterize
        if size > _FIRST_LOOK_SIZE and training.repeats > _FIRST_LOOK_REPEATS:
            return None
        least = [f"{size} architectures", f"{training.epochs} + {training.hwa_epochs} epochs"]
        least += [f"{training.repeats} programmings of each"]
        if self.form.edge is not None:
            least.append(f"images of {self.form.edge}x{self.form.edge} pixels")
        if self.form.budget is not None:
            least.append(f"networks of at most {self.form.budget:,} parameters")
        return (
            f"A run of {duration(self.seconds).removeprefix('about ')}: {', '.join(least)}: good for a first look at "
            "what is possible, not for telling apart networks that are close; more --hours do that."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable description."""
        return {
            "input_shape": list(self.profile.input_shape),
            "classes": len(self.profile.class_names),
            "sizes": self.profile.sizes,
            "sizes_of_all": self.whole.sizes,
            "images_per_class": dict(zip(self.profile.class_names, self.profile.counts["train"], strict=True)),
            "params": {choice.key: choice.value for choice in self.choices},
            "seconds_per_characterization": round(self.each, 1),
            "seconds": round(self.seconds),
            "seconds_by_part": self.time.to_dict(),
            "hours_allowed": self.hours,
            "fits": self.fits,
            "first_look": self.first_look is not None,
            "workers": self.workers,
            "kept": list(self.kept),
        }


def choose(
    profile: Profile,
    before: Sequence[Choice],
    params: Params,
    machine: Machine,
    efforts: EffortsOf,
    hours: float,
    given: Set[str],
    more: int = 0,
    least: Form | None = None,
) -> Tailored:
    """Return the best protocol whose run fits the time, the one that takes least if none does.

    Args:
        profile: of the data.
        before: what was chosen before, to read the data.
        params: with it.
        machine: what was timed on it.
        efforts: of the architectures of the space.
        hours: that the run may take.
        given: keys that the user has set: they stay, and it is only said that they are kept.
        more: architectures to characterize besides the sample: those of rounds and of the sentinel set.
        least: networks and images are of this form or smaller.
    """
    of_all = _with(params, of_the_data(profile, params), given)
    there = forms(profile.input_shape, of_all, given)
    begin = 0 if least is None else there.index(least)
    shortest: Tailored | None = None
    everything = math.inf
    for attempt in tries(there, profile.counts["train"], given, begin):
        used = profile if attempt.part is None else profile.reduced(attempt.part)
        used = replace(used, input_shape=attempt.form.shape(profile.input_shape))
        left_out = [] if attempt.part is None else [_left_out(attempt.part, profile, everything)]
        chosen = [*before, *left_out, *of_the_data(used, params), *_smaller(attempt.form, profile, of_all)]
        adapted = _with(params, chosen, given)
        costs = efforts(
            adapted, used.input_shape, attempt.rung.size if "sample.size" not in given else adapted.sample.size
        )
        if costs is None:  # no architecture is that small
            continue
        chosen += _protocol(used, adapted, attempt.rung, len(costs.sample))
        chosen += _winners(_with(params, chosen, given).characterize, attempt.rung)
        chosen = list({choice.key: choice for choice in chosen}.values())  # the last one of a key holds
        choices = tuple(choice for choice in chosen if choice.key not in given)
        adapted = _with(params, choices, given)
        tried = Tailored(
            used, profile, choices, adapted, attempt.form,
            each=machine.speed.seconds(costs.mean, adapted.characterize, used.sizes["train"], used.sizes["validation"]),
            time=estimate(adapted, used.sizes, costs, machine, more),
            hours=hours, workers=machine.workers,
            kept=tuple(choice.key for choice in chosen if choice.key in given),
        )  # fmt: skip
        if tried.fits:
            return tried
        if attempt.part is None and attempt.form == there[0]:
            everything = min(everything, tried.seconds)
        if shortest is None or tried.seconds < shortest.seconds:
            shortest = tried
    assert shortest is not None  # the space has architectures, or it would have been refused before
    return shortest


def _left_out(part: int, profile: Profile, everything: float) -> Choice:
    why = f"of up to {max(profile.counts['train']):,}: with all of them the run would take {duration(everything)}"
    return Choice("dataset.per_class", part, f"{why}; null: all")


def _smaller(form: Form, profile: Profile, params: Params) -> Iterator[Choice]:
    """Yield what makes networks and images smaller than they should be."""
    if form.edge is not None:
        _, height, width = profile.input_shape
        yield Choice("dataset.image_size", form.edge, f"{width}x{height} would be better and take longer")
    if form.budget is not None:
        yield Choice("space.max_params", form.budget, f"{params.space.max_params:,} would be better and take longer")


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
            yield Choice(f"{stage}.hwa_learning_rate", 0.025, "peak, hardware-aware")
    if canonical(params.dataset.name) == TEMPLATES:  # the template's limits were made for these data, and hold for them
        return
    least = math.floor(10 * profile.chance) / 10
    yield Choice("search.min_acc_1d", least, "of always answering the largest class: a network that learned nothing")
    yield Choice("search.T_AVM", None, "no limit until you know what your networks lose; then e.g. 5.0, and run again")


def _protocol(profile: Profile, params: Params, rung: Rung, size: int) -> Iterator[Choice]:
    """Yield the protocol of one rung of the ladder, for so many architectures."""
    steps = -(-profile.sizes["train"] // params.characterize.batch_size)
    wanted = min(_MOST_EPOCHS, max(_FEW_EPOCHS, math.ceil(_STEPS / steps)))
    least = min(wanted, max(rung.epochs, math.ceil(rung.steps / steps)))
    epochs = max(least, round(rung.share * wanted))
    hwa = max(min(2, epochs), round(epochs / 3))
    cut = "" if epochs == wanted else f"; {wanted} would be better and take longer"
    yield Choice("sample.size", size, "architectures to characterize: the more, the better the evaluator")
    again = min(8, size // 6)
    yield Choice("characterize.replicates", again, "of them, characterized again with another seed: how much is luck")
    yield Choice("characterize.epochs", epochs, f"digital, {steps:,} steps each{cut}")
    yield Choice("characterize.hwa_epochs", hwa, "hardware-aware, with injected noise: a third of the digital ones")
    yield Choice("characterize.repeats", rung.repeats, "how often the trained weights are programmed anew")


def _winners(training: TrainingParams, rung: Rung) -> Iterator[Choice]:
    """Yield the protocol of the winner, from that of the characterizations."""
    why = "the winner's: half as many again" if rung.longer > 1 else "the winner's: as many"
    yield Choice("train.epochs", math.ceil(rung.longer * training.epochs), why)
    yield Choice("train.hwa_epochs", math.ceil(rung.longer * training.hwa_epochs), "hardware-aware")
    yield Choice("train.repeats", rung.final_repeats, "how often the winner's weights are programmed anew")


def _with(params: Params, choices: Iterable[Choice], given: Set[str]) -> Params:
    return with_values(params, by_key(choice for choice in choices if choice.key not in given))


def by_key(choices: Iterable[Choice]) -> dict[str, Any]:
    """Return the values of choices."""
    return {choice.key: choice.value for choice in choices}
