"""A workspace fitted to the user's data and machine: a protocol that suits both, each choice with its reason.

The data are looked at, a few small characterizations are timed, and the best protocol whose whole run fits the given
time is written into ``params.yaml``, where every value can be edited afterwards (see ``fitted``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analognas._yaml import scalar
from analognas.fitted import Choice, Record, default, read_record, with_values, write, written_by_user

if TYPE_CHECKING:
    from analognas.datasets import Dataset
    from analognas.params import Params
    from analognas.search_spaces import Architecture, ConfigSpace
    from analognas.training.probe import Speed
    from analognas.workspace import Paths

#: Hours that a run may take if nobody says it.
HOURS = 2.0
#: Images that are larger, in pixels, or differ in size, are resized to this edge length.
LARGEST_SIZE, RESIZED = 64, 32
#: Steps of digital training that a network should get, and those without which it has learned nothing.
_STEPS, _LEAST_STEPS = 1_500, 400
#: Bounds of the epochs that follow: at most, at least if there is time, at least.
_MOST_EPOCHS, _FEW_EPOCHS, _LEAST_EPOCHS = 30, 6, 3
#: What the protocol shrinks by, from the best to the least: sampled architectures, share of the epochs, repeats.
_LADDER = (
    *((size, 1.0, 25) for size in (256, 192, 128, 96, 64)),
    (64, 1.0, 10),
    *((48, share, 10) for share in (1.0, 0.7)),
    *((32, share, 10) for share in (0.7, 0.5)),
    *((24, share, 5) for share in (0.5, 0.33, 0.2)),
)
#: Architectures by which a space is judged, and how many of them are timed.
_SAMPLED, _TIMED = 48, 5
#: Share of the speed of one process that each of several side by side reaches.
_SIDE_BY_SIDE = 0.85
#: Seconds of a run that hardly any protocol changes: starting Prefect and the workers, fitting, searching, logging.
_FIXED_SECONDS = 80.0
#: The data that the template's protocol, and its limits of the search, were made for.
_TEMPLATES = "digits"
#: Why a value is the default again.
_DEFAULT = "the default, which does for these data"


@dataclass(frozen=True)
class Profile:
    """What was measured of the data: shape, images per part, images of each class in the training part."""

    input_shape: tuple[int, int, int]
    sizes: Mapping[str, int]
    class_names: tuple[str, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, dataset: Dataset) -> Profile:
        """Return the profile of a dataset."""
        counts = np.bincount(dataset.train.y, minlength=dataset.classes)
        sizes = {part: len(dataset.part(part)) for part in ("train", "validation", "test")}
        return cls(dataset.input_shape, sizes, dataset.class_names, tuple(counts.tolist()))

    @property
    def chance(self) -> float:
        """Accuracy of always answering the most frequent class, percent."""
        return 100 * max(self.counts) / sum(self.counts)

    def __str__(self) -> str:
        shape = "x".join(map(str, self.input_shape))
        sizes = " / ".join(f"{size:,}" for size in self.sizes.values())
        return f"{len(self.counts)} classes, images of {shape}, {sizes} for training / validation / test"

    @property
    def balance(self) -> str:
        """One sentence about the classes' sizes."""
        most, least = max(self.counts), min(self.counts)
        if most <= 1.2 * least:
            return f"The classes are balanced: {least:,} to {most:,} training images each."
        largest, smallest = (self.class_names[self.counts.index(count)] for count in (most, least))
        return (
            f"The classes are not balanced: {most:,} training images of {largest!r}, {least:,} of {smallest!r}; "
            f"always answering {largest!r} gives {self.chance:.0f} %."
        )


@dataclass(frozen=True)
class Tailored:
    """What was chosen, and how long a run will take with it, as far as one can tell.

    ``one`` is the time of one characterization in seconds, ``seconds`` that of the whole run. ``kept`` are the keys
    that would have been chosen, and were left alone because they are the user's.
    """

    profile: Profile
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

    def lines(self) -> list[str]:
        """Return what a user should know, in sentences."""
        said = [f"Data: {self.profile}.", self.profile.balance]
        time = (
            f"Time: a typical characterization takes {duration(self.one)} on one core (a few small ones were timed, "
            f"the others are judged by their multiplications), so with {self.workers} side by side the run takes "
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
            "classes": len(self.profile.counts),
            "sizes": dict(self.profile.sizes),
            "images_per_class": dict(zip(self.profile.class_names, self.profile.counts, strict=True)),
            "params": {choice.key: choice.value for choice in self.choices},
            "seconds_per_characterization": round(self.one, 1),
            "seconds": round(self.seconds),
            "hours_allowed": self.hours,
            "fits": self.fits,
            "workers": self.workers,
            "kept": list(self.kept),
        }


