"""What makes a result the same result: the ids of dataset, hardware and protocol."""

from __future__ import annotations

import functools
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

from analognas.errors import AnalogNASWarning, MismatchError, ParamsError
from analognas.evaluators.prior import PACKAGED, packaged_folder
from analognas.files import digest, file_digest
from analognas.stages.protocols import PROTOCOLS
from analognas.stages.recorded import NO_PRIOR, check_dataset, dataset_arguments, place, recorded_dataset

if TYPE_CHECKING:
    from analognas.datasets import Dataset
    from analognas.params import CharacterizeParams, HardwareParams, Params
    from analognas.workspace import Paths


class PartIdentity(TypedDict):
    """What a result on a part of a dataset depends on; ``augment`` only where images are changed in training."""

    digest: str
    split: str
    part: str
    augment: NotRequired[list[str]]


@dataclass(frozen=True)
class DatasetSpec:
    """A dataset as a worker process loads it: the arguments of ``load``, and what must come of them."""

    given: tuple[tuple[str, Any], ...]
    digest: str
    split_digest: str
    augment: tuple[str, ...] = ()

    @classmethod
    def of(cls, params: Params, paths: Paths) -> DatasetSpec:
        """Return the dataset of a workspace; raises MismatchError if it is not the recorded one."""
        description = check_dataset(params, paths)
        given = tuple(dataset_arguments(params, paths).items())
        return cls(given, description["digest"], description["split_digest"], tuple(description["augment"]))

    def identity(self, part: str) -> PartIdentity:
        """Return what a result on a part of the dataset depends on, for its key."""
        identity: PartIdentity = {"digest": self.digest, "split": self.split_digest, "part": part}
        if self.augment:
            identity["augment"] = list(self.augment)
        return identity

    def load(self) -> Dataset:
        """Return the dataset, which a process keeps until another is used; raises MismatchError if the data changed."""
        return _loaded(self)


@functools.lru_cache(maxsize=1)
def _loaded(spec: DatasetSpec) -> Dataset:
    from analognas.datasets import load

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AnalogNASWarning)  # who looked at the data before told them
        dataset = load(**dict(spec.given))
    if (dataset.digest, dataset.split_digest) != (spec.digest, spec.split_digest):
        raise MismatchError(f"The dataset {dataset.name} changed while it was in use: run again.")
    return dataset


def context(params: Params, paths: Paths) -> dict[str, str]:
    """Return what the results of a workspace have in common, by column of the table: dataset, hardware, protocol.

    Raises:
        CorruptFileError: if ``data/dataset.json`` is missing or damaged.
    """
    return {
        "dataset": dataset_id(paths),
        "hardware": hardware_id(params.hardware),
        "protocol": protocol_id(params.characterize),
    }


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


def chip(hardware: HardwareParams) -> str:
    """Return "preset", or the id of what a name of another kind stands for just now.

    Who edits the function of a chip of her own has another chip, though no parameter changed.
    """
    from analognas.hardware.presets import PRESETS

    return "preset" if hardware.rpu_config in PRESETS else hardware_id(hardware)


def prior_place(params: Params, paths: Paths) -> Path | str | None:
    """Return the ``prior`` of the evaluator: a folder, "packaged", or None."""
    named = params.fit.prior
    return named if named is None or named == PACKAGED else place(named, paths)


def prior(params: Params, paths: Paths) -> str:
    """Return what tells the prior of the evaluator from another one; "none" if there is none.

    Raises:
        ParamsError: if it is no folder.
    """
    where = prior_place(params, paths)
    if where is None:
        return NO_PRIOR
    if isinstance(where, str):
        return f"{where}-{file_digest(packaged_folder())[:12]}"
    if not where.is_dir():
        raise ParamsError(
            f"fit.prior names {params.fit.prior}, where no folder is: name the folder of an evaluator (a copy of the "
            "data/evaluator of another workspace), or packaged, or null."
        )
    return file_digest(where)[:12]


def protocol_id(training: CharacterizeParams) -> str:
    """Return the id of the training and drift protocol."""
    version = PROTOCOLS["characterize"]
    return f"v{version}-{digest([version, training.protocol])[:12]}"
