"""What was measured of networks of the user's own, as folders: ``measured.json``, the chip and the clean weights.

Each holds what it is the measurement of (network, weights, data, chip, protocol, seed, versions), so it is neither
measured again nor taken for another. Reading needs no torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from analognas.errors import AnalogNASError, CorruptFileError, InputError
from analognas.files import json_bytes
from analognas.folders import read_folder, write_folder
from analognas.search_spaces.structure import AnalogLayer, Structure

if TYPE_CHECKING:
    from torch import Tensor

    from analognas.hardware.recorded import HardwareRecord
    from analognas.training.by_image import ClassFigures
    from analognas.training.card import DatasetIdentity
    from analognas.training.columns import NetworkFigures
    from analognas.training.intervals import CurvePoint

_FORMAT = 1
MANIFEST, _HARDWARE, _MODEL = "measured.json", "hardware.json", "model.safetensors"
REMEDY = "delete the folder and run `analognas measure` again"
#: What is said of inputs whose names do not say it.
_WORDS = {
    "hardware": "chip",
    "hardware_aware": "choice of hardware-aware training",
    "layers": "implementation of analog layers",
    "network": "network (or other weights)",
    "versions": "version of torch, aihwkit or the protocol, or device",
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class LayerFigures(TypedDict):
    """What one layer loses, as JSON has it: see ``sensitivity.LayerSensitivity``."""

    layer: str
    weights: int
    alone_analog: float
    alone_analog_std: float
    lost: float
    alone_digital: float
    alone_digital_std: float
    gained: float
    sure: bool


class Inputs(TypedDict):
    """All that decides what is measured of a network.

    Attributes:
        network: digest of what it is and computes.
        dataset: name and digests.
        part: of the dataset, that is measured on.
        hardware: digest of the chip.
        layers: who computes the analog layers.
        protocol: the section ``train``.
        seed: base seed.
        hardware_aware: whether it was trained on tiles.
        versions: of aihwkit, torch and the protocol, and the device.
    """

    network: str
    dataset: DatasetIdentity
    part: str
    hardware: str
    layers: str
    protocol: dict[str, Any]
    seed: int
    hardware_aware: bool
    versions: dict[str, str | int]


@dataclass(frozen=True)
class Stored:
    """A measured network.

    Attributes:
        name: that it was given.
        inputs: all that decides the figures.
        figures: parameters, tiles, programmings and the measured columns.
        curve: accuracy after each time with its 90 % interval, see ``intervals.curve``.
        accuracy: percent, of each programming at each time.
        classes: accuracy on the images of each class; empty: of an earlier version, that did not keep it.
        structure: its analog layers.
        notes: what becomes of it on tiles.
        sensitivity: what each layer loses; None: not measured.
        hardware: the chip as ``hardware.recorded`` has it.
        weights: the clean weights as safetensors.
    """

    name: str
    inputs: Inputs
    figures: NetworkFigures
    curve: list[CurvePoint]
    accuracy: list[list[float]]
    classes: list[ClassFigures]
    structure: Structure
    notes: list[str]
    sensitivity: list[LayerFigures] | None
    hardware: HardwareRecord = field(repr=False)
    weights: bytes = field(repr=False)

    @property
    def state(self) -> dict[str, Tensor]:
        """The clean weights by name."""
        from safetensors.torch import load

        return dict(load(self.weights))

    def with_sensitivity(self, rows: list[LayerFigures]) -> Stored:
        """Return it with what each layer loses."""
        return replace(self, sensitivity=rows)

    def differs(self, inputs: Inputs) -> list[str]:
        """Return what of these inputs is another than was measured."""
        own: Mapping[str, object] = self.inputs
        return [_WORDS.get(name, name) for name, value in inputs.items() if own.get(name) != value]

    def is_of(self, winner: Mapping[str, Any], hardware: Mapping[str, Any]) -> bool:
        """Return whether it may stand beside a winner: the same data, part, chip, protocol and seed.

        Args:
            winner: the content of ``winner.json``.
            hardware: the content of its ``hardware.json``.
        """
        same = ("dataset", "part", "protocol", "seed")
        own: Mapping[str, object] = self.inputs
        return all(own[name] == winner.get(name) for name in same) and own["hardware"] == hardware.get("digest")

    def write(self, folder: Path) -> None:
        """Write it; raises WorkspaceError if the folder holds anything else, which stays, or cannot be written."""
        content = {name: getattr(self, name) for name in
                   ("name", "inputs", "figures", "curve", "accuracy", "classes", "notes", "sensitivity")}  # fmt: skip
        files = {_HARDWARE: json_bytes(self.hardware), _MODEL: self.weights}
        write_folder(folder, MANIFEST, {"format": _FORMAT, **content, "structure": asdict(self.structure)}, files)


def checked_name(name: str) -> str:
    """Return the name of a network, which is one of a folder, too; raises InputError if it is none."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} is no name of a network: take letters, digits, dots, dashes, underscores, at most 64 (--name)."
        )
    return name


def load_measured(folder: Path) -> Stored:
    """Return what was measured of a network.

    Raises:
        CorruptFileError: if the folder is missing, damaged, or holds something else.
    """
    content, files = read_folder(folder, MANIFEST, remedy=REMEDY)
    try:
        if content["format"] != _FORMAT:
            raise CorruptFileError(f"{folder} has format {content['format']}, this version reads {_FORMAT}: {REMEDY}.")
        described = dict(content["structure"])
        layers = tuple(AnalogLayer(**layer) for layer in described.pop("layers"))
        described["widths"] = tuple(described["widths"])
        names = ("name", "inputs", "figures", "curve", "accuracy", "notes", "sensitivity")
        return Stored(
            **{name: content[name] for name in names},
            classes=content.get("classes", []),
            structure=Structure(layers=layers, **described),
            hardware=json.loads(files[_HARDWARE]),
            weights=files[_MODEL],
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise CorruptFileError(f"{folder} holds something else than a measured network: {REMEDY}.") from None


def all_measured(folder: Path) -> tuple[list[Stored], list[str]]:
    """Return what was measured of all networks of a workspace, by name, and what is wrong with those that are damaged.

    Args:
        folder: ``data/measured``.
    """
    whole, damaged = [], []
    for manifest in sorted(folder.glob(f"*/{MANIFEST}")):
        try:
            whole.append(load_measured(manifest.parent))
        except AnalogNASError as error:
            damaged.append(str(error))
    return whole, damaged


def most_sensitive(rows: list[LayerFigures]) -> str:
    """Return which layers lose most, in a sentence; ``rows`` are those of ``sensitivity`` as plain values."""
    worst = sorted((row for row in rows if row["sure"] and max(row["lost"], row["gained"]) > 0),
                   key=lambda row: (-max(row["lost"], row["gained"]), row["layer"]))[:3]  # fmt: skip
    if not worst:
        return "No layer by itself loses more than the spread over programmings."
    parts = [
        f"{row['layer']!r} ({row['lost']:.2f} points if it alone is analog, {row['gained']:.2f} gained if it alone is "
        "digital)"
        for row in worst
    ]
    return f"Accuracy after a day is lost in {', '.join(parts)}."
