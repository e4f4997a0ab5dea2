"""The winner of a search: its architecture, hardware, trained weights and drift curve, as a folder.

``architecture.json`` and ``hardware.json`` say what it is, ``model.safetensors`` holds the clean weights (before
any programming), ``winner.json`` how it was trained and measured, and the digests of the other files. Nothing is
pickled.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from analognas.errors import CorruptFileError, HardwareError, MismatchError, TrustError
from analognas.files import digest, file_digest, inside, read_json, read_object, write_json, writing_directory
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
_MODEL = "model.safetensors"
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

    The folder is replaced whole. The same characterization gives the same bytes.

    Raises:
        ValueError: if the characterization has no trained network.
        WorkspaceError: if the folder cannot be written.
    """
    from safetensors.torch import save_file

    trained, accuracy = characterization.trained, characterization.accuracy
    if trained is None or accuracy is None:
        raise ValueError(f"there is no network to save: {characterization.row.reason}")
    with writing_directory(directory) as folder:
        write_json(folder / "architecture.json", trained.architecture.to_dict())
        write_json(folder / "hardware.json", record(trained.hardware))
        save_file(clean_state(trained.analog), folder / _MODEL)
        content = {
            "format": _FORMAT,
            "dataset": _identity(dataset),
            "part": characterization.part,
            "seed": trained.seed,
            "protocol": trained.protocol.model_dump(mode="json"),
            "row": characterization.row.to_dict(),
            "accuracy": accuracy.tolist(),
            "files": {name: file_digest(folder / name) for name in ("architecture.json", "hardware.json", _MODEL)},
        }
        write_json(folder / "winner.json", {**content, "digest": digest(content)})
        (folder / _MODEL).chmod(0o644)


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
    content = read_json(folder / "winner.json", remedy=_REMEDY)
    if not isinstance(content, dict) or content.pop("digest", None) != digest(content):
        raise CorruptFileError(f"{folder / 'winner.json'} is damaged (its digest does not fit): {_REMEDY}.")
    if content["format"] != _FORMAT:
        raise CorruptFileError(
            f"{folder / 'winner.json'} has format {content['format']}, this version reads {_FORMAT}: {_REMEDY}."
        )
    for name, recorded in content["files"].items():
        if not inside(folder, name, remedy=_REMEDY).is_file():
            raise CorruptFileError(f"{folder / name} is missing: {_REMEDY}.")
        if file_digest(folder / name) != recorded:
            raise CorruptFileError(f"{folder / name} is damaged (its digest does not fit): {_REMEDY}.")
    architecture = Architecture.from_dict(read_json(folder / "architecture.json", remedy=_REMEDY))
    recorded = read_object(folder / "hardware.json", remedy=_REMEDY)
    _check_trusted(folder, (architecture.space.family, str(recorded.get("rpu_config"))), own)
    hardware, config = from_record(recorded)
    with reproducible("cpu"):  # building draws weights
        model = convert(architecture.build(), config, hardware.layers)
    _load_weights(model, folder / _MODEL)
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


def _load_weights(model: nn.Module, path: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        load_clean_state(model, load_file(path))
    except (SafetensorError, HardwareError) as error:
        raise CorruptFileError(f"{path} does not fit its architecture ({error}): {_REMEDY}.") from error


def _identity(dataset: Dataset) -> dict[str, str]:
    return {"name": dataset.name, "digest": dataset.digest, "split_digest": dataset.split_digest}
