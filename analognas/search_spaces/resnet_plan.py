"""From the genes of the ResNet-like family to its convolutions, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from analognas.errors import SpaceError
from analognas.search_spaces.family import Shape
from analognas.search_spaces.genes import Gene

SMALLEST_SIDE = 4


LARGE_IMAGE = 64


BLOCK_TYPES = ("basic", "bottleneck")


@dataclass(frozen=True)
class ConvPlan:
    """A convolution with padding kernel_size // 2, without bias."""

    in_channels: int
    out_channels: int
    kernel_size: int
    stride: int


@dataclass(frozen=True)
class ResidualPlan:
    """A residual block: parallel branches of the same convolutions, and a shortcut (None: identity)."""

    branches: int
    branch: tuple[ConvPlan, ...]
    shortcut: ConvPlan | None


@dataclass(frozen=True)
class Plan:
    """Everything needed to build the network or to describe it."""

    stem: ConvPlan
    main_blocks: tuple[tuple[ResidualPlan, ...], ...]
    features: int
    classes: int


def branch_plan(block_type: str, in_channels: int, out_channels: int, stride: int) -> tuple[ConvPlan, ...]:
    """Return the convolutions of one branch."""
    if block_type == "basic":
        return (ConvPlan(in_channels, out_channels, 3, stride), ConvPlan(out_channels, out_channels, 3, 1))
    inner = max(1, out_channels // 4)
    return (
        ConvPlan(in_channels, inner, 1, 1),
        ConvPlan(inner, inner, 3, stride),
        ConvPlan(inner, out_channels, 1, 1),
    )


def _branch_params(block_type: str, in_channels: int, out_channels: int) -> int:
    """Return the parameters of one branch, batch-norms included."""
    if block_type == "basic":
        return 9 * out_channels * (in_channels + out_channels) + 4 * out_channels
    inner = max(1, out_channels // 4)
    return inner * (in_channels + 9 * inner + out_channels) + 4 * inner + 2 * out_channels


def _integer_gene(genes: Mapping[str, Gene], name: str) -> int:
    """Return a gene that must be a positive integer."""
    value = genes.get(name)
    if value is None:
        raise SpaceError(
            f"Gene {name!r} is missing: add it, add_hyperparameter({name!r}, ...), or keep M below its block."
        )
    if not isinstance(value, int) or value < 1:
        raise SpaceError(f"Gene {name} = {value!r} builds no network: give an integer of at least 1.")
    return value


def _block_type(genes: Mapping[str, Gene], name: str) -> str:
    value = genes.get(name)
    if value not in BLOCK_TYPES:
        raise SpaceError(f"Gene {name} = {value!r} is no block type: use {' or '.join(BLOCK_TYPES)}.")
    return str(value)


def _kernel_size(genes: Mapping[str, Gene]) -> int:
    kernel_size = _integer_gene(genes, "kernel_size0")
    if kernel_size % 2 == 0:
        raise SpaceError(f"Gene kernel_size0 = {kernel_size} is even: use odd kernel sizes, which keep the size.")
    return kernel_size


def _stem_stride(input_shape: Shape) -> int:
    return 2 if min(input_shape[1:]) >= LARGE_IMAGE else 1


def _size(side: int, stride: int) -> int:
    """Return the output side of an odd kernel with padding kernel_size // 2."""
    return (side - 1) // stride + 1


def plan(genes: Mapping[str, Gene], input_shape: Shape, classes: int) -> Plan:
    """Return the plan of the network; SpaceError if a gene is missing or builds no network."""
    channels = _integer_gene(genes, "out_channel0")
    stem = ConvPlan(input_shape[0], channels, _kernel_size(genes), _stem_stride(input_shape))
    side = _size(min(input_shape[1:]), stem.stride)
    main_blocks = []
    for i in range(1, _integer_gene(genes, "M") + 1):
        block_type = _block_type(genes, f"convblock{i}")
        branches = _integer_gene(genes, f"B{i}")
        stride = 2 if i > 1 and side > SMALLEST_SIDE else 1
        side = _size(side, stride)
        out = channels * _integer_gene(genes, f"widenfact{i}")
        residual_blocks = []
        for _ in range(_integer_gene(genes, f"R{i}")):
            same = stride == 1 and channels == out
            residual_blocks.append(
                ResidualPlan(
                    branches=branches,
                    branch=branch_plan(block_type, channels, out, stride),
                    shortcut=None if same else ConvPlan(channels, out, 1, stride),
                )
            )
            channels, stride = out, 1
        main_blocks.append(tuple(residual_blocks))
    return Plan(stem=stem, main_blocks=tuple(main_blocks), features=channels, classes=classes)
