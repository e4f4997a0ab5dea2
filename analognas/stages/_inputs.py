"""What several stages read: the space, the architectures of the sample and of the rounds, the ids of results."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analognas.errors import CorruptFileError, MismatchError, SpaceError
from analognas.files import digest, read_json, read_object, read_parquet
from analognas.rounds import read_rounds, read_sentinel
from analognas.search_algorithms.constraints import Constraints
from analognas.search_spaces import ConfigSpace
from analognas.stages import PROTOCOLS

if TYPE_CHECKING:
    import pandas as pd

    from analognas.datasets import Dataset
    from analognas.params import CharacterizeParams, HardwareParams, Params
    from analognas.search_spaces import Architecture
    from analognas.workspace import Paths

_RECORDED = "`analognas run` writes it, or `analognas doctor --update`"


def space(params: Params, paths: Paths) -> ConfigSpace:
    """Return the configuration space of the workspace.

    Raises:
        SpaceError: if it is empty under the budget, or has a hyperparameter that no builder reads.
    """
    return space_of(params, recorded_dataset(paths))


def space_of(params: Params, dataset: dict[str, Any]) -> ConfigSpace:
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


def listed(params: Params, paths: Paths) -> list[Listed]:
    """Return the sampled architectures, those of all rounds and the sentinel set, without repetition.

    What is in the sentinel set is nothing else; otherwise the sample comes first, then the rounds in order, an
    accepted one before others.

    Raises:
        CorruptFileError: if a file is damaged.
    """
    here = space(params, paths)
    sampled = "run `analognas stage sample`"
    frame = read_parquet(paths.architectures, remedy=sampled)
    try:
        sample = [here.architecture(json.loads(text)) for text in frame.get("genes", [""])]
    except (KeyError, TypeError, ValueError, AttributeError, SpaceError) as error:
        what = f"{type(error).__name__}: {error}" if not isinstance(error, SpaceError) else str(error).rstrip(".")
        raise CorruptFileError(
            f"{paths.architectures} holds no architectures of this space ({what}): {sampled}."
        ) from None
    found = {one.id: Listed(one) for one in sample}
    for added in read_rounds(paths, here):
        for entry in added.entries:
            known = found.get(entry.architecture.id)
            if known is None or (known.decision != "accepted" and added.decision == "accepted"):
                found[entry.architecture.id] = Listed(entry.architecture, "round", added.number, added.decision)
    for one in read_sentinel(paths, here):
        found[one.id] = Listed(one, "sentinel")
    return list(found.values())


def architectures(params: Params, paths: Paths) -> list[Architecture]:
    """Return all architectures that are characterized; see ``listed``.

    Raises:
        CorruptFileError: if a file is damaged.
    """
    return [one.architecture for one in listed(params, paths)]


def constraints(params: Params, paths: Paths) -> Constraints:
    """Return the limits of the search, with the defaults that follow from the space."""
    given = params.search
    limits = Constraints(given.max_nb_param or params.space.max_params, given.T_AVM, given.min_acc_1d, given.avm_bound)
    return limits.resolve(space(params, paths))


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
    here = space(params, paths)
    remedy = "run `analognas stage search`"
    best = read_json(paths.search / "best.json", remedy=remedy)
    try:
        found = [
            Candidate(here.architecture(candidate["genes"]), candidate["limits"]["status"])
            for candidate in best["candidates"]
        ]
        if not found:
            raise SpaceError("it has no candidates")
        return found
    except (KeyError, TypeError, SpaceError) as error:
        raise CorruptFileError(
            f"{paths.search / 'best.json'} does not fit this workspace ({error}): {remedy}."
        ) from None


@dataclass(frozen=True)
class DatasetSpec:
    """A dataset as a worker process loads it: the arguments of ``load``, and what must come of them."""

    given: tuple[tuple[str, Any], ...]
    digest: str
    split_digest: str
    augment: tuple[str, ...] = ()

    @classmethod
    def of(cls, params: Params, paths: Paths) -> DatasetSpec:
        """Return the dataset of a workspace after comparing it with the recorded one.

        Raises:
            MismatchError: if it is another one.
        """
        from analognas.environment import check_dataset, dataset_arguments

        dataset = check_dataset(params, paths)
        given = tuple(dataset_arguments(params, paths).items())
        return cls(given, dataset.digest, dataset.split_digest, dataset.augment)

    def identity(self, part: str) -> dict[str, Any]:
        """Return what a result on a part of the dataset depends on, for its key."""
        augment = {"augment": list(self.augment)} if self.augment else {}
        return {"digest": self.digest, "split": self.split_digest, "part": part, **augment}

    def load(self) -> Dataset:
        """Return the dataset; a process keeps the one it used last.

        Raises:
            MismatchError: if the data changed.
        """
        return _loaded(self)


@functools.lru_cache(maxsize=1)
def _loaded(spec: DatasetSpec) -> Dataset:
    from analognas.datasets import load

    dataset = load(**dict(spec.given))
    if (dataset.digest, dataset.split_digest) != (spec.digest, spec.split_digest):
        raise MismatchError(f"The dataset {dataset.name} changed while it was in use: run again.")
    return dataset


def recorded_dataset(paths: Paths) -> dict[str, Any]:
    """Return the recorded description of the dataset."""
    description = read_object(paths.dataset, remedy=_RECORDED)
    missing = [key for key in ("name", "input_shape", "classes", "digest", "split_digest") if key not in description]
    if missing:
        raise CorruptFileError(f"{paths.dataset} is damaged (no {missing[0]}): {_RECORDED}.")
    return description


def dataset_id(paths: Paths) -> str:
    """Return the id of the recorded dataset, its split, and what happens to its training images."""
    dataset = recorded_dataset(paths)
    augment = dataset.get("augment", [])
    parts = [dataset["digest"], dataset["split_digest"], *([augment] if augment else [])]
    return f"{dataset['name']}-{digest(parts)[:12]}"


def hardware_id(hardware: HardwareParams) -> str:
    """Return the id of the hardware: its name and the hash of the whole RPU configuration."""
    from analognas.hardware.presets import PRESETS
    from analognas.hardware.rpu_config import describe, rpu_config

    described = describe(rpu_config(hardware))
    if hardware.rpu_config not in PRESETS:  # once its input ranges were initialised in fewer batches than it says
        described["trained"] = "as it says"
    return f"{hardware.rpu_config}-{digest(described)[:12]}"


def protocol_id(training: CharacterizeParams) -> str:
    """Return the id of the training and drift protocol."""
    version = PROTOCOLS["characterize"]
    return f"v{version}-{digest([version, training.protocol])[:12]}"


def usable(results: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that were measured."""
    return results[results["status"] == "ok"]


def learnable(results: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that an evaluator may learn from: sample and accepted rounds, nothing else."""
    learned = results["role"].isin(["sample", "round"]) & (results["decision"] == "accepted")
    return results[learned].reset_index(drop=True)
