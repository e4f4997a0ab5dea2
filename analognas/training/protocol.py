"""The characterization of one architecture: trained, put on analog tiles, measured under drift."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from analognas.errors import DatasetError, SpaceError
from analognas.hardware.analog import convert, number_of_tiles
from analognas.hardware.cost import tiles as count_tiles
from analognas.hardware.presets import PRESETS
from analognas.hardware.rpu_config import rpu_config
from analognas.progress import Progress
from analognas.rows import ResultRow
from analognas.seeds import derive_seed, seed_torch
from analognas.training import digital, drift, hardware_aware
from analognas.training.columns import ONE_SECOND, THIRTY_DAYS, measured_columns, time_label

if TYPE_CHECKING:
    from analognas.datasets import Dataset
    from analognas.hardware.params import HardwareParams
    from analognas.search_spaces.architecture import Architecture
    from analognas.training.params import TrainingParams


@dataclass(frozen=True)
class Trained:
    """An architecture with trained weights.

    ``digital`` is the network before, ``analog`` after hardware-aware training, with its clean weights, both in
    evaluation mode. ``seed`` is the base seed they were trained with.
    """

    architecture: Architecture
    hardware: HardwareParams
    protocol: TrainingParams
    seed: int
    digital: nn.Module = field(repr=False)
    analog: nn.Module = field(repr=False)

    def measure(self, dataset: Dataset, part: str, progress: Progress | None = None) -> Characterization:
        """Return the characterization on ``part`` of a dataset; the training does not depend on the part.

        Raises:
            DatasetError: if its images or classes are not those of the architecture's space.
        """
        _check_dataset(self.architecture, dataset)
        columns, right = measured(
            (self.digital, self.analog),
            dataset,
            part,
            self.protocol,
            seed=self.seed,
            label=self.architecture.id,
            progress=progress,
        )
        row = _row(self.architecture, self.hardware, self.protocol, "ok", "", columns)
        return Characterization(row, part, right, self)


@dataclass(frozen=True)
class Characterization:
    """What came of one architecture.

    ``right`` is behind the measurements of the row: which images were classified rightly, (repeats, times, images);
    ``trained`` has the networks. Both are None unless the status of the row is ``ok``.
    """

    row: ResultRow
    part: str
    right: NDArray[np.bool_] | None = field(default=None, repr=False)
    trained: Trained | None = field(default=None, repr=False)

    @property
    def accuracy(self) -> NDArray[np.float64] | None:
        """Accuracies, percent, (repeats, times)."""
        return None if self.right is None else drift.percent(self.right)

    @property
    def model(self) -> nn.Module | None:
        """The analog network with its clean weights."""
        return None if self.trained is None else self.trained.analog

    @property
    def result(self) -> ResultRow:
        """The row with the accuracy of every repeat, for the result store."""
        repeats = [] if self.accuracy is None else self.accuracy.tolist()
        return replace(self.row, accuracy=tuple(map(tuple, repeats)))


def characterize(
    architecture: Architecture,
    dataset: Dataset,
    hardware: HardwareParams,
    protocol: TrainingParams,
    *,
    seed: int,
    part: str = "validation",
    device: str = "cpu",
    max_params: int | None = None,
    progress: Progress | None = None,
) -> Characterization:
    """Train and measure one architecture: a pure function of its arguments.

    Digital training on the training part, conversion of all convolution and linear layers to analog tiles,
    hardware-aware training, then programming and drift on ``part``. ``acc_digital`` and ``acc_hwa`` are the
    accuracies on ``part`` before and after the hardware-aware training, the latter on noisy tiles before they
    are programmed. Computes on one thread and leaves torch's generators as they were.

    Args:
        architecture: what to build; its space's shape must be the dataset's.
        dataset: with ``tensors(part)``; its ``augment`` happens to the training images in both trainings.
        hardware: the simulated chip.
        protocol: epochs, rates, repeats and times.
        seed: base seed; everything is drawn from it and the architecture's id.
        part: ``validation`` for search targets, ``test`` for the winner alone.
        device: where torch computes.
        max_params: a larger network is not trained: its status is ``too_large``.
        progress: called after each epoch and repeat, with digital, hardware-aware or drift.

    Raises:
        HardwareError: if a layer cannot be analog.
        DatasetError: if its images or classes are not those of the architecture's space.
        SpaceError: if the network is not the one that the architecture's space describes.
        MemoryError, torch.OutOfMemoryError: the machine's fault, so not a result.
    """
    if max_params is not None and architecture.params > max_params:
        reason = f"{architecture.params} parameters, {max_params} are allowed"
        return Characterization(_failed(architecture, hardware, protocol, "too_large", reason), part)
    try:
        trained = train(architecture, dataset, hardware, protocol, seed=seed, device=device, progress=progress)
    except digital.DivergedError as error:
        return Characterization(_failed(architecture, hardware, protocol, "diverged", str(error)), part)
    return trained.measure(dataset, part, progress)


def train(
    architecture: Architecture,
    dataset: Dataset,
    hardware: HardwareParams,
    protocol: TrainingParams,
    *,
    seed: int,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Trained:
    """Train one architecture, first digitally, then on noisy tiles; see ``characterize``.

    Raises:
        DivergedError: if a training ends in numbers that are not finite.
    """
    _check_dataset(architecture, dataset)
    own = derive_seed(seed, "characterize", architecture.id)
    data = tuple(tensor.to(device) for tensor in dataset.tensors("train"))
    with reproducible(device):
        seed_torch(own, "init")
        network = architecture.build().to(device)
        train_digitally(network, data, protocol, own=own, augment=dataset.augment, progress=progress)
        model = convert(network, rpu_config(hardware), hardware.layers)
        _check_network(architecture, network, model, hardware)
        train_on_tiles(model, network, data, hardware, protocol, own=own, augment=dataset.augment, progress=progress)
    return Trained(architecture, hardware, protocol, seed, network, model)


def train_digitally(
    network: nn.Module,
    data: tuple[Tensor, ...],
    protocol: TrainingParams,
    *,
    own: int,
    augment: Sequence[str] = (),
    progress: Progress | None = None,
) -> None:
    """Train any digital network in place as the protocol says.

    Args:
        network: maps (N, C, H, W) to (N, classes).
        data: images (N, C, H, W) and classes (N,), where the network is.
        protocol: epochs, rates.
        own: seed of this network's training.
        augment: what happens to the images.
        progress: called after each epoch.

    Raises:
        DivergedError: if it ends in numbers that are not finite.
    """
    x, y = data
    with _named("digital training"):
        seed_torch(own, "digital")  # for networks with dropout
        digital.train(
            network,
            x,
            y,
            epochs=protocol.epochs,
            batch_size=protocol.batch_size,
            learning_rate=protocol.learning_rate,
            weight_decay=protocol.weight_decay,
            seed=derive_seed(own, "digital"),
            augment=augment,
            progress=progress,
        )


def train_on_tiles(
    model: nn.Module,
    network: nn.Module,
    data: tuple[Tensor, ...],
    hardware: HardwareParams,
    protocol: TrainingParams,
    *,
    own: int,
    augment: Sequence[str] = (),
    progress: Progress | None = None,
) -> None:
    """Train any converted network in place, hardware-aware, as the protocol says; see ``train_digitally``.

    ``network`` is the digital one that it was converted from, in evaluation mode: it teaches, if the protocol says so.
    """
    x, y = data
    if hardware.rpu_config in PRESETS:  # nothing of a configuration of the user's own is replaced
        steps = protocol.hwa_epochs * digital.steps_per_epoch(len(x), protocol.batch_size)
        hardware_aware.limit_input_range_initialization(model, steps)
    with _named("hardware-aware training"):
        seed_torch(own, "hwa")
        hardware_aware.train(
            model,
            x,
            y,
            epochs=protocol.hwa_epochs,
            batch_size=protocol.batch_size,
            learning_rate=protocol.hwa_learning_rate,
            seed=derive_seed(own, "hwa"),
            augment=augment,
            progress=progress,
            teacher=None if protocol.distillation_temperature is None else network,
            temperature=protocol.distillation_temperature or 1.0,
        )


def measured(
    networks: tuple[nn.Module, nn.Module],
    dataset: Dataset,
    part: str,
    protocol: TrainingParams,
    *,
    seed: int,
    label: str,
    progress: Progress | None = None,
) -> tuple[dict[str, float], NDArray[np.bool_]]:
    """Return the measured columns of any trained network, and which images were classified rightly.

    Args:
        networks: the digital one, and the converted one with its clean weights.
        dataset: with ``tensors(part)``.
        part: of the dataset.
        protocol: repeats and times.
        seed: base seed.
        label: what its noise is drawn for: the id of an architecture.
        progress: called after each repeat.

    Returns:
        ``acc_digital``, ``acc_hwa`` and those of ``statistics``, and ``drift.outcomes``.
    """
    plain, analog = networks
    device = next(plain.parameters()).device
    x, y = (tensor.to(device) for tensor in dataset.tensors(part))
    with reproducible(str(device)):
        acc_digital = digital.accuracy(plain, x, y)
        seed_torch(seed, "characterize", label, "noisy", part)
        acc_hwa = digital.accuracy(analog, x, y)
        right = drift.outcomes(
            analog,
            x,
            y,
            times=protocol.times,
            repeats=protocol.repeats,
            seed=drift_seed(seed, label, part),
            progress=progress,
        )
    columns = {"acc_digital": acc_digital, "acc_hwa": acc_hwa}
    return columns | statistics(drift.percent(right), protocol.times), right


@contextmanager
def reproducible(device: str) -> Iterator[None]:
    """Compute on one thread (sums of floats depend on their number) and restore torch's generators afterwards."""
    threads = torch.get_num_threads()
    cuda = [] if device == "cpu" else list(range(torch.cuda.device_count()))
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=cuda):
            yield
    finally:
        torch.set_num_threads(threads)


