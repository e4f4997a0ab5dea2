"""How long a run takes, part by part, by what was timed on this machine: pure functions."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from analognas.params import Params
    from analognas.setup.probe import Speed

Shape = tuple[int, int, int]

#: Share of the speed of one process that each of several side by side reaches.
_SIDE_BY_SIDE = 0.85
#: Processor seconds in which a worker process has loaded what it needs (see ``probe.start_up``) on the machine on which
#: the following were measured: one that takes longer for it takes longer for them, too.
START = 3.0
#: What the first characterization of a process takes besides: loops that are compiled, libraries that are loaded.
_FIRST = 1.6
#: Seconds of ``analognas run`` besides its stages: Prefect's server (cold), DVC, MLflow's database, the report.
_AROUND = 35.0
#: Seconds for which Prefect keeps a processor busy for each task run.
_TASK = 0.4
#: Task runs of the characterizations, at most (see ``characterizing``).
_TASKS = 64
#: Seconds of fitting: at least, and for each row (all folds of the cross-validation, and the resamples).
_FIT, _FIT_ROW = 5.0, 0.06
#: Seconds of searching: at least, and for each architecture that the evaluator is asked about.
_SEARCH, _QUERY = 1.0, 0.0008
#: How often the driver itself reads the dataset: once for each look at whether it is still the recorded one.
_READS = 6


@dataclass(frozen=True)
class Efforts:
    """Efforts (see ``hardware.cost.effort``) of the networks of a run.

    ``sample`` is of the architectures that are sampled, in their order, ``winner`` of the one that the search may find:
    such as only one of seven of the space exceeds; ``plain`` of the plain network beside it, 0 if there is none;
    ``known`` of those that people take by hand and that are characterized, ``beside`` of those of them that are trained
    with the winner.
    """

    sample: tuple[float, ...]
    winner: float
    plain: float = 0.0
    known: tuple[float, ...] = ()
    beside: tuple[float, ...] = ()

    @property
    def mean(self) -> float:
        """Mean of the sample."""
        return sum(self.sample) / len(self.sample)


#: Efforts of as many architectures as were asked for (or as there are), by parameters and shape of the images; None if
#: the space has no architecture then.
EffortsOf = Callable[["Params", Shape, int], Efforts | None]


@dataclass(frozen=True)
class Machine:
    """What was timed on a machine: ``speed`` of one core, and how many processes there are side by side.

    ``start`` are the seconds until a worker process is ready, ``read`` those of them in which it reads the dataset,
    ``spent`` those that finding all this out took.
    """

    speed: Speed
    workers: int
    start: float = START
    read: float = 0.0
    spent: float = 0.0

    @property
    def slowness(self) -> float:
        """How much longer this machine takes to start things than that of the constants, four fifths at least."""
        return max(0.8, (self.start - self.read) / START)

    @property
    def share(self) -> float:
        """Share of its speed alone that a process reaches beside the others."""
        return 1.0 if self.workers == 1 else _SIDE_BY_SIDE


@dataclass(frozen=True)
class RunTime:
    """Seconds of the parts of a run, from the look at the data to the report."""

    look: float
    start: float
    characterize: float
    fit_and_search: float
    train: float

    @property
    def seconds(self) -> float:
        """All together."""
        return self.look + self.start + self.characterize + self.fit_and_search + self.train

    @property
    def besides(self) -> float:
        """What hardly any protocol changes."""
        return self.look + self.start + self.fit_and_search

    def to_dict(self) -> dict[str, int]:
        """Return whole seconds by part, JSON-serializable."""
        return {name: round(value) for name, value in asdict(self).items()}


def estimate(params: Params, sizes: Mapping[str, int], efforts: Efforts, machine: Machine, more: int = 0) -> RunTime:
    """Return how long a run takes.

    Args:
        params: of the run.
        sizes: images of each part of the dataset that are used.
        efforts: of its networks.
        machine: that it runs on, doing nothing else.
        more: architectures that are characterized besides the sample: those of rounds and of the sentinel set.
    """
    again = efforts.sample[: params.characterize.replicates]
    each = (*efforts.sample, *efforts.known, *again, *(more * [efforts.mean]))
    return RunTime(
        machine.spent,
        starting(machine),
        characterizing(each, params, sizes, machine),
        fitting(len(each), machine) + searching(params, machine),
        training(efforts, params, sizes, machine),
    )


def starting(machine: Machine) -> float:
    """Return the seconds of a run besides its stages."""
    return machine.slowness * _AROUND + _READS * machine.read


def characterizing(efforts: Sequence[float], params: Params, sizes: Mapping[str, int], machine: Machine) -> float:
    """Return the seconds of characterizing architectures of these efforts."""
    each = [
        machine.speed.seconds(effort, params.characterize, sizes["train"], sizes["validation"]) for effort in efforts
    ]
    tasks = _TASK * machine.slowness * min(_TASKS, len(each)) / max(1, machine.workers)
    return (side_by_side(each, machine.workers) + _ready(machine)) / machine.share + tasks


def fitting(rows: int, machine: Machine) -> float:
    """Return the seconds of fitting the evaluator to so many rows."""
    return machine.slowness * (_FIT + _FIT_ROW * rows)


def searching(params: Params, machine: Machine) -> float:
    """Return the seconds of the search, and of random search beside it."""
    search = params.search
    asked = search.runs * search.population_size * search.nb_iter
    asked *= 1 if search.optimizer == "random_search" else 2  # random search runs beside all others
    return machine.slowness * (_SEARCH + _QUERY * asked)


def training(efforts: Efforts, params: Params, sizes: Mapping[str, int], machine: Machine) -> float:
    """Return the seconds of training the winner and what stands beside it."""
    final = [
        machine.speed.seconds(effort, params.train, sizes["train"], sizes["validation"] + sizes["test"])
        for effort in (efforts.winner, efforts.plain, *efforts.beside)
    ]
    return (side_by_side(final, min(len(final), machine.workers)) + _ready(machine)) / machine.share


def _ready(machine: Machine) -> float:
    """Return the seconds until a worker process has begun."""
    return machine.slowness * (START + _FIRST) + machine.read


def side_by_side(seconds: Sequence[float], processes: int) -> float:
    """Return when the last one ends if each process takes the longest that is left, as the characterizations do."""
    ends = [0.0] * processes
    for longest in sorted(seconds, reverse=True):
        heapq.heapreplace(ends, ends[0] + longest)
    return max(ends)


def duration(seconds: float) -> str:
    """Return a time in words, as exactly as an estimate deserves."""
    if seconds < 90:
        return f"about {max(1, round(seconds))} s"
    if seconds < 5400:
        return f"about {round(seconds / 60)} min"
    return f"about {seconds / 3600:.1f} h"
