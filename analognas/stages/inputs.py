"""What several stages read: the space, the architectures of the sample and of the rounds, the candidates."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from analognas.causes import wrong
from analognas.errors import CorruptFileError, SpaceError
from analognas.files import read_parquet, read_sealed
from analognas.search_algorithms.constraints import Constraints, CostLimits
from analognas.search_algorithms.verdicts import STATUSES
from analognas.search_spaces import ConfigSpace
from analognas.search_spaces.baseline import of_hand
from analognas.stages.recorded import recorded_dataset
from analognas.stages.rounds import read_rounds, read_sentinel
from analognas.tables import ARCHITECTURES

if TYPE_CHECKING:
    from analognas.datasets.records import InputDescription
    from analognas.params import Params
    from analognas.search_spaces import Architecture
    from analognas.workspace import Paths

_Read = TypeVar("_Read")


def space(params: Params, paths: Paths) -> ConfigSpace:
    """Return the configuration space of the workspace; see ``space_of``, also for what it raises."""
    return space_of(params, recorded_dataset(paths))


def space_of(params: Params, dataset: InputDescription) -> ConfigSpace:
    """Return the configuration space of the parameters for a dataset described as in ``data/dataset.json``.

    Raises:
        SpaceError: if it is empty under the budget, or has a hyperparameter that no builder reads.
    """
    channels, height, width = dataset["input_shape"]
    built = ConfigSpace(
        dataset["name"],
        input_shape=(channels, height, width),
        classes=dataset["classes"],
        family=params.space.name,
        max_params=params.space.max_params,
        ranges=params.space.ranges,
    )
    built.validate()
    return built


def architecture_of(space: ConfigSpace, genes: Mapping[str, Any]) -> Architecture:
    """Return the architecture of these genes: one of the space, or one of ``known_networks``, which may lie outside.

    Raises:
        SpaceError: if it is neither.
    """
    try:
        return space.architecture(genes)
    except SpaceError:
        known = of_hand(space.id, genes, space.max_params)
        if known is None:
            raise
        return known


@dataclass(frozen=True)
class Listed:
    """An architecture that is characterized, and what for.

    ``role`` is ``sample``, ``round`` or ``sentinel``; ``round`` its number (0 for the others); ``decision`` that of
    the round (``accepted`` for the sample).
    """

    architecture: Architecture
    role: str = "sample"
    round: int = 0
    decision: str = "accepted"


def listed(params: Params, paths: Paths, *, accepting: int | None = None) -> list[Listed]:
    """Return the sampled architectures, those of all rounds and the sentinel set, without repetition.

    What is in the sentinel set is nothing else; otherwise the sample comes first, then the rounds in order, an
    accepted one before others.

    Args:
        params: of the workspace.
        paths: of the workspace.
        accepting: number of a round that is taken as accepted, whatever its file says.

    Raises:
        CorruptFileError: if a file is damaged.
    """
    config_space = space(params, paths)
    sampled = "run `analognas stage sample`"
    frame = ARCHITECTURES.with_values({"space": config_space.name}).check(
        read_parquet(paths.architectures, remedy=sampled), str(paths.architectures), remedy=sampled
    )
    try:
        sample = [architecture_of(config_space, json.loads(text)) for text in frame["genes"]]
    except (KeyError, TypeError, ValueError, AttributeError, SpaceError) as error:
        raise CorruptFileError(
            f"{paths.architectures} holds no architectures of this space ({wrong(error)}): {sampled}."
        ) from None
    for row, (architecture, counted) in enumerate(zip(sample, frame["params"], strict=True)):
        if architecture.params != counted:
            raise CorruptFileError(
                f"{paths.architectures} is damaged (row {row} has params = {counted}, its network has "
                f"{architecture.params}): {sampled}."
            )
    by_id = {architecture.id: Listed(architecture) for architecture in sample}
    for added in read_rounds(paths, config_space):
        decision = "accepted" if added.number == accepting else added.decision
        for entry in added.entries:
            known = by_id.get(entry.architecture.id)
            if known is None or (known.decision != "accepted" and decision == "accepted"):
                by_id[entry.architecture.id] = Listed(entry.architecture, "round", added.number, decision)
    for architecture in read_sentinel(paths, config_space):
        by_id[architecture.id] = Listed(architecture, "sentinel")
    return list(by_id.values())


def architectures(params: Params, paths: Paths) -> list[Architecture]:
    """Return all architectures that are characterized; see ``listed``, also for what it raises."""
    return [entry.architecture for entry in listed(params, paths)]


def constraints(params: Params, paths: Paths) -> Constraints:
    """Return the limits of the search, with the defaults that follow from the space."""
    given = params.search
    limits = Constraints(
        given.max_nb_param or params.space.max_params, given.T_AVM, given.min_acc_1d, given.avm_bound, cost(params)
    )
    return limits.resolve(space(params, paths))


def cost(params: Params) -> CostLimits | None:
    """Return what an inference may cost, None if it may cost anything.

    Raises:
        HardwareError: if the chip of ``cost`` is not there, or has other tiles than the simulated one.
    """
    limits = params.search.constraints
    return CostLimits(limits, params.cost.of(params.hardware)) if limits else None


@dataclass(frozen=True)
class Candidate:
    """An architecture that the search proposes to train, and whether it holds the limits as far as it is known."""

    architecture: Architecture
    limits: str


def candidates(params: Params, paths: Paths) -> list[Candidate]:
    """Return the candidates of the search, best first.

    Raises:
        CorruptFileError: if ``best.json`` is damaged.
    """
    return _of_search(params, paths, _candidates)


def by_hand(params: Params, paths: Paths) -> dict[str, Architecture]:
    """Return the networks that people take by hand and that the search knew, by key; raises as ``candidates``."""
    return _of_search(params, paths, _known)


def _of_search(params: Params, paths: Paths, read: Callable[[Any, ConfigSpace], _Read]) -> _Read:
    config_space = space(params, paths)
    remedy = "run `analognas stage search`"
    best = read_sealed(paths.search / "best.json", remedy=remedy)
    try:
        return read(best, config_space)
    except (KeyError, TypeError, AttributeError, SpaceError) as error:
        raise CorruptFileError(
            f"{paths.search / 'best.json'} does not fit this workspace ({wrong(error)}): {remedy}."
        ) from None


def _candidates(best: Any, config_space: ConfigSpace) -> list[Candidate]:
    proposed = [_candidate(listed, config_space) for listed in best["candidates"]]
    if not proposed:
        raise SpaceError("it has no candidates")
    return proposed


def _known(best: Any, config_space: ConfigSpace) -> dict[str, Architecture]:
    return {name: architecture_of(config_space, listed["genes"]) for name, listed in best["known"].items()}


def _candidate(listed: Any, config_space: ConfigSpace) -> Candidate:
    """Return a candidate of ``best.json``; raises SpaceError if it is none of this space."""
    architecture = architecture_of(config_space, listed["genes"])
    limits = listed["limits"]["status"]
    if listed["id"] != architecture.id:
        raise SpaceError(f"the candidate {listed['id']!r} has the genes of {architecture.id}")
    if limits not in STATUSES:
        raise SpaceError(f"the candidate {architecture.id} has the limits {limits!r}, not {', '.join(STATUSES)}")
    return Candidate(architecture, limits)