def drift_seed(seed: int, architecture_id: str, part: str) -> int:
    """Return the seed of the drift measurement of an architecture, given the base seed."""
    return derive_seed(seed, "characterize", architecture_id, "drift", part)


def statistics(accuracy: NDArray[np.float64], times: tuple[float, ...]) -> dict[str, float]:
    """Return the columns of accuracies (repeats, times) in percent: mean, sample std and standard error.

    ``avm`` is the mean over repeats of accuracy at 1 s minus accuracy at 30 days of the same devices,
    percentage points.
    """
    columns = {f"acc_{time_label(time)}": accuracy[:, index] for index, time in enumerate(times)}
    columns["avm"] = accuracy[:, times.index(ONE_SECOND)] - accuracy[:, times.index(THIRTY_DAYS)]
    values: dict[str, float] = {}
    for name, repeats in columns.items():
        std = float(np.std(repeats, ddof=1))
        values |= {name: float(np.mean(repeats)), f"{name}_std": std, f"{name}_sem": std / len(repeats) ** 0.5}
    return values


def _row(
    architecture: Architecture,
    hardware: HardwareParams,
    protocol: TrainingParams,
    status: str,
    reason: str,
    measured: Mapping[str, float | None],
) -> ResultRow:
    return ResultRow(
        id=architecture.id,
        space=architecture.space.name,
        genes=architecture.genes.to_json(),
        params=architecture.params,
        tiles=count_tiles(architecture.structure, hardware.tile_shape),
        status=status,
        reason=reason,
        repeats=protocol.repeats,
        measured=measured,
    )


