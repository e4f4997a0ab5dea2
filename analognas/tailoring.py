"""A workspace fitted to the user's data and machine: a protocol that suits both, each choice with its reason.

The data are looked at, one small characterization is timed, and the best protocol whose whole run fits the given
time is written into ``params.yaml``, where every value can be edited afterwards.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analognas._yaml import load_document, round_trip
from analognas.files import write_text

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
#: Architectures by which a space is judged.
_SAMPLED = 48
#: Share of the speed of one process that each of several side by side reaches.
_SIDE_BY_SIDE = 0.85
#: Seconds of a run that no protocol changes: starting, fitting, searching, logging.
_FIXED_SECONDS = 150.0
_BEGIN, _END = "# Fitted to the data and this machine", "# (end of what was fitted)"


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
class Choice:
    """A value of ``params.yaml``, and why it was chosen, in a few words."""

    key: str
    value: Any
    why: str


@dataclass(frozen=True)
class Tailored:
    """What was chosen, and how long a run will take with it, as far as one can tell.

    ``one`` is the time of one characterization in seconds, ``seconds`` that of the whole run.
    """

    profile: Profile
    choices: tuple[Choice, ...]
    one: float
    seconds: float
    hours: float
    workers: int

    @property
    def fits(self) -> bool:
        """Whether the run is over within the given time."""
        return self.seconds <= 3600 * self.hours

    def lines(self) -> list[str]:
        """Return what a user should know, in sentences."""
        said = [f"Data: {self.profile}.", self.profile.balance]
        time = (
            f"Time: a typical characterization takes {duration(self.one)} on one core (a small one was timed, the "
            f"others are judged by their multiplications), so with {self.workers} side by side the run takes "
            f"{duration(self.seconds)}; {self.hours:g} h were allowed (--hours)."
        )
        if not self.fits:
            time += " No smaller protocol is worth its while: reduce max_params or dataset.image_size, or allow more."
        return [*said, time]

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
        }


def wanted(assignments: Sequence[str]) -> bool:
    """Return whether the data are others than those that the template's protocol was made for."""
    return _values(assignments).get("dataset.name", "digits") != "digits"


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

    set_by_user = _values(assignments)
    dataset = Params.load(paths.params).dataset
    name, path = set_by_user.get("dataset.name", dataset.name), set_by_user.get("dataset.path", dataset.path)
    chosen = []
    if name == "image-folder" and path and "dataset.image_size" not in set_by_user and dataset.image_size is None:
        size = size_of_images(paths.root / Path(path).expanduser())
        chosen = [] if size is None else [size]
    prepare(paths, [*assignments, *(f"{one.key}={one.value}" for one in chosen)], progress, held=held)
    return _tailor(paths, hours, set_by_user, chosen, progress, held)


def _tailor(
    paths: Paths,
    hours: float,
    given: Collection[str],
    before: Sequence[Choice],
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
    # What was edited before stays, too: only the protocol itself is fitted anew.
    kept = {*given, *(key for key in _keys(params) if _value(params, key) != _value(Params(), key))}
    of_data = [*before, *(choice for choice in _of_the_data(profile) if choice.key not in kept)]
    params = _with(params, of_data)
    described = {"name": dataset.name, "input_shape": dataset.input_shape, "classes": dataset.classes}
    efforts, middle = _efforts(space_of(params, described))
    if progress is not None:
        progress(0, 1, "timing one small characterization")
    speed = probe.measure(middle, dataset, params)
    if progress is not None:
        progress(1, 1, "timed one small characterization")
    side_by_side = 1 if params.run.runner == "serial" else workers(params.run.workers)
    done = choose(profile, of_data, params, speed, efforts, side_by_side, hours, given)
    with nullcontext() if held else alone(paths):  # a run that began meanwhile keeps its parameters
        write(paths.params, done)
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
    given: Collection[str],
) -> Tailored:
    """Return the best protocol whose run fits the time, the least one if none does: a pure function.

    Args:
        profile: of the data.
        chosen: what was chosen before.
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
        choices = [one for one in _protocol(profile, params, size, share, repeats) if one.key not in given]
        here = _with(params, choices)
        one = speed.seconds(typical, here.characterize, train, validation)
        final = speed.seconds(max(efforts), here.train, train, validation + test)
        number = here.sample.size + here.characterize.replicates
        seconds = _FIXED_SECONDS + one * number / side_by_side + 2 * final / min(2.0, side_by_side)
        if seconds <= 3600 * hours:
            break
    return Tailored(profile, (*chosen, *choices), one, seconds, hours, workers)


def _of_the_data(profile: Profile) -> Iterator[Choice]:
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


def _efforts(space: ConfigSpace) -> tuple[list[float], Architecture]:
    """Return the efforts of some architectures of a space, sorted, and the one in the middle."""
    from analognas.errors import SpaceError
    from analognas.hardware.cost import effort

    try:
        sample = space.sample(_SAMPLED, seed=0)
    except SpaceError:  # a space that holds fewer
        sample = list(space.enumerate())
    sample.sort(key=lambda one: effort(one.structure))
    return [effort(one.structure) for one in sample], sample[len(sample) // 2]


def _with(params: Params, choices: Sequence[Choice]) -> Params:
    from analognas.params import Params as Validated

    values: dict[str, dict[str, Any]] = params.model_dump(mode="json")
    for choice in choices:
        section, _, name = choice.key.partition(".")
        values[section][name] = choice.value
    return Validated.validated(values)


def _keys(params: Params) -> Iterator[str]:
    for section, values in params.model_dump().items():
        yield from (f"{section}.{name}" for name in values)


def _value(params: Params, key: str) -> Any:
    section, _, name = key.partition(".")
    return getattr(getattr(params, section), name)


def write(path: Path, tailored: Tailored) -> None:
    """Write the choices into a params file, each with its reason as the comment, and what they rest on at its top."""
    from ruamel.yaml.comments import CommentedMap

    document = load_document(path)
    for choice in tailored.choices:
        section, _, name = choice.key.partition(".")
        if not document.get(section):
            document[section] = CommentedMap()
        document[section][name] = choice.value
        _comment(document[section], name, choice.why)
    text = StringIO()
    round_trip().dump(document, text)
    fitted_before = re.compile(rf"\A{re.escape(_BEGIN)}.*?^{re.escape(_END)}\n\n?", re.DOTALL | re.MULTILINE)
    before = fitted_before.sub("", text.getvalue())
    said = "".join(f"# {line}\n" for line in tailored.lines())
    write_text(path, f"{_BEGIN}; edit what you like.\n{said}{_END}\n\n{before}")


def _comment(section: Any, name: str, why: str) -> None:
    """Replace what is said at the end of a line; blank lines and comments that follow it stay."""
    tokens = section.ca.items.get(name)
    token = tokens[2] if tokens else None
    if token is None:
        section.yaml_add_eol_comment(why, name)
        return
    _, newline, rest = token.value.partition("\n")
    token.value = f"# {why}{newline or chr(10)}{rest}"


def duration(seconds: float) -> str:
    """Return a time in words, as exactly as an estimate deserves."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    if seconds < 5400:
        return f"about {round(seconds / 60)} min"
    return f"about {seconds / 3600:.1f} h"
