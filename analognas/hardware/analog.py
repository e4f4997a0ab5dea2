"""Digital networks on simulated analog tiles, and their clean weights.

"Clean" are the trained weights before any programming. aihwkit programs from them again and again, and keeps
what it derives from them (reference, programmed weights, drift exponents, compensation factor) in the model,
so a model that was programmed must neither be trained nor saved as it is; the functions here refuse it.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from analognas.causes import quoted
from analognas.errors import HardwareError
from analognas.hardware.conversion import check_convertible
from analognas.hardware.grouping import unclipped, ungrouped


def convert(model: nn.Module, rpu_config: Any, layers: str = "fast", *, others_digital: bool = False) -> nn.Module:
    """Return an analog copy of a digital network: every ``Conv2d`` and ``Linear`` on analog tiles.

    Each group of a grouped convolution has tiles of its own (:mod:`analognas.hardware.grouping`).

    Normalization, additions, pooling and activations stay digital. Draws from torch's global generator (aihwkit
    initialises layers before it copies the weights), so seed after it. The result has aihwkit's methods
    ``program_analog_weights()`` and ``drift_analog_weights(seconds)``.

    Args:
        model: digital network; it is not changed.
        rpu_config: aihwkit's ``TorchInferenceRPUConfig``.
        layers: "fast" for the layers of ``analognas.hardware.layers``, "aihwkit" for aihwkit's own, which compute
            the same about ten times as slowly. A setting that the fast ones do not compute leaves the layer to
            aihwkit, with a warning.
        others_digital: whether layers that multiply matrices, but have no analog kind (attention, LSTM, embeddings),
            stay digital instead of being refused.

    Raises:
        HardwareError: naming the layer, if one cannot be put on tiles, or the configuration asks for something
            that aihwkit's torch tiles do not simulate.
    """
    from aihwkit.exceptions import AihwkitException
    from aihwkit.nn import AnalogConv2d, AnalogLinear, AnalogSequential
    from aihwkit.nn.conversion import convert_to_analog
    from aihwkit.nn.modules.container import AnalogWrapper

    check_convertible(model, others_digital=others_digital)
    if rpu_config.forward.out_noise_std > 0 and any(type(layer) is nn.Conv2d for layer in model.modules()):
        raise HardwareError(
            "forward.out_noise_std is set, with which aihwkit's torch tiles cannot run convolutions; set it to 0."
        )
    # aihwkit remembers the wrapped classes by bare name: a network whose class is called like an earlier one
    # would get the earlier one's forward pass.
    known = AnalogWrapper.SUBCLASSES.get(f"AnalogWrapper{type(model).__name__}")
    if known is not None and type(model) not in known.__bases__:
        del AnalogWrapper.SUBCLASSES[f"AnalogWrapper{type(model).__name__}"]
    classes = {nn.Conv2d: AnalogConv2d, nn.Linear: AnalogLinear, nn.Sequential: AnalogSequential}
    try:
        analog: nn.Module = convert_to_analog(ungrouped(model), rpu_config, conversion_map=classes)
    except (AihwkitException, ValueError, NotImplementedError) as error:
        raise HardwareError(
            f"aihwkit cannot put this network on the configured tiles (it says {quoted(error)}): change the tiles."
        ) from error
    return _make_fast(unclipped(analog)) if layers == "fast" else unclipped(analog)


def from_aihwkit(model: nn.Module) -> nn.Module:
    """Return a copy of a network of aihwkit's layers with the fast ones; weights, scales and ranges are the same."""
    return _make_fast(_copy(model))


def to_aihwkit(model: nn.Module) -> nn.Module:
    """Return a copy of a network of fast layers with aihwkit's own; weights, scales and ranges are the same."""
    from analognas.hardware.layers import FAST

    slow = {fast: own for own, fast in FAST.items()}
    return _with_classes(_copy(model), slow)


