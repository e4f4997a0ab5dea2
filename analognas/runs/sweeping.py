"""The same run with other values: one table, one plot, and the workspace stays as it is.

Each point runs the five stages in a folder of its own below the private folder, without git, DVC, Prefect and MLflow.
All share the result store of the workspace, so what was characterized once is not characterized again; and a point that
came to its end is read again as long as nothing that decides it has changed.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analognas.errors import AnalogNASError, CorruptFileError, InputError, ParamsError
from analognas.files import digest, file_digest, read_sealed, writing
from analognas.params import Params
from analognas.params.file import Draft
from analognas.params.overrides import parse
from analognas.params.personal import FILE as PERSONAL
from analognas.progress import Progress, silent
from analognas.results import ResultStore
from analognas.runs.comparing import half_of
from analognas.runs.parameters import APART
from analognas.setup import run_time
from analognas.setup.planning import points_seconds
from analognas.setup.preparing import check_parts, check_source, current_environment, prepare
from analognas.stages import STAGES, run_stage
from analognas.stages.recorded import describe_dataset
from analognas.workspace import Paths, alone

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Where, below the private folder, points are run and plots are put.
FOLDER = "sweeps"
#: Keys that are varied at once, at most: one is the axis of the plot, the other its curves.
_MOST_KEYS = 2
_DIGITS = 12
_COLOURS = ("#1f5fbf", "#c23b22", "#777777", "#2a8f4f", "#8a5bb5", "#b58a1f")


@dataclass(frozen=True)
class Point:
    """A run with values by ``section.key``.

    ``train`` is what the stage ``train`` said of it and ``dataset`` what was recorded of its data, both None if it
    failed: then ``problem`` says why. ``stored`` says whether it had run before.
    """

    values: Mapping[str, Any]
    train: dict[str, Any] | None
    dataset: dict[str, Any] | None
    stored: bool
    problem: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values, with half widths of 90 % intervals where these are known."""
        told: dict[str, Any] = {"values": dict(self.values), "stored": self.stored, "problem": self.problem}
        if self.train is None:
            return told | {"winner": None, "limits": None}
        halves = {f"{name}_half": self.half(name) for name in ("acc_1d", "acc_30d", "avm")}
        return told | {"winner": {**self.train["winner"], **halves}, "limits": self.train["limits"]["status"]}

    def half(self, name: str) -> float | None:
        """Return the half width of the 90 % interval of a figure of the winner, see ``comparing``."""
        if self.train is None or name not in self.train["winner"]:
            return None
        return half_of(self.train, self.dataset or {}, name)


@dataclass(frozen=True)
class Sweep:
    """The points of a sweep in order, and the plot of them (None: nothing could be drawn)."""

    keys: tuple[str, ...]
    points: tuple[Point, ...]
    plot: Path | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "keys": list(self.keys),
            "points": [point.to_dict() for point in self.points],
            "plot": None if self.plot is None else str(self.plot),
        }


def asked_values(given: Sequence[str]) -> dict[str, list[Any]]:
    """Return the values by key that ``section.key=a,b,c`` stand for; commas within brackets part nothing.

    Raises:
        ParamsError: if there are none or too many keys, one is unknown, or has fewer than two values.
    """
    known: dict[str, list[Any]] = {}
    for text in given:
        key, _, values = text.partition("=")
        parsed = [parse([f"{key}={value}"])[key] for value in _parted(values)]
        if len(parsed) < 2 or len({digest(value) for value in parsed}) < len(parsed):
            raise ParamsError(f"{text}: give two or more different values, e.g. hardware.adc_bits=5,6,8.")
        if key in known:
            raise ParamsError(f"{key} is given twice: name all its values together.")
        known[key] = parsed
    if not 1 <= len(known) <= _MOST_KEYS:
        raise ParamsError(f"{len(known)} keys are varied: name one or two, e.g. hardware.adc_bits=5,6,8.")
    return known


