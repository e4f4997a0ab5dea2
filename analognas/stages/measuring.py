"""A network of the user's own, measured as the winner of a workspace is; it is no stage, and no stage depends on it.

Writes ``data/measured/NAME/``. Like the result store it is a memo of what decides it, so DVC does not know it: an
output would be removed before its stage, and what is in it can be made again from the user's own code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from analognas.errors import InputError, MismatchError
from analognas.files import write_text
from analognas.folders import claim
from analognas.plugins import load
from analognas.progress import Progress, silent
from analognas.stages.identity import DatasetSpec, chip
from analognas.stages.protocols import PROTOCOLS
from analognas.stages.recorded import check_environment, package_versions, recorded_dataset
from analognas.stages.running import limit_threads
from analognas.training.measured import MANIFEST, Stored, checked_name, load_measured

if TYPE_CHECKING:
    from analognas.hardware.recorded import HardwareRecord
    from analognas.params import Params
    from analognas.training.columns import NetworkFigures
    from analognas.training.measured import Inputs, LayerFigures
    from analognas.training.own import OwnNetwork
    from analognas.workspace import Paths

_PART = "test"


@dataclass(frozen=True)
class Asked:
    """What is to be measured.

    Attributes:
        where: the network, ``module:Network``: a class or function.
        weights: file of trained weights; None: it is trained.
        name: what it is called; None: as the class or function.
        hardware_aware: whether trained weights are trained on tiles, too.
        sensitivity: whether it is measured which layers lose accuracy.
        replace: whether another network of that name may be replaced.
    """

    where: str
    weights: Path | None = None
    name: str | None = None
    hardware_aware: bool = False
    sensitivity: bool = False
    replace: bool = False

    @property
    def called(self) -> str:
        """Its name."""
        return checked_name(self.name or self.where.rpartition(":")[2].rpartition(".")[2])


def measure(
    asked: Asked,
    params: Params,
    paths: Paths,
    progress: Progress = silent,
    tell: Callable[[str], None] = lambda sentence: None,
) -> Stored:
    """Return what was measured of a network; what was measured before is not trained again.

    Args:
        asked: what is to be measured.
        params: of the workspace: the protocol is that of ``train``.
        paths: of the workspace.
        progress: called as it gets on.
        tell: called with each sentence on what becomes of the network on tiles, before anything is trained.

    Raises:
        InputError: if it is no network for these data, cannot be put on tiles, or another one has its name.
        MismatchError: if the data or the versions are not the recorded ones, or there are no images.
        StageError: if its training diverges.
    """
    from analognas.hardware.coverage import tell as tell_of_chip
    from analognas.hardware.recorded import record
    from analognas.hardware.silence import silent as unsaid
    from analognas.training.given_weights import read_weights
    from analognas.training.own import OwnNetwork

    name = asked.called
    limit_threads(params)
    check_environment(paths, "train", chip(params.hardware))
    if not recorded_dataset(paths)["sizes"]["train"]:
        raise MismatchError("This workspace looks results up in a table: there are no images to measure a network on.")
    dataset = DatasetSpec.of(params, paths).load()
    make = load(asked.where, f"network {asked.where!r}", InputError)
    weights = None if asked.weights is None else read_weights(asked.weights)
    with unsaid():
        network = OwnNetwork(make, dataset, seed=params.base.seed, weights=weights)
        chip_record = record(params.hardware)
        inputs: Inputs = {
            "network": network.fingerprint,
            "dataset": {"name": dataset.name, "digest": dataset.digest, "split_digest": dataset.split_digest},
            "part": _PART,
            "hardware": chip_record["digest"],
            "layers": params.hardware.layers,
            "protocol": params.train.model_dump(mode="json"),
            "seed": params.base.seed,
            "hardware_aware": asked.hardware_aware or not network.trained,
            "versions": {name: package_versions()[name] for name in ("aihwkit", "torch")}
            | {"train": PROTOCOLS["train"], "device": params.base.device},
        }
        for sentence in network.notes:
            tell(sentence)
        tell_of_chip(params.hardware)
        folder = paths.measured / name
        stored = None if asked.replace and not _is_of(folder, inputs) else _stored(folder, name, inputs)
        if stored is None:
            stored = _measured(network, name, inputs, chip_record, params, progress)
            for sentence in stored.notes[len(network.notes) :]:
                tell(sentence)
            _ignored(paths.measured)
            stored.write(folder)
        if asked.sensitivity and stored.sensitivity is None:
            stored = stored.with_sensitivity(_sensitivity(network, stored, params, progress))
            stored.write(folder)
    return stored


def _measured(
    network: OwnNetwork,
    name: str,
    inputs: Inputs,
    chip_record: HardwareRecord,
    params: Params,
    progress: Progress,
) -> Stored:
    from safetensors.torch import save

    from analognas.hardware.analog import clean_state

    own = network.measure(
        params.hardware,
        params.train,
        part=_PART,
        hwa=inputs["hardware_aware"],
        device=params.base.device,
        progress=progress,
    )
    figures = {"params": network.params, "tiles": own.tiles, "repeats": params.train.repeats}
    return Stored(
        name=name,
        inputs=inputs,
        figures=cast("NetworkFigures", figures | own.columns),
        curve=own.curve,
        accuracy=own.accuracy,
        classes=own.classes,
        structure=network.structure,
        notes=[*network.notes, *_doubts(network, own.columns["acc_digital"])],
        sensitivity=None,
        hardware=chip_record,
        weights=save(clean_state(own.analog)),
    )


def _doubts(network: OwnNetwork, accuracy: float) -> list[str]:
    """Return what is said of trained weights that classify hardly better than chance."""
    chance = 100 / network.dataset.classes
    if not network.trained or accuracy > 2 * chance:
        return []
    return [
        f"The given weights classify {accuracy:.1f} % of the test images rightly before they are on a tile, chance is "
        f"{chance:.1f} %: were they trained on images of another size or normalisation, or on other classes? Images "
        "come here with mean 0 and standard deviation 1 in each channel."
    ]


def _sensitivity(network: OwnNetwork, stored: Stored, params: Params, progress: Progress) -> list[LayerFigures]:
    from analognas.training.own import LABEL
    from analognas.training.sensitivity import sensitivity

    rows = sensitivity(
        network.restored(params.hardware, stored.state),
        network.dataset,
        repeats=params.train.repeats,
        seed=params.base.seed,
        label=LABEL,
        part=_PART,
        device=params.base.device,
        progress=progress,
    )
    return [row.to_dict() for row in rows]


def _stored(folder: Path, name: str, inputs: Inputs) -> Stored | None:
    """Return what was measured with these inputs, None if nothing was.

    Raises:
        InputError: if something else was measured under that name.
        CorruptFileError: if it is damaged.
    """
    claim(folder, MANIFEST)
    if not (folder / MANIFEST).exists():
        return None
    stored = load_measured(folder)
    if differing := stored.differs(inputs):
        raise InputError(
            f"{folder} was measured with another {' and another '.join(differing)}: give this one a --name of its own, "
            "or replace that one with --replace."
        )
    return stored


def _is_of(folder: Path, inputs: Inputs) -> bool:
    """Return whether a folder holds the measurement of these inputs."""
    try:
        return not load_measured(folder).differs(inputs)
    except InputError:  # missing, or damaged: it is to be replaced
        return False


def _ignored(folder: Path) -> None:
    """Keep git from what is measured: weights of any size that the user's own code gives again.

    In a file of its own: workspaces that were made before have no such line in theirs.
    """
    ignore = folder / ".gitignore"
    if not ignore.exists():
        write_text(ignore, "*\n")
