"""A network of anybody's, observed while it classifies: its structure, and what its modules alone do not tell.

Which layer follows which is told by the tensors themselves: each carries how many analog layers it came through, over
the longest and over the shortest way, so a forward with any control flow can be read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from analognas.hardware.conversion import ANALOG, Finding
from analognas.search_spaces.structure import AnalogLayer, Structure

_WAYS = "_analognas_ways"


@dataclass(frozen=True)
class Observed:
    """What was seen of one forward pass.

    Attributes:
        structure: the analog layers that were used, in the order of their first use. One that is used several times
            has the outputs of all uses, as ``out_height`` x 1. A kernel that is not square is told as one of 1 x 1
            over all its inputs: matrix and cost are the same.
        outputs: what the network gave.
        findings: what its use of layers means on tiles.
    """

    structure: Structure
    outputs: Any
    findings: list[Finding]


def observe(model: nn.Module, images: Tensor) -> Observed:
    """Return what a digital network does with images (N, C, H, W), in evaluation mode; its modes are kept.

    Raises:
        Exception: whatever the network raises.
    """
    modes = {name: module.training for name, module in model.named_modules()}
    model.eval()
    seen: dict[str, _Seen] = {}
    handles = [
        module.register_forward_hook(_hook(name, seen, len(images)), with_kwargs=True)
        for name, module in model.named_modules()
    ]
    given = images.clone()
    setattr(given, _WAYS, (0, 0))
    try:
        with torch.no_grad(), _Ways():
            outputs = model(given)
    finally:
        for handle in handles:
            handle.remove()
        for name, module in model.named_modules():
            module.training = modes.get(name, False)
    ways = _ways(outputs) or (len(seen), len(seen))
    layers = tuple(_layer(name, use) for name, use in seen.items())
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    structure = Structure(
        layers=layers,
        digital_params=max(0, trained - sum(layer.params for layer in layers)),
        longest_path=ways[0],
        shortest_path=ways[1],
        skips=0,
        widths=(),
    )
    return Observed(structure, outputs, list(_findings(model, seen)))


@dataclass
class _Seen:
    """The uses of one layer."""

    module: nn.Module
    depth: int
    sizes: list[tuple[int, int]]


def _hook(name: str, seen: dict[str, _Seen], images: int) -> Any:
    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
        before = _ways((args, kwargs))
        if type(module) in ANALOG:
            longest, shortest = before or (0, 0)
            use = seen.setdefault(name, _Seen(module, longest + 1, []))
            use.sizes.append(_size(module, output, images))
            _mark(output, (longest + 1, shortest + 1))
        elif before is not None and _ways(output) is None:  # computed where no function of torch is seen (an LSTM)
            _mark(output, before)

    return hook


def _size(module: nn.Module, output: Tensor, images: int) -> tuple[int, int]:
    """Return for how many vectors of one picture a layer was used, as height and width."""
    if isinstance(module, nn.Conv2d):
        return output.shape[-2], output.shape[-1]
    return output.numel() // output.shape[-1] // images or 1, 1


def _layer(name: str, seen: _Seen) -> AnalogLayer:
    module = seen.module
    height, width = seen.sizes[0] if len(seen.sizes) == 1 else (sum(h * w for h, w in seen.sizes), 1)
    if isinstance(module, nn.Conv2d):
        rows, columns = module.kernel_size
        square = rows == columns
        inputs = module.in_channels if square else module.in_channels * rows * columns
        sizes = (inputs, module.out_channels, rows if square else 1, module.stride[0])
    else:
        assert isinstance(module, nn.Linear)
        sizes = (module.in_features, module.out_features, 1, 1)
    return AnalogLayer(
        name=name,
        kind="conv" if isinstance(module, nn.Conv2d) else "linear",
        in_channels=sizes[0],
        out_channels=sizes[1],
        kernel_size=sizes[2],
        stride=sizes[3],
        out_height=height,
        out_width=width,
        bias=module.bias is not None,
        depth=seen.depth,
    )


def _findings(model: nn.Module, seen: dict[str, _Seen]) -> Iterator[Finding]:
    for name, module in model.named_modules():
        if type(module) not in ANALOG:
            continue
        if name not in seen:
            yield Finding("unused", name,
                f"Layer {name!r} is never called: its tiles would be programmed for nothing, or its weights are used "
                "directly, which analog layers have not; call it, or remove it.", ends=False)  # fmt: skip
        elif (uses := len(seen[name].sizes)) > 1:
            yield Finding("reused", name,
                f"Layer {name!r} is called {uses} times for one picture: it is on tiles once, and all calls share one "
                "input range, which the largest inputs decide.", ends=False)  # fmt: skip


class _Ways(TorchFunctionMode):
    """Hands on from tensor to tensor how many analog layers it came through."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = _ways((args, kwargs))
        result = func(*args, **(kwargs or {}))
        if before is not None:
            _mark(result, before)
        return result


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))


def _ways(value: Any) -> tuple[int, int] | None:
    """Return the longest and the shortest way to any of these tensors; None if none comes from the input."""
    known = [ways for tensor in _tensors(value) if (ways := getattr(tensor, _WAYS, None)) is not None]
    return (max(ways[0] for ways in known), min(ways[1] for ways in known)) if known else None


def _mark(value: Any, ways: tuple[int, int]) -> None:
    for tensor in _tensors(value):
        setattr(tensor, _WAYS, ways)
