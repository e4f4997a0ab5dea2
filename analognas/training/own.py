"""A network of the user's own: built, looked at, trained, put on tiles and measured with the protocol of the winner.

What is drawn for it is drawn from the same base seed; the test images are the same ones.
"""

from __future__ import annotations

import copy
import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from analognas.causes import own_code
from analognas.errors import AnalogNASWarning, HardwareError, InputError, StageError
from analognas.files import digest
from analognas.hardware.analog import convert, load_clean_state, number_of_tiles
from analognas.hardware.conversion import Finding, findings, first_of_each, summed_up
from analognas.hardware.grouping import ungrouped
from analognas.hardware.observing import observe
from analognas.hardware.rpu_config import rpu_config
from analognas.seeds import derive_seed, seed_torch
from analognas.training import hardware_aware, intervals
from analognas.training.by_image import ClassFigures, by_class, by_image
from analognas.training.digital import DivergedError
from analognas.training.drift import percent
from analognas.training.given_weights import digest_of, put_in
from analognas.training.protocol import measured, reproducible, train_digitally, train_on_tiles

if TYPE_CHECKING:
    from analognas.datasets import Dataset
    from analognas.hardware.params import HardwareParams
    from analognas.progress import Progress
    from analognas.search_spaces.structure import Structure
    from analognas.training.params import TrainingParams

#: What the noise of such a network is drawn for, in place of the id of an architecture: its name changes no figure.
LABEL = "own network"
_PROBES = 2
_SAME = 1e-5


@dataclass(frozen=True)
class Measured:
    """What was measured of a network of the user's own.

    Attributes:
        columns: accuracies in percent as of a characterization (``acc_digital``, ``acc_hwa``, ``acc_1d``, ``avm``, ...,
            with ``_std`` and ``_sem``).
        curve: accuracy after each time with its 90 % interval, see ``intervals.curve``.
        accuracy: percent, of each programming at each time.
        classes: accuracy on the images of each class, means over programmings.
        tiles: that it occupies.
        analog: the converted network with its clean weights, in evaluation mode.
    """

    columns: dict[str, float]
    curve: list[intervals.CurvePoint]
    accuracy: list[list[float]]
    classes: list[ClassFigures]
    tiles: int
    analog: nn.Module = field(repr=False)