def wanted(assignments: Sequence[str]) -> bool:
    """Return whether the data are others than those that the template's protocol was made for."""
    return _values(assignments).get("dataset.name", _TEMPLATES) != _TEMPLATES


def hours_again(paths: Paths, assignments: Sequence[str]) -> float | None:
    """Return the hours to which a workspace is fitted anew because it is given other data, None if it is not.

    Only a workspace that was fitted before is: the protocol of the others is nobody's but the user's.
    """
    from analognas.params import Params

    record = read_record(paths.params)
    now = Params.load(paths.params).values("dataset")
    given = {key.partition(".")[2]: value for key, value in _values(assignments).items() if key.startswith("dataset.")}
    other = {name for name, value in given.items() if name != "augment" and now.get(name) != scalar(value)}
    return record.hours if record is not None and other else None


def _values(assignments: Sequence[str]) -> dict[str, str]:
    return {key.strip(): value.strip() for key, _, value in (one.partition("=") for one in assignments)}


def prepare_tailored(
    paths: Paths,
    assignments: Sequence[str],
    hours: float,
    progress: Callable[[float, float, str], None] | None = None,
    *,
    held: bool = False,
) -> Tailored | None:
    """Make a workspace ready to run, as ``environment.prepare`` does, with a protocol fitted to data and machine.

    Args:
        paths: the workspace.
        assignments: ``section.key=value`` that the user has set: they stay.
        hours: that a run may take.
        progress: told what is going on.
        held: as for ``environment.prepare``.

    Returns:
        What was written, or None if there is nothing to train on (results that are only looked up).

    Raises:
        InputError: if parameters, dataset or space are not valid; nothing is written then.
        WorkspaceError: if another run works in the workspace.
    """
    from analognas.environment import prepare
    from analognas.params import Params

    given = _values(assignments)
    params, record = Params.load(paths.params), read_record(paths.params)
    yours = {*given, *written_by_user(paths.params, record)}
    dataset = params.dataset
    name, path = given.get("dataset.name", dataset.name), given.get("dataset.path", dataset.path)
    chosen = []
    if "dataset.image_size" not in yours:
        size = size_of_images(paths.root / Path(path).expanduser()) if name == "image-folder" and path else None
        # What an earlier fit chose for other images must not be in the way of reading these.
        chosen = [size or Choice("dataset.image_size", None, _DEFAULT)] if size or dataset.image_size else []
    known = [f"{one.key}={'null' if one.value is None else one.value}" for one in chosen]
    prepare(paths, [*assignments, *known], progress, held=held)
    return _tailor(paths, hours, yours, chosen, record, progress, held)


def _tailor(
    paths: Paths,
    hours: float,
    yours: Set[str],
    before: Sequence[Choice],
    record: Record | None,
    progress: Callable[[float, float, str], None] | None,
    held: bool,
) -> Tailored | None:
    from analognas.environment import load_dataset
    from analognas.params import Params
    from analognas.stages._inputs import space_of
    from analognas.training import probe
    from analognas.workers import workers
    from analognas.workspace import alone

    params = Params.load(paths.params)
    dataset = load_dataset(params, paths)
    if not len(dataset.train) or params.characterize.source != "training":
        return None
    profile = Profile.of(dataset)
    # What an earlier fit chose, and nobody has edited since, is as if it had never been chosen.
    stale = {} if record is None else {key: default(key) for key in record.values if key not in yours}
    params = with_values(params, {**stale, **_by_key(before)})
    of_data = [*before, *_of_the_data(profile, params.dataset.name)]
    params = with_values(params, _by_key(one for one in of_data if one.key not in yours))
    described = {"name": dataset.name, "input_shape": dataset.input_shape, "classes": dataset.classes}
    efforts, spread = _efforts(space_of(params, described))
    if progress is not None:
        progress(0, 1, "timing a few small characterizations")
    speed = probe.measure(spread, dataset, params)
    if progress is not None:
        progress(1, 1, "timed a few small characterizations")
    side_by_side = 1 if params.run.runner == "serial" else workers(params.run.workers)
    done = choose(profile, of_data, params, speed, efforts, side_by_side, hours, yours)
    chosen = {one.key for one in done.choices}
    back = [Choice(key, value, _DEFAULT) for key, value in stale.items() if key not in chosen]
    earlier = set() if record is None else set(record.kept)
    with nullcontext() if held else alone(paths):  # a run that began meanwhile keeps its parameters
        write(paths.params, [*done.choices, *back], done.lines(), hours, {*done.kept, *(yours & earlier)})
    return done


