"""What happens to a network on its way to analog tiles: said by name, before anything is converted or trained.

aihwkit converts in silence: a layer that is registered twice becomes analog in one place, what it has no analog layer
for stays digital, hooks are lost, half precision fails when it is programmed. Each is found here, with its remedy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from analognas.errors import HardwareError

#: What becomes analog: exactly these classes.
ANALOG = (nn.Conv2d, nn.Linear)
#: Layers with weights that stay digital: they scale and shift, and multiply no matrices.
_SCALING = (_BatchNorm, nn.LayerNorm, nn.GroupNorm, nn.PReLU)
_SHOWN = 3
#: Weights of a tile of which the standard deviation says nothing of outliers: a depthwise kernel of 7x7 has 49.
FEW = 64


@dataclass(frozen=True)
class Finding:
    """What happens to a layer, or to the whole network.

    Attributes:
        kind: one word, the same for all findings of a sort.
        layer: name of the layer; empty for the network.
        sentence: what it is and the remedy.
        ends: whether such a network cannot be put on analog tiles, or would compute something else there.
    """

    kind: str
    layer: str
    sentence: str
    ends: bool

    def __str__(self) -> str:
        return self.sentence


def findings(model: nn.Module) -> Iterator[Finding]:
    """Yield what becomes of the layers of a digital network, as far as its modules tell; nothing is computed."""
    seen: dict[int, str] = {}
    owners: dict[int, str] = {}
    for name, layer in model.named_modules(remove_duplicate=False):
        analog = type(layer) in ANALOG
        if analog and id(layer) in seen:
            yield Finding("shared", name,
                f"Layer {name!r} is {seen[id(layer)]!r} again: aihwkit would leave one of them digital, and analog "
                "layers cannot be shared; give each place a layer of its own, or register one and call it twice.",
                ends=True)  # fmt: skip
        elif id(layer) not in seen:
            yield from _tied(name, layer, owners)
            yield from _of_layer(name, layer) if analog else _matrices(name, layer)
            yield from _fast_path(name, layer)
        seen.setdefault(id(layer), name)
    if not any(type(layer) in ANALOG for layer in model.modules()):
        nothing = "The network has no Conv2d or Linear layer: there is nothing to put on analog tiles."
        yield Finding("nothing", "", nothing, ends=True)


def check_convertible(model: nn.Module, *, others_digital: bool = False) -> None:
    """Refuse networks that would lose layers, or their meaning, on the way to analog tiles.

    Args:
        model: digital network.
        others_digital: whether layers that multiply matrices, but have no analog kind, may stay digital.

    Raises:
        HardwareError: naming the layer and its type.
    """
    for finding in findings(model):
        if finding.ends or (finding.kind == "digital" and not others_digital):
            raise HardwareError(finding.sentence)


def summed_up(noticed: list[Finding], kinds: Mapping[str, str]) -> list[str]:
    """Return the sentences of what was found, the first of each kind; layers that stay digital are named by class.

    Args:
        found: what was found.
        kinds: the class of each layer that stays digital, by its name.
    """
    sentences = first_of_each([finding for finding in noticed if finding.kind != "digital"])
    groups: dict[str, list[str]] = {}
    for finding in noticed:
        if finding.kind == "digital":
            groups.setdefault(kinds[finding.layer], []).append(finding.layer)
    for kind, names in groups.items():
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        listed = ", ".join(repr(name) if name else "the network itself" for name in names[:_SHOWN])
        verb = "stays" if len(names) == 1 else "stay"
        sentences.append(
            f"{listed[0].upper()}{listed[1:]}{more} ({kind}) {verb} digital and exact: only Conv2d and Linear, exactly "
            "these classes, become analog; write it with these if its weights are to be on tiles."
        )
    return sentences


def first_of_each(noticed: list[Finding]) -> list[str]:
    """Return the first sentence of each kind, with how many more of the kind there are."""
    kinds: dict[str, list[str]] = {}
    for finding in noticed:
        kinds.setdefault(finding.kind, []).append(finding.sentence)
    return [
        sentences[0] + (f" ({len(sentences) - 1} more like that.)" if len(sentences) > 1 else "")
        for sentences in kinds.values()
    ]


def _of_layer(name: str, layer: nn.Module) -> Iterator[Finding]:
    """Yield what keeps a Conv2d or Linear layer from being analog."""
    if isinstance(layer, nn.Conv2d):
        if layer.groups != 1:
            is_few = layer.weight.numel() < FEW * layer.groups
            few = f" With fewer than {FEW} weights each, they are not clipped at their deviation in training." * is_few
            yield Finding("grouped", name,
                f"Layer {name!r} is a grouped convolution: aihwkit refuses it, here each of its {layer.groups} groups "
                f"is a matrix on tiles of its own; many groups take many tiles, and long to be put on them.{few}",
                ends=False)  # fmt: skip
        if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
            yield Finding("padding", name,
                f"Layer {name!r} pads with {layer.padding_mode!r}, {layer.padding!r}, with which aihwkit fails at the "
                f"first forward pass: analog convolutions need zeros and a width in pixels{_width(layer)}.",
                ends=True)  # fmt: skip
    if layer._forward_hooks or layer._forward_pre_hooks:
        yield Finding("hooks", name,
            f"Layer {name!r} has hooks (weight_norm, spectral_norm or your own), which its analog layer would not "
            "have: remove them first (torch.nn.utils.remove_weight_norm).", ends=True)  # fmt: skip
    kind = next((weight.dtype for weight in layer.parameters() if weight.dtype != torch.float32), None)
    if kind is not None:
        word = str(kind).removeprefix("torch.")
        yield Finding("precision", name,
            f"Layer {name!r} has weights of {word}: aihwkit's tiles are float32, and fail when a network of another "
            "precision is programmed or run; return the network with .float().", ends=True)  # fmt: skip


def _width(layer: nn.Conv2d) -> str:
    """Return the padding in pixels that a convolution with ``padding="same"`` or ``"valid"`` means, as a remedy."""
    if layer.padding_mode != "zeros" or not isinstance(layer.padding, str):
        return ""
    if layer.padding == "valid":
        return "; write padding=0"
    reach = [step * (size - 1) for step, size in zip(layer.dilation, layer.kernel_size, strict=True)]
    if any(length % 2 for length in reach):
        return "; pad by nn.ZeroPad2d before it, with padding=0"
    half = [length // 2 for length in reach]
    return f"; write padding={half[0] if half[0] == half[1] else tuple(half)}"


def _matrices(name: str, layer: nn.Module) -> Iterator[Finding]:
    """Yield a layer that multiplies with a matrix of its own and would stay digital."""
    kind = type(layer).__name__
    if isinstance(layer, _SCALING):
        return
    matrices = [key for key, weight in layer.named_parameters(recurse=False) if _may_multiply(weight)]
    if not matrices and isinstance(layer, ANALOG):  # a parametrized one: its weight is another module's
        matrices = ["weight"]
    if matrices:
        yield Finding("digital", name,
            f"Layer {name or 'of the network'!r} ({kind}) multiplies with {matrices[0]!r} and would stay digital: only "
            "Conv2d and Linear, exactly these classes, become analog.", ends=False)  # fmt: skip


def _may_multiply(weight: Tensor) -> bool:
    """Return whether a parameter may be a matrix: a token (1, 1, D) or a scale (C, 1, 1) is a vector."""
    return weight.dim() == 2 or (weight.dim() > 2 and sum(size > 1 for size in weight.shape) > 1)


def _fast_path(name: str, layer: nn.Module) -> Iterator[Finding]:
    """Yield a transformer layer of torch's that reads the weights of its linear layers in evaluation."""
    if isinstance(layer, nn.TransformerEncoderLayer) and torch.backends.mha.get_fastpath_enabled():
        yield Finding("fast path", name,
            f"Layer {name!r} (TransformerEncoderLayer) takes torch's fast path in evaluation, which reads weights that "
            "analog layers do not have: call torch.backends.mha.set_fastpath_enabled(False) in your module.",
            ends=True)  # fmt: skip


def _tied(name: str, layer: nn.Module, owners: dict[int, str]) -> Iterator[Finding]:
    """Yield what shares its weights with a layer before it."""
    for key, weight in layer.named_parameters(recurse=False):
        owner = owners.setdefault(id(weight), f"{name}.{key}".lstrip("."))
        if owner != f"{name}.{key}".lstrip(".") and _is_matrix(weight):
            yield Finding("tied", name,
                f"{name}.{key} is {owner} again: on tiles each would get weights of its own, which training drives "
                "apart; give each layer its own weights.", ends=True)  # fmt: skip


def _is_matrix(weight: Tensor) -> bool:
    # A lazy layer has no shape before its first forward pass.
    return not nn.parameter.is_lazy(weight) and weight.dim() > 1
