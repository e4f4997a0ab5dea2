"""A converted network for many evaluation passes: what follows an analog convolution is done in the same pass.

In evaluation batch-norm is a scale and a shift per channel, so it, the sum with a shortcut and a ReLU after it can be
joined with the converter of the convolution before it. Which layers follow which is read off the network with
``torch.fx``.
"""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from aihwkit.nn import AnalogConv2d, AnalogLinear
from torch import Tensor, fx, nn
from torch.nn.functional import conv2d, relu

from analognas.hardware import converters as conv
from analognas.hardware import image_loops, images_last
from analognas.hardware.grouping import GroupedConvolution
from analognas.hardware.layers import FastConvolution, bias_of, scale_of, tile_converters, uncovered
from analognas.hardware.mvm import kernels_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NOTHING = np.empty(0, np.float32)
_RELUS = (torch.relu, relu, torch.relu_)
_SUMS = (operator.add, torch.add)


def for_evaluation(model: nn.Module) -> nn.Module:
    """Return a form of a converted network with the same layers and weights that evaluates faster.

    It draws its noise in another order, so its outputs are others of the same distribution (without noise, the same
    within rounding). Where the network cannot be traced, or has nothing to join, it is returned itself. The form
    sees later changes of weights, programming and drift, but is for evaluation without gradients only.

    Args:
        model: from ``analognas.hardware.convert``, in evaluation mode.
    """
    tracer = Tracer()
    try:
        graph = tracer.trace(model)
    except Exception:  # its forward depends on values: whatever that raises, the network itself still works
        return model
    modules = dict(model.named_modules())
    joined: dict[str, nn.Module] = {}
    # Their channels are last in memory, and from one layout into the other takes longer than any of them saves.
    grouped = any(type(module) is GroupedConvolution for module in modules.values())
    for node in list(graph.nodes):
        layer = modules.get(str(node.target)) if node.op == "call_module" else None
        if type(layer) is not GroupedConvolution and (
            type(layer) is not FastConvolution or uncovered(layer.analog_module) is not None
        ):
            continue
        norm = only_user(node)
        batch_norm = modules.get(str(norm.target)) if norm is not None and norm.op == "call_module" else None
        if norm is None or type(batch_norm) is not nn.BatchNorm2d or batch_norm.running_var is None:
            continue
        replaced, others = [node, norm], []
        after = only_user(norm)
        other = None if after is None else summand(after, norm)
        if after is not None and other is not None:
            replaced.append(after)
            others.append(other)
            after = only_user(after)
        rectified = after is not None and is_relu(after, modules)
        if after is not None and rectified:
            replaced.append(after)
        name = f"joined_{len(joined)}"
        if isinstance(layer, GroupedConvolution):
            joined[name] = _JoinedGroups(layer, batch_norm, rectified)
        else:
            joined[name] = _Joined(layer, batch_norm, rectified, images_last_too=not grouped)
        with graph.inserting_before(replaced[-1]):
            new = graph.call_module(name, args=(*node.args, *others), kwargs=node.kwargs)
        replaced[-1].replace_all_uses_with(new)
        for old in reversed(replaced):
            graph.erase_node(old)
    if not joined:
        return model
    root = {**modules, **joined}
    graph.owning_module = None
    return fx.GraphModule({name: module for name, module in root.items() if name}, graph).eval()