def sweep(
    paths: Paths, values: Mapping[str, Sequence[Any]], plot: Path | None = None, progress: Progress = silent
) -> Sweep:
    """Run the pipeline with every combination of values.

    Args:
        paths: the workspace, which stays as it is but for new results in its store.
        values: by ``section.key``, see ``asked_values``.
        plot: the file of the plot; None: one below the private folder.
        progress: called as it gets on.

    Returns:
        The points; one whose run failed says why.

    Raises:
        InputError: if a value is not valid; nothing has run then.
        BusyError: if another run works in the workspace.
    """
    with alone(paths):
        planned = [(each, *_prepared(paths, each)) for each in _combinations(values)]
        points = []
        for number, (each, params, identity) in enumerate(planned):
            name = ", ".join(f"{key} {value}" for key, value in each.items())

            def told(done: float, total: float, text: str, number: int = number, name: str = name) -> None:
                progress(number + (done / total if total else 0.0), len(planned), f"{name}: {text}")

            points.append(_point(paths, each, params, identity, told))
            progress(number + 1, len(planned), name)
        keys = tuple(values)
        place = plot or paths.private() / FOLDER / f"{'-'.join(keys)}.png"
        return Sweep(keys, tuple(points), place if _draw(keys, points, place) else None)


@dataclass(frozen=True)
class Expected:
    """What a sweep would take: its points, how many came to their end before, and seconds for the others.

    ``seconds`` are None if nothing is trained.
    """

    points: int
    stored: int
    seconds: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        seconds = None if self.seconds is None else round(self.seconds)
        return {"points": self.points, "stored": self.stored, "seconds": seconds}

    def __str__(self) -> str:
        left = self.points - self.stored
        if not left:
            return f"All {self.points} points ran before: nothing is run again."
        text = f"{left} of {self.points} points are to run"
        if self.seconds is None:
            return f"{text}; nothing is trained for them."
        return (
            f"{text}: {run_time.duration(self.seconds)} on this machine if it does nothing else, estimated from a few "
            "small characterizations that were timed just now."
        )


def expected(paths: Paths, values: Mapping[str, Sequence[Any]], progress: Progress = silent) -> Expected:
    """Return how long ``sweep`` would take; nothing is written. Raises InputError as it does."""
    planned = [(each, *_prepared(paths, each)) for each in _combinations(values)]
    left = [params for each, params, identity in planned if _stored(_place(paths, identity), each) is None]
    seconds = points_seconds(paths, left, progress) if left else 0.0
    return Expected(len(planned), len(planned) - len(left), seconds)


def _combinations(values: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(values, each, strict=True)) for each in itertools.product(*values.values())]


def _place(paths: Paths, identity: str) -> Paths:
    """Return the folder of a point."""
    return Paths(paths.private() / FOLDER / identity)


def _parted(text: str) -> Iterator[str]:
    """Yield the parts of a text between commas that stand in no bracket."""
    depth, part = 0, ""
    for letter in text:
        depth += (letter in "[{(") - (letter in "]})")
        if letter == "," and not depth:
            yield part
            part = ""
        else:
            part += letter
    if part or text.endswith(","):
        yield part


def _prepared(paths: Paths, values: Mapping[str, Any]) -> tuple[Params, str]:
    """Return the parameters of a point, looked at, and the digest of everything that decides it."""
    draft = Draft(paths.params)
    draft.assign(values)
    params = draft.params()
    check_parts(params)
    described = describe_dataset(params, paths)
    check_source(params, described)
    known = params.model_dump(mode="json", exclude=set(APART))
    rounds = [[path.name, file_digest(path)] for path in sorted(paths.rounds.glob("*.json"))]
    return params, digest([known, described, current_environment(params, paths), rounds])[:_DIGITS]