class OwnNetwork:
    """A PyTorch network of the user's own that classifies the images of a dataset.

    It is looked at when it is made: what cannot be put on analog tiles is refused, what happens to it there in silence
    is said in ``notes``.

    Args:
        make: a class or function that returns the network, without arguments or with ``(input_shape, classes)``.
        dataset: what it is to classify.
        seed: base seed; its initial weights are drawn from it.
        weights: trained weights by name; None: it is trained.

    Attributes:
        dataset: what it classifies.
        structure: its analog layers.
        params: trainable parameters.
        notes: sentences on what becomes of it on tiles, each with its remedy.

    Raises:
        InputError: if it is no network, or not one for these images and classes, or the weights are another one's.
        HardwareError: if it cannot be put on analog tiles, naming the layer and the remedy.
    """

    def __init__(
        self, make: Callable[..., Any], dataset: Dataset, *, seed: int, weights: Mapping[str, Tensor] | None = None
    ) -> None:
        self._make, self._weights = make, weights
        self.dataset = dataset
        self._shape, self._classes = tuple(dataset.input_shape), int(dataset.classes)
        self._own = derive_seed(seed, "characterize", LABEL)
        self._seed = seed
        x, _ = dataset.tensors("train")
        self._images = x[:_PROBES].clone()
        with reproducible("cpu"):
            network = self.build()
            self.params = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
            self.structure, self.notes = self._looked_at(network)
            self.fingerprint = self._fingerprint(network)

    @property
    def trained(self) -> bool:
        """Whether it came with trained weights."""
        return self._weights is not None

    def build(self) -> nn.Module:
        """Return the network, with the same weights each time; draws from torch's global generator.

        Raises:
            InputError: as the class says.
        """
        if isinstance(self._make, nn.Module):
            raise InputError(
                f"The {type(self._make).__name__} that was named is a network that is made already, with weights that "
                "no seed decides: name its class, or a function that returns it."
            )
        seed_torch(self._own, "init")
        try:
            network = _called(self._make, self._shape, self._classes)
        except Exception as error:  # the user's own code may fail in any way
            raise InputError(
                f"{_name(self._make)} cannot be made ({own_code(error)}): it must be a class or function without "
                "arguments, or with input_shape and classes, that returns a torch.nn.Module."
            ) from error
        if not isinstance(network, nn.Module):
            raise InputError(
                f"{_name(self._make)} returns {type(network).__name__}, no torch.nn.Module: name the class, or a "
                "function that returns the network."
            )
        if any(nn.parameter.is_lazy(weight) for weight in (*network.parameters(), *network.buffers())):
            was = network.training
            _forward(network, self._images, "evaluation")
            network.train(was)
        if self._weights is not None:
            put_in(network, self._weights)
        return network

    def on_tiles(self, hardware: HardwareParams, network: nn.Module | None = None) -> nn.Module:
        """Return the network on the tiles of a chip, not trained there, in evaluation mode.

        aihwkit leaves converted layers in training mode, in which they inject noise, also if the network was in
        evaluation mode: that is why the mode is set here.
        """
        digital_network = self.build() if network is None else network
        model = convert(digital_network, rpu_config(hardware), hardware.layers, others_digital=True)
        return model.to(next(digital_network.parameters()).device).eval()

    def try_out(self, hardware: HardwareParams) -> None:
        """Put it on the tiles of a chip and let it classify two images there, in training and in evaluation.

        Raises:
            HardwareError: if that fails, with the line of the user's own code that does.
        """
        with reproducible("cpu"), warnings.catch_warnings():
            warnings.simplefilter("ignore", AnalogNASWarning)  # said when it is measured
            try:
                model = self.on_tiles(hardware)
                for mode in (True, False):
                    model.train(mode)
                    with torch.set_grad_enabled(mode):
                        out = model(self._images)
                        if mode:
                            out.sum().backward()
            except (HardwareError, InputError):
                raise
            except Exception as error:  # whatever its forward does with analog layers
                raise HardwareError(
                    f"The network does not run on analog tiles ({own_code(error)}): call its layers instead of using "
                    "their weights, which analog layers do not have, and copy nothing out of them."
                ) from error

    def measure(
        self,
        hardware: HardwareParams,
        protocol: TrainingParams,
        *,
        part: str = "test",
        hwa: bool | None = None,
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> Measured:
        """Train it, first digitally, then on tiles, and measure it under drift; a network with weights as it is.

        Args:
            hardware: the simulated chip.
            protocol: epochs, rates, repeats and times.
            part: what is measured on.
            hwa: whether it is trained on tiles; None: unless it came with weights. Without that, input ranges
                are taken from training images.
            device: where torch computes.
            progress: called after each epoch and repeat.

        Raises:
            StageError: if a training ends in numbers that are not finite.
            HardwareError: if it does not run on tiles.
        """
        self.try_out(hardware)
        data = tuple(tensor.to(device) for tensor in self.dataset.tensors("train"))
        augment = self.dataset.augment
        try:
            with reproducible(device):
                network = self.build().to(device).eval()
                if not self.trained:
                    train_digitally(network, data, protocol, own=self._own, augment=augment, progress=progress)
                analog = self.on_tiles(hardware, network)
                if hwa is True or (hwa is None and not self.trained):
                    train_on_tiles(
                        analog, network, data, hardware, protocol, own=self._own, augment=augment, progress=progress
                    )
                else:
                    seed_torch(self._own, "calibrate")
                    hardware_aware.calibrate(analog, data[0], protocol.batch_size)
        except DivergedError as error:
            raise StageError(f"The training diverged ({error}): lower train.learning_rate in params.yaml.") from error
        columns, right = measured(
            (network, analog), self.dataset, part, protocol, seed=self._seed, label=LABEL, progress=progress
        )
        return Measured(
            columns,
            intervals.curve(right, protocol.times),
            percent(right).tolist(),
            self._by_class(right, part, protocol),
            number_of_tiles(analog),
            analog.cpu(),
        )

    def _by_class(self, right: NDArray[np.bool_], part: str, protocol: TrainingParams) -> list[ClassFigures]:
        labels = np.array(self.dataset.class_names)[self.dataset.part(part).y]
        table = by_class(by_image(right.mean(axis=0), protocol.times), labels)
        return cast("list[ClassFigures]", table.to_dict("records"))

    def restored(self, hardware: HardwareParams, state: Mapping[str, Tensor]) -> nn.Module:
        """Return the network on tiles with the clean weights of a measurement, in evaluation mode.

        Raises:
            HardwareError: if they are not those of this network.
        """
        with reproducible("cpu"):
            model = self.on_tiles(hardware)
        load_clean_state(model, state)
        return model

    def _looked_at(self, network: nn.Module) -> tuple[Structure, list[str]]:
        noticed = list(findings(network))
        _refuse(noticed)
        given_in_evaluation = not network.training
        observed, again = (_observed(network, self._images) for _ in range(2))
        self._check_output(observed.outputs, "evaluation")
        self._check_output(_forward(_copied(network), self._images, "training"), "training")
        noticed += observed.findings
        _refuse(noticed)
        kinds = {name: type(module).__name__ for name, module in network.named_modules()}
        notes = summed_up(noticed, kinds)
        if any(finding.kind == "digital" for finding in noticed):
            held = observed.structure.weights
            total = sum(parameter.numel() for parameter in network.parameters())
            notes.append(
                f"{held / total:.1%} of its parameters are on tiles; the rest is computed exactly and costs nothing in "
                "the figures of the chip."
            )
        if given_in_evaluation:
            notes.append(
                "The network comes in evaluation mode; converted by aihwkit its layers would be in training mode all "
                "the same and inject noise: here each phase sets the mode, elsewhere call .eval() after the conversion."
            )
        if not torch.allclose(observed.outputs, again.outputs, atol=_SAME, rtol=_SAME):
            notes.append(
                "It gives two answers to the same images in evaluation mode: it draws something (functional.dropout "
                "without training=self.training?), which the spread over programmings then holds too."
            )
        return observed.structure, notes

    def _check_output(self, output: Any, mode: str) -> None:
        wanted = (len(self._images), self._classes)
        if not isinstance(output, Tensor):
            raise InputError(
                f"The network returns {type(output).__name__} in {mode} mode, not one tensor (N, {self._classes}): "
                "return the outputs of the classes alone (in torchvision's: aux_logits=False)."
            )
        if tuple(output.shape) != wanted:
            raise InputError(
                f"The network gives {tuple(output.shape)} for {wanted[0]} images of {self._classes} classes: give its "
                f"last layer {self._classes} outputs."
            )

    def _fingerprint(self, network: nn.Module) -> str:
        """Return a digest of what the network is and computes, the same after changes of words in its source."""
        answers = []
        for mode in ("evaluation", "training"):
            copied = _copied(network)
            seed_torch(self._own, "fingerprint", mode)
            output = _forward(copied, self._images, mode)
            answers.append([f"{value:.3g}" for value in output.flatten().tolist()])  # on any kind of processor
        state = [[name, list(tensor.shape), str(tensor.dtype)] for name, tensor in network.state_dict().items()]
        given = None if self._weights is None else digest_of(self._weights)
        layers = [asdict(layer) for layer in self.structure.layers]
        return digest([repr(network), state, layers, answers, given])


def _called(make: Callable[..., Any], shape: tuple[int, ...], classes: int) -> Any:
    try:
        signature = inspect.signature(make)
    except (TypeError, ValueError):  # no function at all, or one in C
        return make()
    if {"input_shape", "classes"} <= set(signature.parameters):
        return make(input_shape=shape, classes=classes)
    try:
        signature.bind()
    except TypeError:
        return make(shape, classes)
    return make()


def _name(make: Callable[..., Any]) -> str:
    return getattr(make, "__qualname__", type(make).__name__)


def _refuse(noticed: list[Finding]) -> None:
    ending = [finding for finding in noticed if finding.ends]
    if ending:
        raise HardwareError(" ".join(first_of_each(ending)))


def _forward(network: nn.Module, images: Tensor, mode: str) -> Any:
    network.train(mode == "training")
    try:
        with torch.no_grad():
            return network(images)
    except Exception as error:  # the user's own code may fail in any way
        raise _no_forward(images, error, mode) from error


def _copied(network: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(network)
    except Exception as error:  # as above
        raise InputError(
            f"The network cannot be copied ({own_code(error)}), as putting it on tiles does: keep no results of a "
            "forward pass and no open files in it."
        ) from error


def _observed(network: nn.Module, images: Tensor) -> Any:
    try:
        return observe(ungrouped(network), images)
    except Exception as error:  # as above
        raise _no_forward(images, error, "evaluation") from error


def _no_forward(images: Tensor, error: Exception, mode: str) -> InputError:
    return InputError(
        f"The network cannot take images of {tuple(images.shape[1:])} in {mode} mode ({own_code(error)}): make it for "
        "these, by a function with input_shape and classes."
    )
