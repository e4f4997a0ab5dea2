"""The winner of a search, as a folder: all that turns a file of a user's into an answer.

``architecture.json`` and ``hardware.json`` say what it is, ``model.safetensors`` holds the clean weights (before
any programming), ``preprocessing.json`` how files and arrays become its input and what the classes are called,
``winner.json`` how it was trained and measured, and the digests of the other files; ``card.md`` tells people. Nothing
is pickled.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from analognas.causes import wrong
from analognas.datasets.preprocessing import Preprocessing
from analognas.errors import ContentError, CorruptFileError, DatasetError, HardwareError, MismatchError, TrustError
from analognas.files import json_bytes
from analognas.folders import read_folder, write_folder
from analognas.hardware.analog import clean_state, convert, load_clean_state
from analognas.hardware.params import HardwareParams
from analognas.hardware.recorded import from_record, record
from analognas.rows import ResultRow
from analognas.search_spaces.architecture import Architecture
from analognas.training import drift, intervals
from analognas.training.card import DatasetIdentity, Known, WinnerManifest, card
from analognas.training.columns import ONE_DAY, checked_seconds
from analognas.training.params import TrainingParams
from analognas.training.protocol import Characterization, drift_seed, reproducible

if TYPE_CHECKING:
    import pandas as pd

    from analognas.datasets import Dataset
    from analognas.progress import Progress

_FORMAT = 2
_MANIFEST = "winner.json"
_ARCHITECTURE, _HARDWARE, _MODEL = "architecture.json", "hardware.json", "model.safetensors"
_PREPROCESSING, _CARD = "preprocessing.json", "card.md"
_NOTHING = "There is nothing to classify: give at least one image or path."
_REMEDY = "restore the whole folder (dvc checkout), or train the winner again (analognas stage train)"


@dataclass(frozen=True)
class Winner:
    """A trained network and how it stood the drift.

    ``model`` is the analog network with its clean weights, on the CPU, in evaluation mode. ``accuracy`` is the
    measured drift curve on ``part`` of the dataset, an array (repeats, times) in percent, at ``protocol.times``.
    ``row`` is the characterization's row, ``dataset`` has the dataset's name, digest and split digest.
    ``preprocessing`` makes the model's input of files and arrays, and names the classes.
    """

    architecture: Architecture
    hardware: HardwareParams
    protocol: TrainingParams
    seed: int
    part: str
    dataset: DatasetIdentity
    row: ResultRow
    preprocessing: Preprocessing
    accuracy: NDArray[np.float64] = field(repr=False)
    model: nn.Module = field(repr=False)

    def predict(
        self, inputs: Any, seconds_after_programming: float = ONE_DAY, *, repeats: int | None = None
    ) -> pd.DataFrame:
        """Return the class of each input, as devices of this age see it.

        The devices are those of the measurement: for the images it was measured on, each repeat classifies as it did
        there. The same call gives the same answer. The class is that of all programmings together, which is a little
        better than a single chip; ``agreement`` tells how often a single one would answer so.

        Args:
            inputs: the path of a picture or WAV file, several paths, recordings in memory, (samples, rate) or a list
                of these (see ``Preprocessing.levels_of_sounds``), or an array or tensor of images as the dataset holds
                them; see ``Preprocessing.levels`` for shapes, and for what numbers mean: integers are levels,
                floating-point numbers are 0 to 1, never normalised.
            seconds_after_programming: age of the devices.
            repeats: how many programmings are asked; default: as many as were measured.

        Returns:
            One row for each input: ``input`` (path, or place), ``class`` (index), ``class_name``, ``confidence`` (mean
            probability over programmings, 0 to 1; the network's own, not calibrated), ``confidence_std`` (over
            programmings), ``agreement`` (share of programmings that choose this class by themselves).

        Raises:
            DatasetError: naming files that cannot be read, or what of an array cannot be known.
            ParamsError: if the time is none.
            HardwareError: if the chip's model knows no such time.
        """
        import pandas as pd

        names, levels = self._levels(inputs)
        probabilities = self.probabilities(levels, seconds_after_programming, repeats=repeats)
        classes = probabilities.mean(axis=0).argmax(axis=1)
        chosen = probabilities[:, np.arange(len(classes)), classes]
        return pd.DataFrame(
            {
                "input": names,
                "class": classes,
                "class_name": [self.preprocessing.class_names[index] for index in classes],
                "confidence": chosen.mean(axis=0),
                "confidence_std": chosen.std(axis=0, ddof=1) if len(chosen) > 1 else np.zeros(len(classes)),
                "agreement": (probabilities.argmax(axis=2) == classes).mean(axis=0),
            }
        )

    def probabilities(
        self, levels: NDArray[np.uint8], seconds_after_programming: float = ONE_DAY, *, repeats: int | None = None
    ) -> NDArray[np.float64]:
        """Return the probability of each class by each programming, (repeats, N, classes).

        Args:
            levels: images as the dataset holds them, uint8 (N, C, H, W).
            seconds_after_programming: age of the devices.
            repeats: how often the weights are programmed; default: as often as was measured.
        """
        seconds = checked_seconds(seconds_after_programming)
        programmings = self.protocol.repeats if repeats is None else repeats
        if programmings < 1:
            raise DatasetError(f"{programmings} programmings give no answer; ask at least one.")
        with reproducible("cpu"):
            outputs = drift.outputs(
                self.model,
                torch.from_numpy(self.preprocessing.normalised(levels)),
                time=seconds,
                repeats=programmings,
                seed=drift_seed(self.seed, self.architecture.id, self.part),
            )
        return torch.softmax(torch.from_numpy(outputs).double(), 2).numpy()

    def _levels(self, inputs: Any) -> tuple[list[Any], NDArray[np.uint8]]:
        """Return what the inputs are called, and the inputs as the dataset holds them; raises DatasetError."""
        if isinstance(inputs, str | Path):
            inputs = [inputs]
        if isinstance(inputs, list | tuple) and not inputs:
            raise DatasetError(_NOTHING)
        if isinstance(inputs, list | tuple) and any(isinstance(value, str | Path) for value in inputs):
            if not all(isinstance(value, str | Path) for value in inputs):
                raise DatasetError("The inputs are files and something else; give either paths or one array.")
            return list(map(str, inputs)), self.preprocessing.levels_of_files([Path(value) for value in inputs])
        sounds = [inputs] if _is_sound(inputs) else inputs
        if isinstance(sounds, list | tuple) and all(map(_is_sound, sounds)):
            return list(range(len(sounds))), self.preprocessing.levels_of_sounds(sounds)
        if isinstance(inputs, Tensor):
            inputs = inputs.numpy(force=True)
        try:
            levels = self.preprocessing.levels(np.asarray(inputs))
        except ValueError as error:  # lists of unequal lengths
            raise DatasetError("The inputs are no array: give images of one shape, or paths.") from error
        if not len(levels):
            raise DatasetError(_NOTHING)
        return list(range(len(levels))), levels

    def answers(self, dataset: Dataset, progress: Progress | None = None) -> NDArray[np.bool_]:
        """Return which images of its part of the dataset it classifies rightly: (repeats, times, images).

        The devices are those of the measurement, so these are the answers behind ``accuracy``.

        Args:
            dataset: that it was measured on.
            progress: called after each programming.

        Raises:
            MismatchError: if the dataset is another one.
        """
        self._check_dataset(dataset)
        with reproducible("cpu"):
            return drift.outcomes(
                self.model,
                *dataset.tensors(self.part),
                times=self.protocol.times,
                repeats=self.protocol.repeats,
                seed=drift_seed(self.seed, self.architecture.id, self.part),
                progress=progress,
            )

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
            self._check_dataset(data)
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

    def _check_dataset(self, dataset: Dataset) -> None:
        identity = _identity(dataset)
        if identity != self.dataset:
            raise MismatchError(
                f"The winner was measured on {self.dataset}, this dataset is {identity}; "
                "give images and classes as a tuple to measure on other data."
            )


@dataclass(frozen=True)
class Packed:
    """A winner as it is written, but for its card: what the manifest says, and the other files by name."""

    content: WinnerManifest
    files: dict[str, bytes]

    def write(self, directory: Path, known: Known | None = None) -> None:
        """Write the folder with its card; see ``save_winner``."""
        text = card(self.content, {name: self.files[name] for name in (_ARCHITECTURE, _HARDWARE, _PREPROCESSING)},
                    known or Known())  # fmt: skip
        write_folder(directory, _MANIFEST, self.content, {**self.files, _CARD: text.encode()})


def save_winner(
    directory: Path, characterization: Characterization, dataset: Dataset, known: Known | None = None
) -> None:
    """Write a characterized architecture, usually measured on the test part, as a winner.

    The folder is a new or an empty one, or one of a winner, which is replaced whole. The same characterization gives
    the same bytes.

    Args:
        directory: the folder.
        characterization: with its trained network.
        dataset: that it was trained and measured on.
        known: what its card says besides.

    Raises:
        ValueError: if the characterization has no trained network.
        WorkspaceError: if the folder holds anything else, which stays, or cannot be written.
    """
    pack(characterization, dataset).write(directory, known)


def pack(characterization: Characterization, dataset: Dataset) -> Packed:
    """Return a characterized architecture as ``save_winner`` writes it; raises ValueError as it does."""
    from safetensors.torch import save

    trained, accuracy, right = characterization.trained, characterization.accuracy, characterization.right
    if trained is None or accuracy is None or right is None:
        raise ValueError(f"there is no network to save: {characterization.row.reason}")
    content: WinnerManifest = {
        "format": _FORMAT,
        "dataset": _identity(dataset),
        "part": characterization.part,
        "seed": trained.seed,
        "protocol": trained.protocol.model_dump(mode="json"),
        "row": characterization.row.to_dict(),
        "accuracy": accuracy.tolist(),
        "curve": intervals.curve(right, trained.protocol.times),
        "images": right.shape[2],
        "licence": dataset.licence,
        "made_with": {name: version(name) for name in ("aihwkit", "torch")},
    }
    files = {
        _ARCHITECTURE: json_bytes(trained.architecture.to_dict()),
        _HARDWARE: json_bytes(record(trained.hardware)),
        _MODEL: save(clean_state(trained.analog)),
        _PREPROCESSING: json_bytes(Preprocessing.of(dataset).to_dict()),
    }
    return Packed(content, files)


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
    missing = {_ARCHITECTURE, _HARDWARE, _MODEL, _PREPROCESSING, _CARD} - set(files)
    if missing:
        raise CorruptFileError(f"{folder / _MANIFEST} is no trained winner's (no {min(missing)}): {_REMEDY}.")
    preprocessing = _preprocessing(folder / _PREPROCESSING, files)
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
        preprocessing=preprocessing,
        accuracy=np.array(content["accuracy"]),
        model=model,
    )


def _is_sound(value: Any) -> bool:
    """Return whether it is a recording in memory: samples with their rate."""
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and isinstance(value[1], int)
        and isinstance(value[0], np.ndarray | Tensor | list)
    )


def _check_trusted(folder: Path, names: Iterable[str], own: Collection[str]) -> None:
    for name in names:
        if ":" in name and name not in own:
            raise TrustError(
                f"{folder} names {name!r}, which loading it would import and call: if you trust that, "
                f"load_winner(..., own=[{name!r}]), or --own {name} on the command line."
            )


def _object(path: Path, files: Mapping[str, bytes]) -> dict[str, Any]:
    try:
        content = json.loads(files[path.name])
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise CorruptFileError(f"{path} is damaged (no JSON object): {_REMEDY}.")
    return content


def _preprocessing(path: Path, files: Mapping[str, bytes]) -> Preprocessing:
    try:
        return Preprocessing.from_dict(_object(path, files))
    except ContentError as error:
        raise CorruptFileError(f"{path} is damaged ({wrong(error)}): {_REMEDY}.") from error


def _load_weights(model: nn.Module, path: Path, content: bytes) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        load_clean_state(model, load(content))
    except (SafetensorError, HardwareError) as error:
        raise CorruptFileError(f"{path} does not fit its architecture ({wrong(error)}): {_REMEDY}.") from error


def _identity(dataset: Dataset) -> DatasetIdentity:
    return {"name": dataset.name, "digest": dataset.digest, "split_digest": dataset.split_digest}
