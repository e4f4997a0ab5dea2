"""How long training and measuring take on this machine: one small characterization, timed."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from analognas.datasets.base import Split
from analognas.errors import StageError
from analognas.hardware.cost import effort
from analognas.training.digital import DivergedError
from analognas.training.protocol import train

if TYPE_CHECKING:
    from analognas.datasets import Dataset
    from analognas.params import Params, TrainingParams
    from analognas.search_spaces import Architecture

_TIMES = (1.0, 86_400.0, 2_592_000.0)
_REPEATS = 2


@dataclass(frozen=True)
class Speed:
    """Seconds that an architecture of effort 1 (see ``hardware.cost.effort``) takes for one image, on one core.

    ``digital`` and ``hwa`` are for one epoch of either training, ``pass_`` is for one evaluation, programming and
    drift included.
    """

    digital: float
    hwa: float
    pass_: float

    def seconds(self, effort: float, training: TrainingParams, images: int, scored: int) -> float:
        """Return how long one characterization takes.

        Args:
            effort: of the architecture.
            training: epochs, repeats and times.
            images: that it is trained on.
            scored: that it is measured on.
        """
        trained = images * (training.epochs * self.digital + training.hwa_epochs * self.hwa)
        passes = 2 + training.repeats * len(training.times)
        return effort * (trained + scored * passes * self.pass_)


def measure(architecture: Architecture, dataset: Dataset, params: Params, images: int = 256) -> Speed:
    """Train one architecture for an epoch on a few images, measure it, and return how long that took.

    Args:
        architecture: neither the smallest nor the largest, so that its speed stands for the others'.
        dataset: of the workspace.
        params: hardware, batch size and device are those of the characterizations.
        images: so many are trained on, and so many are measured on.

    Raises:
        StageError: if the training ends in numbers that are not finite.
    """
    small = {"epochs": 1, "hwa_epochs": 1, "repeats": _REPEATS, "times": _TIMES}
    careful = {"learning_rate": 1e-3, "hwa_learning_rate": 1e-4}  # a step or two must not diverge
    training = params.characterize.model_copy(update=small | careful)
    try:
        _timed(architecture, _first(dataset, training.batch_size), params, training)  # compiles loops, fills caches
        return _timed(architecture, _first(dataset, images), params, training)
    except DivergedError as error:
        raise StageError(
            f"The training that was to be timed diverged ({error}): look at dataset and hardware, or leave --hours out."
        ) from error


def _timed(architecture: Architecture, dataset: Dataset, params: Params, training: TrainingParams) -> Speed:
    # On one CPU the time that this process has had: what else the machine does at the moment is left out.
    clock = time.process_time if params.base.device == "cpu" else time.perf_counter
    ended = {"": clock()}

    def progress(phase: str, fraction: float) -> None:
        ended[phase] = clock()

    trained = train(
        architecture, dataset, params.hardware, training, seed=0, device=params.base.device, progress=progress
    )
    begun = clock()
    trained.measure(dataset, "validation")
    passes = 2 + training.repeats * len(training.times)
    size, scored = len(dataset.train), len(dataset.validation)
    cost = effort(architecture.structure)
    return Speed(
        digital=(ended["digital"] - ended[""]) / size / cost,
        hwa=(ended["hardware-aware"] - ended["digital"]) / size / cost,
        pass_=(clock() - begun) / scored / passes / cost,
    )


def _first(dataset: Dataset, images: int) -> Dataset:
    """Return the dataset with so many images of each part at most; its digests are no longer true."""

    def cut(split: Split) -> Split:
        return Split(split.x[:images], split.y[:images])

    return replace(dataset, train=cut(dataset.train), validation=cut(dataset.validation))