def _point(paths: Paths, values: Mapping[str, Any], params: Params, identity: str, progress: Progress) -> Point:
    there = _place(paths, identity)
    stored = _stored(there, values)
    if stored is not None:
        return stored
    try:
        now = _made(paths, there, values, params)
        for number, stage in enumerate(STAGES):

            def told(done: float, total: float, text: str, number: int = number, stage: str = stage) -> None:
                progress(number + (done / total if total else 0.0), len(STAGES), f"{stage}: {text}")

            run_stage(stage, now, there, told)
    except InputError:
        raise
    except AnalogNASError as error:  # of a stage: the other points may well come to their end
        return Point(dict(values), None, None, stored=False, problem=str(error))
    train = read_sealed(there.metrics("train"), remedy="sweep again")
    return Point(dict(values), train, read_sealed(there.dataset, remedy="sweep again"), stored=False)


def _stored(there: Paths, values: Mapping[str, Any]) -> Point | None:
    try:
        train, dataset = (read_sealed(file, remedy="") for file in (there.metrics("train"), there.dataset))
    except CorruptFileError:
        return None
    return Point(dict(values), train, dataset, stored=True)


def _made(paths: Paths, there: Paths, values: Mapping[str, Any], params: Params) -> Params:
    """Make the folder of a point, with the parameters, the rounds and the store of the workspace."""
    shutil.rmtree(there.root, ignore_errors=True)  # what a sweep that was cut off left
    there.data.mkdir(parents=True)
    for name in ("params.yaml", PERSONAL):
        if (paths.root / name).is_file():
            shutil.copyfile(paths.root / name, there.root / name)
    if paths.rounds.is_dir():
        shutil.copytree(paths.rounds, there.rounds)
    store = ResultStore.of(paths.home).root.resolve()
    store.mkdir(parents=True, exist_ok=True)
    (there.data / "results").symlink_to(store, target_is_directory=True)
    absolute = {}
    if params.dataset.path is not None:  # relative to the workspace
        absolute = {"dataset.path": str(paths.root / Path(params.dataset.path).expanduser())}
    return prepare(there, {**values, **absolute})


def _draw(keys: Sequence[str], points: Sequence[Point], path: Path) -> bool:
    """Draw accuracy after a day and AVM over the first key, a curve for each value of the second."""
    from matplotlib.figure import Figure

    good = [point for point in points if point.train is not None]
    if not good:
        return False
    figure = Figure(figsize=(7, 6), dpi=120, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    above.set(title=f"{(good[0].dataset or {}).get('name', '')}: the winner by {keys[0]}", ylabel="after 1 day, %")
    below.set(xlabel=keys[0], ylabel="AVM, points")
    for axes, name in ((above, "acc_1d"), (below, "avm")):
        _curves(axes, keys, good, name)
        axes.grid(alpha=0.3)
    if len(keys) > 1:
        above.legend(frameon=False, title=keys[1])
    figure.supxlabel("bars: 90 % intervals over programmings and test images", fontsize=8)
    suffix = path.suffix.lstrip(".") or "png"
    with writing(path) as temporary:
        figure.savefig(temporary, format=suffix, metadata={"Software": None} if suffix == "png" else None)
    return True


def _curves(axes: Axes, keys: Sequence[str], points: Sequence[Point], name: str) -> None:
    groups: dict[str, list[Point]] = {}
    for point in points:
        groups.setdefault(str(point.values[keys[1]]) if len(keys) > 1 else "", []).append(point)
    every = [point.values[keys[0]] for point in points]
    numeric = all(isinstance(value, int | float) and not isinstance(value, bool) for value in every)
    for (label, members), colour in zip(groups.items(), itertools.cycle(_COLOURS), strict=False):
        x = [point.values[keys[0]] if numeric else str(point.values[keys[0]]) for point in members]
        y = [point.train["winner"][name] for point in members if point.train is not None]
        bars = [point.half(name) or 0.0 for point in members]
        axes.errorbar(x, y, yerr=bars, marker="o", capsize=3, color=colour, label=label)
    if numeric:
        axes.set_xticks(sorted(set(every)))