def analog_layers(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield the analog layers of a converted network by name, in the order in which they are registered."""
    from aihwkit.nn import AnalogConv2d, AnalogLinear

    for name, layer in model.named_modules():
        if isinstance(layer, AnalogConv2d | AnalogLinear):
            yield name, layer


def partly_digital(model: nn.Module, names: Collection[str]) -> nn.Module:
    """Return a copy of a converted network, in evaluation mode, whose named layers are exact.

    These are torch's own layers with the clean weights: without converters, noise and drift.

    Args:
        model: with clean weights; it is not changed.
        names: of analog layers.

    Raises:
        HardwareError: if the model is programmed, or has no such analog layer.
    """
    from aihwkit.nn import AnalogConv2d, AnalogLinear

    require_clean(model, "make layers digital of")
    layers = dict(analog_layers(model))
    for name in names:
        if name not in layers:
            raise HardwareError(f"The network has no analog layer {name!r}: it has {', '.join(map(repr, layers))}.")
    exact: dict[int, Any] = {}  # what is in the memo is not copied but replaced
    with torch.random.fork_rng(devices=[]):  # layers are made with drawn weights first
        for name in names:
            kind = AnalogConv2d if isinstance(layers[name], AnalogConv2d) else AnalogLinear
            exact[id(layers[name])] = kind.to_digital(layers[name])
    copied: nn.Module = copy.deepcopy(model, exact)
    for _, layer in analog_layers(copied):
        for tile in layer.analog_tiles():
            set_scales_again(tile)
    return copied.eval()


def _make_fast(model: nn.Module) -> nn.Module:
    from analognas.hardware.layers import FAST, warn_of_uncovered

    model = _with_classes(model, FAST)
    warn_of_uncovered((name, layer) for name, layer in model.named_modules() if type(layer) in FAST.values())
    return model


def _with_classes(model: nn.Module, classes: Mapping[type, type]) -> nn.Module:
    for layer in model.modules():
        if type(layer) in classes:
            layer.__class__ = classes[type(layer)]
    return model


def _copy(model: nn.Module) -> nn.Module:
    copied = copy.deepcopy(model)
    for _, tile in tiles(copied):
        set_scales_again(tile)  # a copy loses the hook on the weights' gradient
    return copied


def tiles(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """Yield the analog tiles of a converted network by name, in order."""
    yield from model.named_analog_tiles()  # type: ignore[operator]


def number_of_tiles(model: nn.Module) -> int:
    """Return how many analog tiles a converted network occupies."""
    return sum(1 for _ in tiles(model))


def is_programmed(model: nn.Module) -> bool:
    """Return whether a converted network holds programmed weights instead of its clean ones."""
    return any(tile.reference_combined_weights is not None for _, tile in tiles(model))


def require_clean(model: nn.Module, purpose: str) -> None:
    """Refuse a programmed model for ``purpose``.

    Raises:
        HardwareError: if the model was programmed since its clean weights were set.
    """
    if is_programmed(model):
        raise HardwareError(
            f"Cannot {purpose} a programmed model: its weights are those of simulated devices, and the next "
            "programming would undo any change; restore the clean weights with load_clean_state first."
        )


def clean_state(model: nn.Module) -> dict[str, Tensor]:
    """Return copies of all trained tensors of a converted network, by name: plain tensors on the CPU.

    These are the weights in conductance units and their scales, input ranges, biases and batch-norm.

    Raises:
        HardwareError: if the model is programmed.
    """
    require_clean(model, "take the clean weights of")
    return {name: tensor.detach().clone().cpu() for name, tensor in trained_tensors(model)}


@torch.no_grad()
def load_clean_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Set all trained tensors of a converted network and forget any programming and drift.

    Raises:
        HardwareError: naming the tensor, if names or shapes are not those of the network; it is unchanged then.
    """
    own = dict(trained_tensors(model))
    for name in sorted({*own, *state}):
        if name not in own or name not in state:
            where = "network" if name not in own else "stored state"
            raise HardwareError(f"Tensor {name!r} is not in the {where}: it belongs to another network.")
        if own[name].shape != state[name].shape or own[name].dtype != state[name].dtype:
            raise HardwareError(
                f"Tensor {name!r} is {state[name].dtype} {tuple(state[name].shape)} and must be "
                f"{own[name].dtype} {tuple(own[name].shape)}: it belongs to another network."
            )
    for name, tensor in own.items():
        tensor.copy_(state[name])
    for _, tile in tiles(model):
        tile.reference_combined_weights = None
        tile.programmed_weights = None
        tile.drift_noise_parameters = None
        tile.drift_baseline = None
        tile.drift_readout_tensor = None
        # A drift replaces alpha by a scalar, which aihwkit's own checkpoints fail to load.
        tile.alpha = torch.ones(1, dtype=tile.get_dtype(), device=tile.device)
        set_scales_again(tile)


@torch.no_grad()
def set_scales_again(tile: Any) -> None:
    """Let the weights' gradients be divided by the scales in the buffer, not by those that were set last."""
    scales = tile.get_mapping_scales()
    if scales is None:
        return
    learned = tile.get_learned_out_scales()
    kept = None if learned is None else learned.detach().clone()
    tile.set_scales(scales.clone())
    if kept is not None:
        tile.set_learned_out_scales(kept)


def trained_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield all tensors that training changes, by name: of a converted network and, the same, of a digital one.

    A tile's drift compensation is not trained, and its ``analog_ctx``, a parameter that only links the tile to
    aihwkit's optimizers, is none to read: since aihwkit 1.2 it has the shape of the weights, and no values.
    """
    of_tiles = tiles(model) if hasattr(model, "named_analog_tiles") else ()
    left_out = {f"{name}.{part}" for name, _ in of_tiles for part in ("alpha", "analog_ctx")}
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if name not in left_out:
            yield name, tensor.data
