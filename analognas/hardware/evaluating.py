"""A converted network for many evaluation passes: what follows an analog convolution is done in the same pass.

In evaluation batch-norm is a scale and a shift per channel, so it, the sum with a shortcut and a ReLU after it can be
joined with the converter of the convolution before it. Which layers follow which is read off the network with
``torch.fx``.
"""

from __future__ import annotations

import operator

import torch
from aihwkit.nn import AnalogConv2d, AnalogLinear
from torch import Tensor, fx, nn
from torch.nn.functional import conv2d, relu

from analognas.hardware import converters as conv
from analognas.hardware.grouping import GroupedConvolution
from analognas.hardware.layers import FastConvolution, bias_of, scale_of, tile_converters, uncovered
from analognas.hardware.mvm import kernels_of

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
    tracer = _Tracer()
    try:
        graph = tracer.trace(model)
    except Exception:  # its forward depends on values: whatever that raises, the network itself still works
        return model
    modules = dict(model.named_modules())
    joined: dict[str, nn.Module] = {}
    for node in list(graph.nodes):
        layer = modules.get(str(node.target)) if node.op == "call_module" else None
        if type(layer) is not FastConvolution or uncovered(layer.analog_module) is not None:
            continue
        norm = _only_user(node)
        batch_norm = modules.get(str(norm.target)) if norm is not None and norm.op == "call_module" else None
        if norm is None or type(batch_norm) is not nn.BatchNorm2d or batch_norm.running_var is None:
            continue
        replaced, others = [node, norm], []
        after = _only_user(norm)
        other = None if after is None else _summand(after, norm)
        if after is not None and other is not None:
            replaced.append(after)
            others.append(other)
            after = _only_user(after)
        rectified = after is not None and _is_relu(after, modules)
        if after is not None and rectified:
            replaced.append(after)
        name = f"joined_{len(joined)}"
        joined[name] = _Joined(layer, batch_norm, rectified)
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


class _Tracer(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, AnalogConv2d | AnalogLinear | GroupedConvolution) or super().is_leaf_module(
            module, name
        )


class _Joined(nn.Module):
    """An analog convolution with the batch-norm, and perhaps the sum and the ReLU, that follow it."""

    def __init__(self, layer: FastConvolution, norm: nn.BatchNorm2d, rectified: bool) -> None:
        super().__init__()
        # Not as submodules: they are those of the network.
        self.parts = (layer, norm)
        self.rectified = rectified

    def forward(self, x_input: Tensor, other: Tensor | None = None) -> Tensor:
        """Return what the layers would, one after the other; ``other`` is what is added to the batch-norm's output."""
        layer, norm = self.parts
        if norm.training or torch.is_grad_enabled() or x_input.dim() != 4 or uncovered(layer.analog_module):
            return self._apart(x_input, other)
        sums: list[Tensor] = []
        columns = list(layer.columns())
        factor, shift = self._affine()
        for index, ((begin, end), window, column) in enumerate(columns):
            last = index == len(columns) - 1
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

    def _apart(self, x: Tensor, other: Tensor | None) -> Tensor:
        layer, norm = self.parts
        out: Tensor = norm(layer(x))
        if other is not None:
            out = out + other
        return relu(out) if self.rectified else out

    def _affine(self) -> tuple[Tensor, Tensor]:
        """Return what batch-norm multiplies with and what bias and batch-norm add, per channel."""
        layer, norm = self.parts
        assert norm.running_mean is not None
        assert norm.running_var is not None
        bias = bias_of(layer.analog_module)
        factor = torch.rsqrt(norm.running_var + norm.eps)
        if norm.affine:
            factor = factor * norm.weight
        shift = (-norm.running_mean if bias is None else bias - norm.running_mean) * factor
        return factor, shift + norm.bias if norm.affine else shift


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _summand(node: fx.Node, norm: fx.Node) -> fx.Node | None:
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


def _is_relu(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    if node.op == "call_module":
        return type(modules.get(str(node.target))) is nn.ReLU
    return (node.op == "call_function" and node.target in _RELUS) or (
        node.op == "call_method" and node.target == "relu"
    )
