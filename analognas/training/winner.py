"""The winner of a search: its architecture, hardware, trained weights and drift curve, as a folder.

``architecture.json`` and ``hardware.json`` say what it is, ``model.safetensors`` holds the clean weights (before
any programming), ``winner.json`` how it was trained and measured, and the digests of the other files. Nothing is
pickled.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from analognas.causes import wrong
from analognas.errors import CorruptFileError, HardwareError, MismatchError, TrustError
from analognas.files import json_bytes
from analognas.folders import read_folder, write_folder
from analognas.hardware.analog import clean_state, convert, load_clean_state
from analognas.hardware.params import HardwareParams
from analognas.hardware.recorded import from_record, record
from analognas.rows import ResultRow
from analognas.search_spaces.architecture import Architecture
from analognas.training import drift
from analognas.training.params import TrainingParams
from analognas.training.protocol import Characterization, drift_seed, reproducible

if TYPE_CHECKING:
    from analognas.datasets import Dataset

_FORMAT = 1
_MANIFEST = "winner.json"
_ARCHITECTURE, _HARDWARE, _MODEL = "architecture.json", "hardware.json", "model.safetensors"
_REMEDY = "restore the whole folder (dvc checkout), or train the winner again (analognas stage train)"


@dataclass(frozen=True)
class Winner:
    """A trained network and how it stood the drift.

    ``model`` is the analog network with its clean weights, on the CPU, in evaluation mode. ``accuracy`` is the
    measured drift curve on ``part`` of the dataset, an array (repeats, times) in percent, at ``protocol.times``.
    ``row`` is the characterization's row, ``dataset`` has the dataset's name, digest and split digest.
    """

    architecture: Architecture
    hardware: HardwareParams
    protocol: TrainingParams
    seed: int
    part: str
    dataset: dict[str, str]
    row: ResultRow
    accuracy: NDArray[np.float64] = field(repr=False)
    model: nn.Module = field(repr=False)

    def drift_curve(
        self,
        data: Dataset | tuple[Tensor, Tensor],
        times: Sequence[float] | None = None,
        repeats: int | None = None,
    ) -> NDArray[np.float64]:
        """Return the accuracy of newly programmed devices after each time, percent: (repeats, times).

        With the dataset it was measured on, this is ``accuracy`` again, exactly (on the same kind of processor
        and with the same versions of torch and aihwkit); a part of the times or fewer repeats give a part of it.

        Args:
            data: the dataset, or images (N, C, H, W), normalized, and classes (N,).
            times: seconds after programming; default: the stored ones.
            repeats: how often the weights are programmed; default: as stored.

        Raises:
            MismatchError: if the dataset is another one.
        """
        if isinstance(data, tuple):
            x, y = data
        else:
            identity = _identity(data)
            if identity != self.dataset:
                raise MismatchError(
                    f"The winner was measured on {self.dataset}, this dataset is {identity}; "
                    "give images and classes as a tuple to measure on other data."
                )
            x, y = data.tensors(self.part)
        with reproducible("cpu"):
            return drift.measure(
                self.model,
                x,
                y,
                times=self.protocol.times if times is None else times,
                repeats=self.protocol.repeats if repeats is None else repeats,
                seed=drift_seed(self.seed, self.architecture.id, self.part),
            )


def save_winner(directory: Path, characterization: Characterization, dataset: Dataset) -> None:
    """Write a characterized architecture, usually measured on the test part, as a winner.

    The folder is a new or an empty one, or one of a winner, which is replaced whole. The same characterization gives
    the same bytes.

    Raises:
        ValueError: if the characterization has no trained network.
        WorkspaceError: if the folder holds anything else, which stays, or cannot be written.
    """
    from safetensors.torch import save

    trained, accuracy = characterization.trained, characterization.accuracy
    if trained is None or accuracy is None:
        raise ValueError(f"there is no network to save: {characterization.row.reason}")
    content = {
        "format": _FORMAT,
        "dataset": _identity(dataset),
        "part": characterization.part,
        "seed": trained.seed,
        "protocol": trained.protocol.model_dump(mode="json"),
        "row": characterization.row.to_dict(),
        "accuracy": accuracy.tolist(),
    }
    files = {
        _ARCHITECTURE: json_bytes(trained.architecture.to_dict()),
        _HARDWARE: json_bytes(record(trained.hardware)),
        _MODEL: save(clean_state(trained.analog)),
    }
    write_folder(directory, _MANIFEST, content, files)


def load_winner(directory: Path | str, own: Collection[str] = ()) -> Winner:
    """Return the winner that a folder holds: the analog network rebuilt, with its clean weights.

    Args:
        directory: the folder.
        own: a space and a hardware of your own (``module:name``) that the folder may name, because loading it imports
            and calls them. No file beside it is asked: a folder cannot vouch for itself.

    Raises:
        TrustError: if the folder names others.
        CorruptFileError: naming a file that is missing or damaged.
        HardwareError: if the hardware cannot be made here, for instance a module of the user's is missing.
        MismatchError: if the hardware made here is not what was recorded.
    """
    folder = Path(directory)
    content, files = read_folder(folder, _MANIFEST, remedy=_REMEDY)
    if content.get("format") != _FORMAT:
        raise CorruptFileError(
            f"{folder / _MANIFEST} has format {content.get('format')}, this version reads {_FORMAT}: {_REMEDY}."
        )
    missing = {_ARCHITECTURE, _HARDWARE, _MODEL} - set(files)
    if missing:
        raise CorruptFileError(f"{folder / _MANIFEST} is no trained winner's (no {min(missing)}): {_REMEDY}.")
    architecture = Architecture.from_dict(_object(folder / _ARCHITECTURE, files))
    recorded = _object(folder / _HARDWARE, files)
    _check_trusted(folder, (architecture.space.family, str(recorded.get("rpu_config"))), own)
    hardware, config = from_record(recorded)
    with reproducible("cpu"):  # building draws weights
        model = convert(architecture.build(), config, hardware.layers)
    _load_weights(model, folder / _MODEL, files[_MODEL])
    model.eval()
    return Winner(
        architecture=architecture,
        hardware=hardware,
        protocol=TrainingParams.model_validate(content["protocol"]),
        seed=content["seed"],
        part=content["part"],
        dataset=content["dataset"],
        row=ResultRow.from_dict(content.get("row"), str(folder / "winner.json"), _REMEDY),
        accuracy=np.array(content["accuracy"]),
        model=model,
    )


def _check_trusted(folder: Path, names: Iterable[str], own: Collection[str]) -> None:
    for name in names:
        if ":" in name and name not in own:
            raise TrustError(
                f"{folder} names {name!r}, which loading it would import and call: if you trust that, "
                f"load_winner(..., own=[{name!r}])."
            )


def _object(path: Path, files: Mapping[str, bytes]) -> dict[str, Any]:
    try:
        content = json.loads(files[path.name])
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise CorruptFileError(f"{path} is damaged (no JSON object): {_REMEDY}.")
    return content


def _load_weights(model: nn.Module, path: Path, content: bytes) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        load_clean_state(model, load(content))
    except (SafetensorError, HardwareError) as error:
        raise CorruptFileError(f"{path} does not fit its architecture ({wrong(error)}): {_REMEDY}.") from error


def _identity(dataset: Dataset) -> dict[str, str]:
    return {"name": dataset.name, "digest": dataset.digest, "split_digest": dataset.split_digest}
