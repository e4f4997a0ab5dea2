"""What the stages say of their work: ``data/metrics/STAGE.json``, and what ``run`` returns.

JSON values alone. Accuracies are percent, AVM and standard deviations percentage points.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NotRequired, TypeAlias, TypedDict

from analognas.evaluators.ceiling import Ceiling
from analognas.evaluators.reporting import Report
from analognas.search_algorithms.verdicts import Described
from analognas.training.columns import ArchitectureFigures

if TYPE_CHECKING:
    from analognas.hardware.params import ToldHardware


class SampleSummary(TypedDict):
    """How many architectures, and their parameters."""

    architectures: int
    params_min: int
    params_median: float
    params_max: int


class CharacterizeSummary(TypedDict):
    """How many architectures, how many of them failed, and of the others median and maximum, if there are any."""

    architectures: int
    diverged: int
    too_large: int
    acc_digital_median: NotRequired[float]
    acc_digital_max: NotRequired[float]
    acc_1d_median: NotRequired[float]
    acc_1d_max: NotRequired[float]
    acc_1d_std_median: NotRequired[float]
    acc_1d_std_max: NotRequired[float]
    avm_median: NotRequired[float]
    avm_max: NotRequired[float]


class FitSummary(Report):
    """The report of the evaluator, and how well any could rank."""

    ceiling: NotRequired[dict[str, Ceiling]]


class SearchSummary(TypedDict):
    """The objective of the search and of random search beside it (percent), and what is known of the best candidate."""

    objective: float
    objective_random_search: float
    evaluations: int
    params: int
    best_is_measured: bool
    limits: Described
    predicted_acc_1d: float
    predicted_avm: float
    predicted_acc_1d_std: float


class Difference(TypedDict):
    """Winner minus another network, with its 95 % interval."""

    value: float
    low: float
    high: float


class KnownSummary(TypedDict):
    """A network that people take by hand, on test, and winner minus it."""

    figures: ArchitectureFigures
    difference: dict[str, Difference]


class TrainSummary(TypedDict):
    """The winner on test, whether it holds the limits, and what it is compared with.

    ``baseline`` is the plain network of its size, ``difference`` the winner minus it; ``known`` are those that people
    take by hand, by the key of ``search_spaces.baseline.NAMES``.
    """

    winner: ArchitectureFigures
    limits: Described
    notes: list[str]
    baseline: NotRequired[ArchitectureFigures]
    difference: NotRequired[dict[str, Difference]]
    known: NotRequired[dict[str, KnownSummary]]
    hardware: NotRequired[ToldHardware]


Summary: TypeAlias = SampleSummary | CharacterizeSummary | FitSummary | SearchSummary | TrainSummary