def size_of_images(folder: Path, looked_at: int = 300) -> Choice | None:
    """Return the size to which the images of a folder are resized, None if they stay as they are.

    Only headers are read, of some of the files: all other mistakes are told when the dataset is loaded.
    """
    from analognas.datasets.images import EXTENSIONS, inspect
    from analognas.errors import DatasetError

    sizes = set()
    files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in EXTENSIONS]
    for path in files[:: max(1, len(files) // looked_at)]:
        try:
            sizes.add(inspect(path)[0])
        except DatasetError:
            return None
    if not sizes or (len(sizes) == 1 and max(next(iter(sizes))) <= LARGEST_SIZE):
        return None
    what = "they differ in size" if len(sizes) > 1 else "they are {}x{}".format(*next(iter(sizes)))
    return Choice("dataset.image_size", RESIZED, f"{what}; twice the size takes four times as long")


def choose(
    profile: Profile,
    chosen: Sequence[Choice],
    params: Params,
    speed: Speed,
    efforts: Sequence[float],
    workers: int,
    hours: float,
    given: Set[str],
) -> Tailored:
    """Return the best protocol whose run fits the time, the least one if none does: a pure function.

    Args:
        profile: of the data.
        chosen: what was chosen before; of what the user has set it is only said that it is kept.
        params: with it.
        speed: of this machine.
        efforts: of some architectures of the space.
        workers: processes side by side.
        hours: that the run may take.
        given: keys that the user has set.
    """
    typical = sum(efforts) / len(efforts)
    side_by_side = workers if workers == 1 else _SIDE_BY_SIDE * workers
    train, validation, test = profile.sizes["train"], profile.sizes["validation"], profile.sizes["test"]
    for size, share, repeats in _LADDER:
        if len(efforts) < _SAMPLED:  # the space holds no more
            size = min(size, len(efforts))
        all_of_it = [*chosen, *_protocol(profile, params, size, share, repeats)]
        choices = tuple(one for one in all_of_it if one.key not in given)
        here = with_values(params, _by_key(choices))
        one = speed.seconds(typical, here.characterize, train, validation)
        final = speed.seconds(max(efforts), here.train, train, validation + test)
        number = here.sample.size + here.characterize.replicates
        seconds = _FIXED_SECONDS + one * number / side_by_side + 2 * final / min(2.0, side_by_side)
        if seconds <= 3600 * hours:
            break
    kept = tuple(one.key for one in all_of_it if one.key in given)
    return Tailored(profile, choices, one, seconds, hours, workers, kept)


def _of_the_data(profile: Profile, name: str) -> Iterator[Choice]:
    """Yield what the data decide, whatever the machine."""
    _, height, width = profile.input_shape
    if height * width > 16 * 16:
        yield Choice("space.max_params", 100_000, f"as small as the published networks, for {width}x{height} pixels")
    train = profile.sizes["train"]
    batch = next((size for size in (64, 32) if train >= 10 * size), 16)
    if batch < 64:
        for stage in ("characterize", "train"):
            yield Choice(f"{stage}.batch_size", batch, f"{train:,} training images: enough steps in an epoch")
            yield Choice(f"{stage}.learning_rate", 0.1, "smaller batches, smaller steps")
            yield Choice(f"{stage}.hwa_learning_rate", 0.01, "peak, hardware-aware")
    if name == _TEMPLATES:  # the template's limits were made for these data, and hold for them
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
    yield Choice("train.epochs", math.ceil(1.5 * epochs), "the winner's: half as many again")
    yield Choice("train.hwa_epochs", math.ceil(1.5 * hwa), "hardware-aware")


def _efforts(space: ConfigSpace) -> tuple[list[float], list[Architecture]]:
    """Return the efforts of some architectures of a space, sorted, and some that are spread evenly over them."""
    from analognas.errors import SpaceError
    from analognas.hardware.cost import effort

    try:
        sample = space.sample(_SAMPLED, seed=0)
    except SpaceError:  # a space that holds fewer
        sample = list(space.enumerate())
    sample.sort(key=lambda one: effort(one.structure))
    places = sorted({int((place + 0.5) * len(sample) / _TIMED) for place in range(_TIMED)})
    return [effort(one.structure) for one in sample], [sample[place] for place in places]


def _by_key(choices: Iterable[Choice]) -> dict[str, Any]:
    return {choice.key: choice.value for choice in choices}


def duration(seconds: float) -> str:
    """Return a time in words, as exactly as an estimate deserves."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    if seconds < 5400:
        return f"about {round(seconds / 60)} min"
    return f"about {seconds / 3600:.1f} h"
