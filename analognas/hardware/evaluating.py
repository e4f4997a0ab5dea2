"""A converted network for many evaluation passes: what follows an analog convolution is done in the same pass.

In evaluation batch-norm is a scale and a shift per channel, so it, and a ReLU after it, can be joined with the
converter of the convolution before it. Which layers follow which is read off the network with ``torch.fx``.
"""

from __future__ import annotations

from typing import Any

import torch
from aihwkit.nn import AnalogConv2d, AnalogLinear
from torch import Tensor, fx, nn
from torch.nn.functional import conv2d, relu

from analognas.hardware import converters as conv
from analognas.hardware.layers import FastConvolution, single_tile, tile_converters, whole_window

_RELUS = (torch.relu, relu, torch.relu_)


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
        if type(layer) is not FastConvolution or single_tile(layer.analog_module) is None:
            continue
        norm = _only_user(node)
        batch_norm = modules.get(str(norm.target)) if norm is not None and norm.op == "call_module" else None
        if norm is None or type(batch_norm) is not nn.BatchNorm2d or batch_norm.running_var is None:
            continue
        last = norm
        after = _only_user(norm)
        if after is not None and _is_relu(after, modules):
            last = after
        name = f"joined_{len(joined)}"
        joined[name] = _Joined(layer, batch_norm, rectified=last is not norm)
        with graph.inserting_before(node):
            new = graph.call_module(name, args=node.args, kwargs=node.kwargs)
        last.replace_all_uses_with(new)
        for old in (last, norm, node) if last is not norm else (norm, node):
            graph.erase_node(old)
    if not joined:
        return model
    root = {**modules, **joined}
    graph.owning_module = None
    return fx.GraphModule({name: module for name, module in root.items() if name}, graph).eval()


class _Tracer(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, AnalogConv2d | AnalogLinear) or super().is_leaf_module(module, name)


class _Joined(nn.Module):
    """An analog convolution with the batch-norm, and perhaps the ReLU, that follow it."""

    def __init__(self, layer: FastConvolution, norm: nn.BatchNorm2d, rectified: bool) -> None:
        super().__init__()
        # Not as submodules: they are those of the network.
        self.parts = (layer, norm)
        self.rectified = rectified

    def forward(self, x: Tensor) -> Tensor:
        """Return what the layers would, one after the other."""
        layer, norm = self.parts
        tile = single_tile(layer.analog_module)
        if tile is None or norm.training or torch.is_grad_enabled():
            out: Tensor = norm(layer(x))
            return relu(out) if self.rectified else out
        window = whole_window(layer)
        x = conv.dense(x)
        converters = tile_converters(tile.rpu_config.forward)
        lines = conv.to_input(x, tile.input_range, converters)
        kernels = tile.tile.weight.view(-1, x.shape[1], *window.kernel)
        out = conv.dense(conv2d(lines, kernels, None, window.stride, window.padding, window.dilation))
        scale, shift = self._affine(tile, norm, converters.out_scale)
        conv.to_next(out, converters, scale, shift, self.rectified)
        return out

    @staticmethod
    def _affine(tile: Any, norm: nn.BatchNorm2d, scale: float) -> tuple[Tensor, Tensor]:
        """Return all that is multiplied with the converter's output, and added to it, per channel."""
        assert norm.running_mean is not None
        assert norm.running_var is not None
        own = torch.full_like(norm.running_mean, scale)
        for factor in (tile.input_range, tile.mapping_scales, tile.out_scaling_alpha):
            if factor is not None:
                own *= factor
        if tile.rpu_config.drift_compensation is not None:
            own *= tile.alpha
        shift = torch.zeros_like(own) if not tile.digital_bias else tile.bias
        factor = torch.rsqrt(norm.running_var + norm.eps)
        if norm.affine:
            factor = factor * norm.weight
        offset = (shift - norm.running_mean) * factor
        return own * factor, offset + norm.bias if norm.affine else offset


def _only_user(node: fx.Node) -> fx.Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _is_relu(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    if node.op == "call_module":
        return type(modules.get(str(node.target))) is nn.ReLU
    return (node.op == "call_function" and node.target in _RELUS) or (
        node.op == "call_method" and node.target == "relu"
    )
