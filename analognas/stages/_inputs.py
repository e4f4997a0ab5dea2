"""What several stages read: the space, the architectures of the sample and of the rounds, the ids of results."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analognas.errors import CorruptFileError, MismatchError, SpaceError
from analognas.files import digest, read_json, read_object, read_parquet
from analognas.search_spaces import ConfigSpace
from analognas.stages import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import pandas as pd

    from analognas.datasets import Dataset
    from analognas.params import HardwareParams, Params, TrainingParams
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


def architectures(params: Params, paths: Paths) -> list[Architecture]:
    """Return the sampled architectures and those of all rounds, without repetition.

    Raises:
        CorruptFileError: if a file is damaged.
    """
    here = space(params, paths)
    found: dict[str, Architecture] = {}

    def add(path: Path, genes: Iterable[Any], remedy: str) -> None:
        try:
            for one in genes:
                architecture = here.architecture(one)
                found.setdefault(architecture.id, architecture)
        except (KeyError, TypeError, ValueError, AttributeError, SpaceError) as error:
            what = f"{type(error).__name__}: {error}" if not isinstance(error, SpaceError) else str(error).rstrip(".")
            raise CorruptFileError(f"{path} holds no architectures of this space ({what}): {remedy}.") from None

    sampled = "run `analognas stage sample`"
    frame = read_parquet(paths.architectures, remedy=sampled)
    add(paths.architectures, (json.loads(text) for text in frame.get("genes", [""])), sampled)
    for path in sorted(paths.rounds.glob("[0-9][0-9][0-9].json")):
        remedy = "restore it from git"
        listed = read_object(path, remedy=remedy).get("architectures")
        if not isinstance(listed, list):
            raise CorruptFileError(f"{path} is no round (no list of architectures): {remedy}.")
        add(path, (entry["genes"] for entry in listed), remedy)
    return list(found.values())


def best_architectures(params: Params, paths: Paths) -> list[Architecture]:
    """Return the candidates of the search, best first.

    Raises:
        CorruptFileError: if ``best.json`` is damaged.
    """
    here = space(params, paths)
    remedy = "run `analognas stage search`"
    best = read_json(paths.search / "best.json", remedy=remedy)
    try:
        candidates = [here.architecture(candidate["genes"]) for candidate in best["candidates"]]
        if not candidates:
            raise SpaceError("it has no candidates")
        return candidates
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

    @classmethod
    def of(cls, params: Params, paths: Paths) -> DatasetSpec:
        """Return the dataset of a workspace after comparing it with the recorded one.

        Raises:
            MismatchError: if it is another one.
        """
        from analognas.environment import check_dataset, dataset_arguments

        dataset = check_dataset(params, paths)
        return cls(tuple(dataset_arguments(params, paths).items()), dataset.digest, dataset.split_digest)

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
    """Return the id of the recorded dataset and its split."""
    dataset = recorded_dataset(paths)
    return f"{dataset['name']}-{digest([dataset['digest'], dataset['split_digest']])[:12]}"


def hardware_id(hardware: HardwareParams) -> str:
    """Return the id of the hardware: its name and the hash of the whole RPU configuration."""
    from analognas.hardware.rpu_config import describe, rpu_config

    return f"{hardware.rpu_config}-{digest(describe(rpu_config(hardware)))[:12]}"


def protocol_id(training: TrainingParams) -> str:
    """Return the id of the training and drift protocol."""
    version = PROTOCOLS["characterize"]
    return f"v{version}-{digest([version, training.model_dump(mode='json')])[:12]}"


def usable(results: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that were measured."""
    return results[results["status"] == "ok"]
