"""The figures of the last run, read from the files that the stages wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypedDict, cast

from analognas.errors import CorruptFileError, InputError
from analognas.files import read_sealed
from analognas.folders import read_folder
from analognas.report.changes import budget, changed_parameters
from analognas.search_spaces.baseline import NAMES
from analognas.training.columns import ArchitectureFigures

if TYPE_CHECKING:
    from analognas.datasets.records import Description, RecordedLook
    from analognas.hardware.chips import ChipDescription
    from analognas.hardware.params import ToldHardware
    from analognas.search_algorithms.verdicts import Described
    from analognas.stages.summaries import Difference, FitSummary, TrainSummary
    from analognas.training.by_image import ClassFigures
    from analognas.training.columns import NetworkFigures
    from analognas.training.intervals import CurvePoint
    from analognas.training.measured import LayerFigures, Stored
    from analognas.workspace import Paths

REMEDY = "`analognas run` writes it"


class WinnerFigures(ArchitectureFigures):
    """The winner on test, and its genes."""

    genes: dict[str, int | str]


class RunCosts(TypedDict, total=False):
    """What an inference of each network costs, see ``hardware.cost``; or why that cannot be told.

    ``baseline`` is there if there is one of the winner's size; without a ``problem`` the others are. ``known`` are
    by key those that people take by hand.
    """

    problem: str
    chip: ChipDescription
    winner: dict[str, float]
    baseline: dict[str, float]
    known: dict[str, dict[str, float]]


class KnownFigures(TypedDict):
    """A network that people take by hand: its name, on test, winner minus it, and its cost if that can be told."""

    name: str
    figures: ArchitectureFigures
    difference: dict[str, Difference]
    cost: dict[str, float] | None


class OwnFigures(TypedDict):
    """A network of the user's own that was measured as the winner was.

    ``notes`` say what becomes of it on tiles; ``sensitivity`` is None if it was not measured, ``cost`` if there is no
    such chip; ``classes`` is empty if an earlier version measured it.
    """

    name: str
    figures: NetworkFigures
    notes: list[str]
    sensitivity: list[LayerFigures] | None
    curve: list[CurvePoint]
    classes: list[ClassFigures]
    cost: dict[str, float] | None


class RunFigures(TypedDict):
    """The figures of a run: accuracies in percent, AVM and standard deviations in percentage points.

    Attributes:
        winner: on test.
        baseline: the plain network of its size, if there is one.
        difference: winner minus plain network, by column.
        known: networks that people take by hand, trained beside the winner.
        limits: ``held``, ``not shown`` or ``broken``, with the figures.
        evaluator: metrics out of fold.
        notes: what a reader must know.
        dataset: its name.
        data: what ``datasets check`` says of it; None before it was recorded.
        budget: most parameters that the winner could have; None: there was no limit.
        hardware: the chip; None of an earlier version.
        cost: of an inference on the chip of ``cost``; None of an earlier version.
        own: networks of the user's own that may stand beside the winner.
        use: how the winner is used; None if it was looked up and has no weights.
        changed: parameters that have other values now than the figures were made with.
    """

    winner: WinnerFigures
    baseline: ArchitectureFigures | None
    difference: dict[str, Difference]
    known: list[KnownFigures]
    limits: Described
    evaluator: FitSummary
    notes: list[str]
    dataset: str
    data: RecordedLook | None
    budget: int | None
    hardware: ToldHardware | None
    cost: RunCosts | None
    own: list[OwnFigures]
    use: str | None
    changed: list[str]


def collect(paths: Paths) -> RunFigures:
    """Return the figures of the last run.

    Raises:
        CorruptFileError: if a stage has not run yet.
    """
    train = cast("TrainSummary", read_sealed(paths.metrics("train"), remedy=REMEDY))
    fit = cast("FitSummary", read_sealed(paths.metrics("fit"), remedy=REMEDY))
    manifest, files = read_folder(paths.winner, "winner.json", remedy=REMEDY)
    dataset = cast("Description", read_sealed(paths.dataset, remedy=REMEDY))
    try:
        architecture = json.loads(files["architecture.json"])
        own, damaged = _own(paths, manifest, files)
        costs = _costs(architecture, train, paths)
        return {
            "winner": cast(
                "WinnerFigures", {"genes": architecture["genes"], "id": architecture["id"], **train["winner"]}
            ),
            "baseline": train.get("baseline"),
            "difference": train.get("difference", {}),
            "known": _known(train, costs),
            "limits": train.get("limits", cast("Described", {})),  # an earlier version had none
            "evaluator": fit,
            "notes": [*train["notes"], *damaged],
            "dataset": dataset["name"],
            "data": dataset.get("looked"),
            "budget": budget(paths),
            "hardware": train.get("hardware"),
            "cost": costs,
            "own": own,
            "use": _use(files),
            "changed": changed_parameters(paths),
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        raise CorruptFileError(f"{paths.data} holds files of something else than a run: {REMEDY}.") from None


def _use(files: Mapping[str, bytes]) -> str | None:
    """Return how a winner with these files is used, None if it has no weights."""
    if "preprocessing.json" not in files:
        return None
    if json.loads(files["preprocessing.json"])["files"] is None:
        return 'load_winner("data/winner").predict(ARRAY) in Python'
    return "analognas predict FILE... --after 30d"


def _costs(described: Mapping[str, Any], train: TrainSummary, paths: Paths) -> RunCosts | None:
    """Return what an inference costs on the chip that the parameters name now: it follows from the architecture."""
    from analognas.hardware.cost import cost
    from analognas.params import HardwareParams, Params
    from analognas.search_spaces import Architecture
    from analognas.search_spaces.baseline import known_networks, plain_network

    if not train.get("hardware"):  # of an earlier version, which did not say on which tiles
        return None
    try:
        hardware = HardwareParams.model_validate(train["hardware"])
        params = Params.load(paths.params)
        chip = params.cost.of(hardware)
        winner = Architecture.from_dict(described)
        told: RunCosts = {"chip": chip.to_dict(), "winner": cost(winner, chip)}
    except InputError as error:  # parameters that were changed since, or a space that is not installed here
        return {"problem": str(error)}
    plain = plain_network(winner.space, winner.params)
    baseline = train.get("baseline")
    if baseline and plain is not None and plain.id == baseline.get("id"):
        told["baseline"] = cost(plain, chip)
    by_hand = known_networks(winner.space, params.space.max_params)
    told["known"] = {
        key: cost(by_hand[key], chip)
        for key, known in train.get("known", {}).items()
        if key in by_hand and by_hand[key].id == known["figures"]["id"]
    }
    return told


def _known(train: TrainSummary, costs: RunCosts | None) -> list[KnownFigures]:
    """Return the networks that people take by hand, as far as they were trained."""
    of_known = (costs or {}).get("known", {})
    return [
        {"name": NAMES[key], "figures": known["figures"], "difference": known["difference"], "cost": of_known.get(key)}
        for key, known in train.get("known", {}).items()
    ]


def _own(paths: Paths, winner: Mapping[str, Any], files: Mapping[str, bytes]) -> tuple[list[OwnFigures], list[str]]:
    """Return the user's own networks that may stand beside a winner, and what is wrong with others."""
    from analognas.training.measured import all_measured

    if "hardware.json" not in files:  # looked up: nothing was measured here
        return [], []
    chip = json.loads(files["hardware.json"])
    whole, damaged = all_measured(paths.measured)
    return [own_figures(paths, stored) for stored in whole if stored.is_of(winner, chip)], damaged


def own_figures(paths: Paths, stored: Stored) -> OwnFigures:
    """Return the figures of a network of the user's own as ``collect`` gives them."""
    from analognas.hardware.cost import cost
    from analognas.hardware.recorded import spec_of
    from analognas.params import Params

    told: OwnFigures = {
        "name": stored.name, "figures": stored.figures, "notes": stored.notes, "sensitivity": stored.sensitivity,
        "curve": stored.curve, "classes": stored.classes, "cost": None,
    }  # fmt: skip
    with suppress(InputError):  # there is no such chip: that is said of the winner
        told["cost"] = cost(stored.structure, Params.load(paths.params).cost.of(spec_of(stored.hardware)))
    return told