def _failed(
    architecture: Architecture, hardware: HardwareParams, protocol: TrainingParams, status: str, reason: str
) -> ResultRow:
    return _row(architecture, hardware, protocol, status, reason, dict.fromkeys(measured_columns(protocol.times)))


@contextmanager
def _named(training: str) -> Iterator[None]:
    try:
        yield
    except digital.DivergedError as error:
        raise digital.DivergedError(f"{training}: {error}") from error


def _check_dataset(architecture: Architecture, dataset: Dataset) -> None:
    space = architecture.space
    if tuple(dataset.input_shape) != space.input_shape or dataset.classes != space.classes:
        raise DatasetError(
            f"Dataset {dataset.name!r} has images {tuple(dataset.input_shape)} of {dataset.classes} classes; the "
            f"architectures of {space.name!r} take {space.input_shape} and {space.classes}: use the dataset's space."
        )


def _check_network(architecture: Architecture, network: nn.Module, model: nn.Module, hardware: HardwareParams) -> None:
    """Hold what the space says of the network, which is searched by, against the network that was built."""
    params = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    tiles = count_tiles(architecture.structure, hardware.tile_shape)
    for what, counted, built, method in (
        ("parameters", architecture.params, params, "count_params"),
        ("tiles", tiles, number_of_tiles(model), "structure"),
    ):
        if counted != built:
            raise SpaceError(
                f"Architecture {architecture.id} of {architecture.space.name!r} was counted with {counted} {what} "
                f"and was built with {built}: mend {method} of its family {architecture.space.family!r}."
            )
