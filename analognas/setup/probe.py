"""How long training and measuring take on this machine: a few small characterizations, timed."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from analognas.datasets.base import Split
from analognas.errors import AnalogNASWarning, StageError
from analognas.hardware import coverage
from analognas.hardware.cost import effort
from analognas.hardware.silence import silent
from analognas.stages import processes
from analognas.training.digital import EVALUATION_PIXELS, DivergedError
from analognas.training.protocol import train

if TYPE_CHECKING:
    from analognas.datasets import Dataset
    from analognas.params import Params, TrainingParams
    from analognas.search_spaces import Architecture

#: Epochs and repeats that are timed. The first of each takes longer than the others do; it is told apart.
_TIMED = {"epochs": 2, "hwa_epochs": 2, "repeats": 3}
#: Seconds after which no other architecture is begun.
_ENOUGH = 15.0


@dataclass(frozen=True)
class Speed:
    """Seconds that an architecture of effort 1 (see ``hardware.cost.effort``) takes, on one core.

    ``digital`` and ``hwa`` are for one image in one epoch of either training, ``pass_`` is for one image in one
    evaluation, with its share of programming and drift. ``once`` is what a characterization takes besides, however
    many images, epochs and repeats it has: building, converting and preparing the network.
    """

    digital: float
    hwa: float
    pass_: float
    once: float = 0.0

    def seconds(self, effort: float, training: TrainingParams, images: int, scored: int) -> float:
        """Return how long a characterization takes that trains on ``images`` and measures on ``scored`` of them."""
        trained = images * (training.epochs * self.digital + training.hwa_epochs * self.hwa)
        return effort * (self.once + trained + scored * _passes(training) * self.pass_)


@silent()
def measure(architectures: Sequence[Architecture], dataset: Dataset, params: Params, images: int = 256) -> Speed:
    """Train architectures for two epochs on a few images, measure them, and return how long that took.

    The effort tells only roughly how long an architecture takes, so the speed of one does not stand for all: it is that
    of several together. The first one is timed in any case, the others as long as there is time.

    Args:
        architectures: spread over those that will be characterized, from the smallest to the largest.
        dataset: of the workspace.
        params: hardware, batch size, times and device are those of the characterizations.
        images: so many are trained on; measured on are as many, or as many small ones as are evaluated at once.

    Raises:
        StageError: if a training ends in numbers that are not finite.
    """
    coverage.tell(params.hardware)
    careful = {"learning_rate": 1e-3, "hwa_learning_rate": 1e-4}  # a step or two must not diverge
    training = params.characterize.model_copy(update=_TIMED | careful)
    clock = _clock(params)
    middle_first = sorted(
        architectures, key=lambda candidate: abs(architectures.index(candidate) - (len(architectures) - 1) / 2)
    )
    costs, timed = [], []
    try:
        _timed(architectures[0], _first(dataset, 2 * training.batch_size), params, training)  # loads, compiles loops
        begun = clock()
        for architecture in middle_first:
            costs.append(effort(architecture.structure))
            timed.append(_timed(architecture, _first(dataset, images), params, training))
            if clock() - begun > _ENOUGH:
                break
    except DivergedError as error:
        raise StageError(
            f"The training that was to be timed diverged ({error}): look at dataset and hardware, or leave --hours out."
        ) from error
    return Speed(*(float(part) for part in np.sum(timed, axis=0) / sum(costs)))


def start_up(dataset: Mapping[str, Any]) -> tuple[float, float]:
    """Start a worker process; return its processor seconds until it is ready, and those that reading the data took."""
    ((_, seconds),) = processes.each(_ready, [dict(dataset)], 1)
    return seconds


def _ready(dataset: dict[str, Any]) -> tuple[float, float]:
    # What a worker needs was loaded when this module was, before this is called.
    from analognas.datasets import load

    before = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnalogNASWarning)  # they were told when the data were looked at
        load(**dataset)
    now = time.process_time()
    return now, now - before


def _timed(
    architecture: Architecture, dataset: Dataset, params: Params, training: TrainingParams
) -> tuple[float, float, float, float]:
    """Return the seconds of the parts of ``Speed``, not yet divided by the effort."""
    clock = _clock(params)
    began = clock()
    ended: dict[str, list[float]] = {}

    def progress(_done: float, _total: float, phase: str) -> None:
        ended.setdefault(phase, []).append(clock())

    trained = train(
        architecture, dataset, params.hardware, training, seed=0, device=params.base.device, progress=progress
    )
    trained.measure(dataset, "validation", progress)
    whole = clock() - began
    # From the end of the first epoch or repeat to the end of the last one: what there is only once is before.
    digital, hwa, repeat = (
        (marks[-1] - marks[0]) / (len(marks) - 1)
        for marks in (ended[phase] for phase in ("digital", "hardware-aware", "drift"))
    )
    one_pass = repeat / len(training.times)
    known = training.epochs * digital + training.hwa_epochs * hwa + _passes(training) * one_pass
    size, scored = len(dataset.train), len(dataset.validation)
    return digital / size, hwa / size, one_pass / scored, max(0.0, whole - known)


def _passes(training: TrainingParams) -> int:
    """Return how often a network sees all images that it is measured on: digital, noisy, then the drifts."""
    return 2 + training.repeats * len(training.times)


def _clock(params: Params) -> Callable[[], float]:
    # On one CPU the time that this process has had: what else the machine does at the moment is left out.
    return time.process_time if params.base.device == "cpu" else time.perf_counter


def _first(dataset: Dataset, images: int) -> Dataset:
    """Return the dataset with so many images of each part at most; its digests are no longer true.

    Of small images as many are measured on as one evaluation takes at once: fewer would take as long.
    """

    def cut(split: Split, number: int) -> Split:
        return Split(split.x[:number], split.y[:number])

    _, height, width = dataset.input_shape
    scored = max(images, EVALUATION_PIXELS // (height * width))
    return replace(dataset, train=cut(dataset.train, images), validation=cut(dataset.validation, scored))