class Tracer(fx.Tracer):
    """Takes analog layers for one step."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        """Return whether a module is one step."""
        return isinstance(module, AnalogConv2d | AnalogLinear | GroupedConvolution) or super().is_leaf_module(
            module, name
        )


class _Joined(nn.Module):
    """An analog convolution with the batch-norm, and perhaps the sum and the ReLU, that follow it."""

    def __init__(
        self, layer: FastConvolution, norm: nn.BatchNorm2d, rectified: bool, images_last_too: bool = True
    ) -> None:
        super().__init__()
        # Not as submodules: they are those of the network.
        self.parts = (layer, norm)
        self.rectified = rectified
        self._columns = list(layer.columns())
        self._is_small = images_last_too and all(
            images_last.suits((len(tile.tile.weight), end - begin, *window.kernel), window.padding, window.dilation)
            for (begin, end), window, column in self._columns
            for tile in column
        )

    def forward(self, x_input: Tensor, other: Tensor | None = None) -> Tensor:
        """Return what the layers would, one after the other; ``other`` is what is added to the batch-norm's output."""
        layer, norm = self.parts
        if norm.training or torch.is_grad_enabled() or x_input.dim() != 4 or uncovered(layer.analog_module):
            return self._apart(x_input, other)
        if self._is_small and images_last.takes(x_input):
            return self._small(x_input, other)
        sums: list[Tensor] = []
        factor, shift = self._affine()
        for index, ((begin, end), window, column) in enumerate(self._columns):
            last = index == len(self._columns) - 1
            x = conv.dense(x_input if end - begin == layer.in_channels else x_input[:, begin:end])
            start = 0
            for place, tile in enumerate(column):
                outputs = slice(start, start + len(tile.tile.weight))
                start = outputs.stop
                converters = tile_converters(tile.rpu_config.forward)
                lines = conv.to_input(x, tile.input_range, converters)
                kernels = kernels_of(tile.tile.weight, window, x.shape[1])
                out = conv.dense(conv2d(lines, kernels, None, window.stride, window.padding, window.dilation))
                # What this tile's output is added to: the tiles before it, or the other term of the sum.
                before = sums[place] if index else None if other is None else other[:, outputs]
                if before is not None and before.shape != out.shape:  # a term for all images or pixels alike
                    return self._apart(x_input, other)
                before = None if before is None else conv.dense(before)
                offset = torch.zeros_like(shift[outputs]) if index else shift[outputs]
                scale = scale_of(tile, converters.out_scale) * factor[outputs]
                conv.to_next(out, converters, scale, offset, before, self.rectified and last)
                sums[place : place + 1] = [out]
        return sums[0] if len(sums) == 1 else torch.cat(sums, 1)

    def _small(self, x: Tensor, other: Tensor | None) -> Tensor:
        """Do the same with the images last in memory, without a tensor on the way."""
        layer, _ = self.parts
        x = images_last.last(x)
        images, _, height, width = x.shape
        values, pixels = images_last.flat(x), images * height * width
        factor, shift = self._numbers()
        added = None if other is None else images_last.last(other)
        result = None
        for index, ((begin, end), window, column) in enumerate(self._columns):
            read = values[begin * pixels : end * pixels]
            least = np.float32(0.0 if self.rectified and index == len(self._columns) - 1 else -math.inf)
            start = 0
            for tile in column:
                outputs = len(tile.tile.weight)
                shape = images, end - begin, height, width
                where = images_last.geometry(shape, outputs, window.kernel, window.stride, window.padding)
                size = math.prod(where.out_shape) // outputs
                if result is None:
                    whole = images, layer.out_channels, *where.out_shape[2:]
                    if added is not None and added.shape != whole:  # a term for all images or pixels alike
                        return self._apart(x, other)
                    result = images_last.empty(x, whole)
                    out = images_last.flat(result)
                    terms = None if added is None else images_last.flat(added)
                given = tile_converters(tile.rpu_config.forward)
                number = np.float32(math.inf if tile.input_range is None else tile.input_range.item())
                lines = images_last.lines_of(
                    read, where, (number, np.float32(given.inp_step), np.float32(given.inp_bound))
                )
                kernels = images_last.array_of(kernels_of(tile.tile.weight, window, end - begin))
                part = slice(start * size, (start + outputs) * size)
                # What this tile's output is added to: the tiles before it, or the other term of the sum.
                before = out[part].copy() if index else _NOTHING if terms is None else terms[part]
                images_last.convolve(lines, kernels, where, out[part])
                own = slice(start, start + outputs)
                drawn = conv.keys() if given.noise > 0 else (np.uint32(1), np.uint32(0), np.uint32(0))
                image_loops.to_next(
                    out[part], np.float32(given.noise), np.float32(given.out_step), np.float32(given.out_bound),
                    _scale(tile, given.out_scale) * factor[own], np.zeros_like(shift[own]) if index else shift[own],
                    before, least, drawn,
                )  # fmt: skip
                start += outputs
        assert result is not None
        return result

    def _apart(self, x: Tensor, other: Tensor | None) -> Tensor:
        return _one_by_one(*self.parts, x, other, self.rectified)

    def _numbers(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return what ``_affine`` does, as arrays."""
        layer, norm = self.parts
        assert norm.running_mean is not None
        assert norm.running_var is not None
        bias = bias_of(layer.analog_module)
        deviation: NDArray[np.float32] = np.sqrt(images_last.array_of(norm.running_var) + np.float32(norm.eps))
        factor: NDArray[np.float32] = np.float32(1) / deviation
        mean = images_last.array_of(norm.running_mean)
        if norm.affine:
            factor = factor * images_last.array_of(norm.weight)
        shift = (-mean if bias is None else images_last.array_of(bias) - mean) * factor
        return factor, shift + images_last.array_of(norm.bias) if norm.affine else shift

    def _affine(self) -> tuple[Tensor, Tensor]:
        layer, norm = self.parts
        return _affine(norm, bias_of(layer.analog_module))


class _JoinedGroups(nn.Module):
    """A grouped convolution with the batch-norm, and perhaps the sum and the ReLU, that follow it."""

    def __init__(self, layer: GroupedConvolution, norm: nn.BatchNorm2d, rectified: bool) -> None:
        super().__init__()
        # Not as submodules: they are those of the network.
        self.parts = (layer, norm)
        self.rectified = rectified

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """Return what the layers would, one after the other; ``other`` is what is added to the batch-norm's output."""
        layer, norm = self.parts
        out = None
        if not (norm.training or torch.is_grad_enabled()):
            out = layer.joined(x, _affine(norm, None), other, self.rectified)
        return _one_by_one(layer, norm, x, other, self.rectified) if out is None else out


def _one_by_one(layer: nn.Module, norm: nn.BatchNorm2d, x: Tensor, other: Tensor | None, rectified: bool) -> Tensor:
    out: Tensor = norm(layer(x))
    if other is not None:
        out = out + other
    return relu(out) if rectified else out


def _affine(norm: nn.BatchNorm2d, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return what batch-norm multiplies with and what a bias before it and batch-norm add, per channel."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = torch.rsqrt(norm.running_var + norm.eps)
    if norm.affine:
        factor = factor * norm.weight
    shift = (-norm.running_mean if bias is None else bias - norm.running_mean) * factor
    return factor, shift + norm.bias if norm.affine else shift


def _scale(tile: Any, scale: float) -> NDArray[np.float32]:
    """Return what ``layers.scale_of`` does, as an array."""
    own = np.full(len(tile.tile.weight), scale, np.float32)
    alpha = tile.alpha if tile.rpu_config.drift_compensation is not None else None
    for factor in (tile.input_range, tile.mapping_scales, tile.out_scaling_alpha, alpha):
        if factor is not None:
            own *= images_last.array_of(factor) if isinstance(factor, Tensor) else np.float32(factor)
    return own


def only_user(node: fx.Node) -> fx.Node | None:
    """Return the step that uses the output of another, if there is one alone."""
    return next(iter(node.users)) if len(node.users) == 1 else None


def summand(node: fx.Node, norm: fx.Node) -> fx.Node | None:
    """Return the other term if the node is a sum with ``norm``, None otherwise.

    Sums in place are left as they are: what they change may be used elsewhere.
    """
    is_sum = (node.op == "call_function" and node.target in _SUMS) or (
        node.op == "call_method" and node.target == "add"
    )
    if not is_sum or len(node.args) != 2 or node.kwargs:
        return None
    others = [term for term in node.args if term is not norm]
    return others[0] if len(others) == 1 and isinstance(others[0], fx.Node) else None


def is_relu(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    """Return whether a step is a ReLU."""
    if node.op == "call_module":
        return type(modules.get(str(node.target))) is nn.ReLU
    return (node.op == "call_function" and node.target in _RELUS) or (
        node.op == "call_method" and node.target == "relu"
    )
