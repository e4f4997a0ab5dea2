"""The network of the NAS-Bench-201 family as torch modules. ``nasbench201`` says what it looks like and why."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from analognas.search_spaces.family import Shape
from analognas.search_spaces.nasbench201.cell import CONV1X1, CONV3X3, EDGES, NONE, POOL, Cell


def _convolution(before: int, after: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Return ReLU, convolution, batch-norm."""
    conv = nn.Conv2d(before, after, kernel, stride=stride, padding=kernel // 2, bias=False)
    return nn.Sequential(OrderedDict(relu=nn.ReLU(), conv=conv, norm=nn.BatchNorm2d(after)))


def _operation(number: int, channels: int) -> nn.Module:
    if number == CONV3X3:
        return _convolution(channels, channels, 3)
    if number == CONV1X1:
        return _convolution(channels, channels, 1)
    return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False) if number == POOL else nn.Identity()


class CellModule(nn.Module):
    """One cell; x and its output are (N, C, H, W)."""

    def __init__(self, cell: Cell, channels: int) -> None:
        super().__init__()
        self.edges = [
            (start, end, f"edge{start}{end}")
            for (start, end), number in zip(EDGES, cell, strict=True)
            if number != NONE
        ]
        used = {f"edge{start}{end}": number for (start, end), number in zip(EDGES, cell, strict=True) if number != NONE}
        self.operations = nn.ModuleDict({name: _operation(number, channels) for name, number in used.items()})

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum at the last node, zeros if nothing reaches it."""
        nodes: dict[int, Tensor] = {1: x}
        for start, end, name in self.edges:
            value = self.operations[name](nodes[start])
            nodes[end] = nodes[end] + value if end in nodes else value
        return nodes[4] if 4 in nodes else torch.zeros_like(x)


class Reduction(nn.Module):
    """A residual block that halves the feature map: (N, C, H, W) to (N, 2 C, H / 2, W / 2), sides rounded up."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = _convolution(before, after, 3, stride=2)
        self.second = _convolution(after, after, 3)
        pool = nn.AvgPool2d(2, stride=2, ceil_mode=True)
        self.shortcut = nn.Sequential(OrderedDict(pool=pool, conv=nn.Conv2d(before, after, 1, bias=False)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        out: Tensor = self.second(self.first(x)) + self.shortcut(x)
        return out


class Stage(nn.Module):
    """A reduction (not in the first stage) and cells."""

    def __init__(self, cell: Cell, channels: int, cells: int, first: bool) -> None:
        super().__init__()
        self.reduction: nn.Module = nn.Identity() if first else Reduction(channels // 2, channels)
        self.cells = nn.Sequential(*(CellModule(cell, channels) for _ in range(cells)))

    def forward(self, x: Tensor) -> Tensor:
        """Return the stage's output."""
        out: Tensor = self.cells(self.reduction(x))
        return out


class NASBench201Network(nn.Module):
    """The whole network: input (N, C, H, W), output logits (N, classes); ``cell`` has no dead edges."""

    def __init__(self, cell: Cell, channels: int, cells: int, input_shape: Shape, classes: int) -> None:
        super().__init__()
        conv = nn.Conv2d(input_shape[0], channels, 3, padding=1, bias=False)
        self.stem = nn.Sequential(OrderedDict(conv=conv, norm=nn.BatchNorm2d(channels)))
        widths = [channels * 2**stage for stage in range(3)]
        self.stages = nn.Sequential(*(Stage(cell, width, cells, first=not i) for i, width in enumerate(widths)))
        self.head = nn.Sequential(
            OrderedDict(
                norm=nn.BatchNorm2d(widths[-1]),
                relu=nn.ReLU(),
                pool=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
                linear=nn.Linear(widths[-1], classes),
            )
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (N, classes)."""
        logits: Tensor = self.head(self.stages(self.stem(x)))
        return logits
