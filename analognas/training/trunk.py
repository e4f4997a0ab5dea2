"""The trunk of a network in training: its convolutions with what follows them, planned once and run without autograd.

PyTorch decides anew in each step what each layer has to do, and on networks for small chips that takes longer than what
they do. Here ``torch.fx`` tells once which convolution, batch-norm, sum and ReLU follow which; the units of them
(``analognas.training.units``) are run one after the other on memory that is made once. What comes after them (pooling,
the linear layer) stays with PyTorch.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from aihwkit.nn import AnalogConv2d
from torch import Tensor, fx, nn

from analognas.hardware import images_last
from analognas.hardware.evaluating import Tracer, is_relu, only_user, summand
from analognas.hardware.grouping import GroupedConvolution
from analognas.hardware.layers import NOISY, FastConvolution, bias_of
from analognas.training.units import Desk, Unit, Values, key_numbers


def planned(model: nn.Module) -> nn.Module:
    """Return a form of a network, digital or converted, that computes the same in training, faster; or the network.

    The parameters are the network's, which must keep their memory: make it after they were put into one vector. Of a
    converted network the tiles must be together (``analognas.hardware.tiles_together``). All convolutions have to be in
    units; their batches have to be of small images, others take the way of the network.
    """
    before = _state(model)
    try:
        graph = Tracer().trace(model)
    except Exception:  # its forward depends on values: whatever that raises, the network itself still works
        return model
    if _state(model) != before:  # it draws, or counts: a plan would do once what it does in each step
        _restore(before)
        return model
    modules = dict(model.named_modules())
    units, begin, end = _units(graph, modules)
    if not units or end is None or begin is None:
        return model
    trunk = _Trunk(units)
    with graph.inserting_after(end):
        new = graph.call_module("trunk", args=(begin,))
    end.replace_all_uses_with(new)
    graph.eliminate_dead_code(lambda node: node.op in ("placeholder", "output"))
    graph.owning_module = None
    root = {**modules, "trunk": trunk}
    return _Planned(model, fx.GraphModule({name: module for name, module in root.items() if name}, graph), trunk)


def release(network: nn.Module) -> None:
    """Give the memory of a plan back, which would last as long as the network; a network that is none has none."""
    if isinstance(network, _Planned):
        network.release()


def _state(model: nn.Module) -> tuple[Any, ...]:
    """Return what a forward pass may change besides its values: generators, and plain attributes of modules."""
    attributes = [
        (name, value)
        for module in model.modules()
        for name, value in vars(module).items()
        if isinstance(value, int | float | str)
    ]
    numbers: Any = np.random.get_state()  # noqa: NPY002 - from which the network of a user may draw
    place = tuple(part.tobytes() if isinstance(part, np.ndarray) else part for part in numbers)
    return random.getstate(), place, bytes(torch.get_rng_state().numpy()), attributes


def _restore(state: tuple[Any, ...]) -> None:
    """Set generators to what they were."""
    python, (kind, numbers, *place), drawn, _ = state
    random.setstate(python)
    np.random.set_state((kind, np.frombuffer(numbers, np.uint32), *place))  # noqa: NPY002 - as above
    torch.set_rng_state(torch.frombuffer(bytearray(drawn), dtype=torch.uint8))


class _Planned(nn.Module):
    """A network with a plan of its trunk."""

    def __init__(self, model: nn.Module, plan: nn.Module, trunk: _Trunk) -> None:
        super().__init__()
        self._parts = (model, plan, trunk)  # not as submodules: they are those of the network

    def forward(self, x: Tensor) -> Tensor:
        """Return what the network would."""
        model, plan, trunk = self._parts
        out: Tensor = (plan if trunk.takes(x) else model)(x)
        return out

    def release(self) -> None:
        """See ``release``."""
        self._parts[2].release()


class _Trunk(nn.Module):
    def __init__(self, units: list[Unit]) -> None:
        super().__init__()
        self.units = units
        self._draws = sum(part.draws for unit in units for part in unit.parts)
        self._anchor = torch.zeros((), requires_grad=True)
        self._desk = Desk()
        self._values: dict[tuple[int, ...], Values] = {}
        self._arrays: list[Any] = []

    def release(self) -> None:
        """Forget all values; the next step makes their memory anew."""
        for unit in self.units:
            unit.release()
        self._values.clear()
        self._arrays.clear()
        self._desk.clear()

    def takes(self, x: Tensor) -> bool:
        """Return whether these are images for it."""
        return images_last.takes(x) and torch.is_grad_enabled()

    def forward(self, x: Tensor) -> Tensor:
        """Return the last value (N, C, H, W)."""
        apply: Callable[..., Tensor] = _Run.apply  # which torch 2.12 does not describe, and 2.15 does
        return apply(x, self._anchor, self)

    def run(self, x: Tensor) -> Tensor:
        """Compute all values, and return the last one."""
        x = images_last.last(x)
        images, channels, height, width = x.shape
        self._shapes, self._arrays = [(images, channels, height, width)], [images_last.flat(x)]
        drawn = key_numbers(self._draws)
        for unit in self.units:
            shape = self._shapes[unit.source]
            other = None if unit.other is None else self._arrays[unit.other]
            self._arrays.append(unit.forward(self._arrays[unit.source], shape, other, drawn, self._desk))
            self._shapes.append(unit.out_shape(shape))
        images, channels, height, width = self._shapes[-1]
        return torch.from_numpy(self._arrays[-1]).view(channels, height, width, images).permute(3, 0, 1, 2)

    def back(self, gradient: Tensor) -> None:
        """Give all parameters their gradients."""
        first = self._shapes[0]
        values = self._values.get(first)
        if values is None:
            values = self._values[first] = Values(self.units, [array.size for array in self._arrays], self._desk)
        values.begin(images_last.flat(images_last.last(gradient)))
        for unit in reversed(self.units):
            unit.backward(self._arrays[unit.source], self._shapes[unit.source], values)
            for parameter, own in unit.gradients:
                if parameter.grad is None:
                    parameter.grad = own.clone()  # whose memory the next step writes
                else:
                    parameter.grad += own


class _Run(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, _: Tensor, trunk: _Trunk) -> Tensor:
        ctx.trunk = trunk
        return trunk.run(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, None]:
        ctx.trunk.back(gradient)
        return None, None, None


def _units(graph: fx.Graph, modules: dict[str, nn.Module]) -> tuple[list[Unit], fx.Node | None, fx.Node | None]:
    """Return the units of a network with the node that the first reads and the one that the last stands for."""
    for node in list(graph.nodes):
        if node.op == "call_module" and type(modules[str(node.target)]) is nn.Identity:
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
    begin = next(node for node in graph.nodes if node.op == "placeholder")
    values, inside = {begin: 0}, {begin}
    units: list[Unit] = []
    end = None
    for node in list(graph.nodes):
        layer = modules.get(str(node.target)) if node.op == "call_module" else None
        if layer is None or not _suits(layer) or len(node.args) != 1 or node.kwargs or node.args[0] not in values:
            continue
        norm = only_user(node)
        batch_norm = modules.get(str(norm.target)) if norm is not None and norm.op == "call_module" else None
        if norm is None or not _is_plain(batch_norm):
            continue
        assert isinstance(batch_norm, nn.BatchNorm2d)
        covered, other = [node, norm], None
        after = only_user(norm)
        term = None if after is None else summand(after, norm)
        if after is not None and term in values:
            covered.append(after)
            other = values[term]
            after = only_user(after)
        rectified = after is not None and is_relu(after, modules)
        if after is not None and rectified:
            covered.append(after)
        units.append(Unit(layer, batch_norm, values[node.args[0]], other, rectified))
        end = covered[-1]
        values[end] = len(units)
        inside.update(covered)
    # What lies between must not be used by anything else, and no convolution may come after it: PyTorch would first
    # bring what it is given into another layout.
    # And all of it leads to the end: what nobody uses has no gradients.
    alone = all(set(node.users) <= inside and node.users for node in inside if node is not end)
    convolutions = (nn.Conv2d, AnalogConv2d, GroupedConvolution)
    whole = len(units) == sum(
        isinstance(modules.get(str(node.target)), convolutions) for node in graph.nodes if node.op == "call_module"
    )
    return (units, begin, end) if alone and whole else ([], None, None)


def _suits(layer: nn.Module) -> bool:
    if type(layer) is FastConvolution:
        alone = any(NOISY not in tile.__dict__ for tile in layer.analog_tiles())
        if alone or bias_of(layer.analog_module) is not None:
            return False
    elif type(layer) is not nn.Conv2d or layer.bias is not None or layer.groups != 1:
        return False
    if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        return False
    shape = (layer.out_channels, layer.in_channels, *layer.kernel_size)
    padding, dilation = ((pair[0], pair[1]) for pair in (layer.padding, layer.dilation))
    return images_last.suits(shape, padding, dilation)


def _is_plain(norm: nn.Module | None) -> bool:
    return (
        type(norm) is nn.BatchNorm2d
        and norm.affine
        and norm.track_running_stats
        and norm.momentum is not None
        and norm.weight.dtype == torch.float32
        and norm.weight.device.type == "cpu"
    )
