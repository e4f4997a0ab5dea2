"""The ResNet-like family of the published search space (AnalogNAS, arXiv 2305.10459), without torch.

    stem: convolution (out_channel0 filters of kernel_size0), batch-norm, ReLU
    M main blocks; main block i has R{i} residual blocks; a residual block is
        ReLU(shortcut + sum of B{i} parallel branches), each branch of the type convblock{i}
    head: global average pooling, linear layer with bias

Main block i has widenfact{i} times the channels of the one before. All convolutions are non-grouped and have
no bias, each is followed by a batch-norm. Where the paper is silent:

- A branch of type "basic" is 3x3, 3x3; "bottleneck" is 1x1, 3x3, 1x1 with an inner width of a quarter of the
  output channels, at least 1 (He et al., arXiv 1512.03385). The stride is taken by the first 3x3.
- The first residual block of main blocks 2, 3, ... halves the feature map as long as its smaller side is
  larger than ``SMALLEST_SIDE``, so 32x32 becomes 16, 8, 4, 4, and a 49x10 spectrogram 25x5, 13x3, 13x3.
- The stem has stride 2 for images with a smaller side of at least ``LARGE_IMAGE`` (as He et al. do for
  ImageNet), otherwise 1.
- The shortcut is the identity, or a 1x1 convolution and a batch-norm where channels or size change.

The network itself is in ``resnet_macro_architecture``, built from the same ``Plan``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar

from analognas.errors import SpaceError
from analognas.search_spaces.family import Family, Shape
from analognas.search_spaces.genes import Gene
from analognas.search_spaces.hyperparameter import Hyperparameter
from analognas.search_spaces.resnet_plan import (
    BLOCK_TYPES,
    SMALLEST_SIDE,
    ConvPlan,
    Plan,
    _block_type,
    _branch_params,
    _integer_gene,
    _kernel_size,
    _size,
    _stem_stride,
    plan,
)
from analognas.search_spaces.resnet_runs import resnet_runs
from analognas.search_spaces.structure import AnalogLayer, Run, Structure

if TYPE_CHECKING:
    from torch import nn

    from analognas.search_spaces.structure import FamilyArrays


# (minimum, maximum) or choices by preset. "published": arXiv 2305.10459. "digits": 8x8 images and networks of
# 10^3 to 10^5 parameters, which train in seconds; already there one-day accuracy spans 39 to 98 %.
RANGES: dict[str, dict[str, tuple[int, ...]]] = {
    "published": {
        "out_channel0": (8, 128),
        "kernel_size0": (3, 5, 7),
        "M": (1, 5),
        "R": (1, 16),
        "B": (1, 12),
        "widenfact": (1, 4),
    },
    "digits": {
        "out_channel0": (4, 16),
        "kernel_size0": (3, 5),
        "M": (1, 3),
        "R": (1, 3),
        "B": (1, 2),
        "widenfact": (1, 3),
    },
}

_GENE = re.compile(r"(?:out_channel0|kernel_size0|M|(R|B|convblock|widenfact)([1-9]\d*))")
_WIDTH = re.compile(r"out_channel0|(?:widenfact|B)[1-9]\d*")
_DEPTH = re.compile(r"M|(?:R|convblock)[1-9]\d*")

_MEANINGS = {
    "out_channel0": "filters (output channels) of the first convolution",
    "kernel_size0": "edge length of its kernels, pixels",
    "M": "main blocks, one after the other",
    "R": "residual blocks in main block {block}, one after the other",
    "B": "parallel branches of each residual block there",
    "convblock": "kind of these branches: basic is 3x3, 3x3; bottleneck is 1x1, 3x3, 1x1",
    "widenfact": "channels of main block {block}, times those before it",
}


class ResNet(Family):
    """The ResNet-like family; see the module's text for the network and ``RANGES`` for the genes."""

    name: ClassVar[str] = "resnet"
    mutations: ClassVar[tuple[str, ...]] = ("width", "depth", "other")

    def hyperparameters(self, preset: str) -> tuple[Hyperparameter, ...]:
        """Return the genes of the preset; the genes of main block i exist only where M is at least i."""
        if preset not in RANGES:
            raise SpaceError(f"Preset {preset!r} is unknown: use one of {', '.join(RANGES)}.")
        ranges = RANGES[preset]

        def discrete(gene: str, index: int | None = None) -> Hyperparameter:
            low, high = ranges[gene]
            name = gene if index is None else f"{gene}{index}"
            return Hyperparameter(name, "discrete", low, high, active_if=None if index is None else ("M", index))

        genes = [
            discrete("out_channel0"),
            Hyperparameter("kernel_size0", "discrete", choices=ranges["kernel_size0"]),
            discrete("M"),
        ]
        for i in range(1, ranges["M"][1] + 1):
            genes += [
                discrete("R", i),
                discrete("B", i),
                Hyperparameter(f"convblock{i}", "categorical", choices=BLOCK_TYPES, active_if=("M", i)),
                discrete("widenfact", i),
            ]
        return tuple(genes)

    def meaning(self, name: str) -> str:
        """Return what the gene of this name is, in a few words."""
        kind = name.rstrip("0123456789")
        return _MEANINGS.get(name) or _MEANINGS.get(kind, "").format(block=name.removeprefix(kind))

    def reads(self, name: str) -> bool:
        """Say whether a gene of this name belongs to the family."""
        return _GENE.fullmatch(name) is not None

    def check_genes(self, genes: Mapping[str, Gene]) -> None:
        """Raise SpaceError if a gene would be ignored, one of an absent main block too."""
        super().check_genes(genes)
        _refuse_absent_blocks(genes, _integer_gene(genes, "M"))

    def check_space(self, hyperparameters: Mapping[str, Hyperparameter]) -> None:
        """Raise SpaceError if a gene is ignored, or the lowest or highest values build no network."""
        super().check_space(hyperparameters)
        main_blocks = hyperparameters["M"].values
        for end in (0, -1):
            genes = {name: gene.values[end] for name, gene in hyperparameters.items()}
            plan({**genes, "M": main_blocks[-1]}, (1, 1, 1), 1)
        for name in ("kernel_size0", *(name for name in hyperparameters if name.startswith("convblock"))):
            for value in hyperparameters[name].values:
                genes = {name: value}
                _kernel_size(genes) if name == "kernel_size0" else _block_type(genes, name)
        fewest = _integer_gene({"M": main_blocks[0]}, "M")
        for name, gene in hyperparameters.items():
            condition, minimum = gene.active_if or ("", 0)
            _refuse_absent_blocks([name], max(fewest, minimum) if condition == "M" else fewest)

    def mutation_genes(self, kind: str, genes: Mapping[str, Gene]) -> tuple[str, ...]:
        """Return the genes of a kind.

        "width": first-layer channels, widening factors, branches; "depth": residual blocks, block types, M;
        "other": kernel size and everything else.
        """
        if kind == "width":
            return tuple(name for name in genes if _WIDTH.fullmatch(name))
        if kind == "depth":
            return tuple(name for name in genes if _DEPTH.fullmatch(name))
        if kind == "other":
            return tuple(name for name in genes if not (_WIDTH.fullmatch(name) or _DEPTH.fullmatch(name)))
        raise SpaceError(f"Mutation {kind!r} is unknown: use one of {', '.join(self.mutations)}.")

    def count_params(self, genes: Mapping[str, Gene], input_shape: Shape, classes: int) -> int:
        """Return the number of trainable parameters, in closed form."""
        channels = _integer_gene(genes, "out_channel0")
        total = channels * (input_shape[0] * _kernel_size(genes) ** 2 + 2)
        side = _size(min(input_shape[1:]), _stem_stride(input_shape))
        for i in range(1, _integer_gene(genes, "M") + 1):
            block_type = _block_type(genes, f"convblock{i}")
            branches = _integer_gene(genes, f"B{i}")
            out = channels * _integer_gene(genes, f"widenfact{i}")
            halve = i > 1 and side > SMALLEST_SIDE
            total += branches * _branch_params(block_type, channels, out)
            if halve or channels != out:
                total += out * (channels + 2)
            if halve:
                side = _size(side, 2)
            further = _integer_gene(genes, f"R{i}") - 1
            if further:
                total += further * branches * _branch_params(block_type, out, out)
            channels = out
        return total + classes * (channels + 1)

    def structure(self, genes: Mapping[str, Gene], input_shape: Shape, classes: int) -> Structure:
        """Return the layers and paths of the network."""
        return _structure(plan(genes, input_shape, classes), input_shape)

    def arrays(self) -> FamilyArrays | None:
        """Return what counts and describes many networks at once; not what a derived family changes."""
        from analognas.search_spaces.resnet_arrays import ResNetArrays

        return ResNetArrays() if type(self) is ResNet else None

    def runs(self, genes: Mapping[str, Gene], input_shape: Shape, classes: int) -> list[Run]:
        """Return the layers counted by shape, in closed form."""
        return resnet_runs(genes, input_shape, classes)

    def build(self, genes: Mapping[str, Gene], input_shape: Shape, classes: int) -> nn.Module:
        """Return the network, initialised from torch's global generator."""
        from analognas.search_spaces.resnet_macro_architecture import ResNetMacroArchitecture

        return ResNetMacroArchitecture(plan(genes, input_shape, classes))


def _refuse_absent_blocks(names: Iterable[str], main_blocks: int) -> None:
    """Raise SpaceError if a gene belongs to a main block beyond ``main_blocks``."""
    for name in names:
        match = _GENE.fullmatch(name)
        if match and match[2] and int(match[2]) > main_blocks:
            raise SpaceError(
                f"Hyperparameter {name!r} belongs to main block {match[2]}, but exists where there are only "
                f"{main_blocks}: remove it, or make it active_if=('M', {match[2]})."
            )


def _structure(network: Plan, input_shape: Shape) -> Structure:
    layers: list[AnalogLayer] = []

    def add(name: str, conv: ConvPlan, size: tuple[int, int], depth: int) -> tuple[int, int]:
        height, width = (_size(side, conv.stride) for side in size)
        layers.append(
            AnalogLayer(
                name=name,
                kind="conv",
                in_channels=conv.in_channels,
                out_channels=conv.out_channels,
                kernel_size=conv.kernel_size,
                stride=conv.stride,
                out_height=height,
                out_width=width,
                bias=False,
                depth=depth,
            )
        )
        return height, width

    size = add("stem.conv", network.stem, (input_shape[1], input_shape[2]), 1)
    longest = shortest = 1
    skips = 0
    for i, main_block in enumerate(network.main_blocks):
        for j, block in enumerate(main_block):
            prefix = f"main_blocks.{i}.{j}"
            if block.shortcut is None:
                skips += 1
            else:
                add(f"{prefix}.shortcut.conv", block.shortcut, size, longest + 1)
                shortest += 1
            for b in range(block.branches):
                out = size
                for c, conv in enumerate(block.branch):
                    out = add(f"{prefix}.branches.{b}.conv{c + 1}", conv, out, longest + c + 1)
            size = out
            longest += len(block.branch)
    digital_params = 2 * sum(layer.out_channels for layer in layers)  # each convolution has a batch-norm
    layers.append(
        AnalogLayer(
            name="head.linear",
            kind="linear",
            in_channels=network.features,
            out_channels=network.classes,
            kernel_size=1,
            stride=1,
            out_height=1,
            out_width=1,
            bias=True,
            depth=longest + 1,
        )
    )
    return Structure(
        layers=tuple(layers),
        digital_params=digital_params,
        longest_path=longest + 1,
        shortest_path=shortest + 1,
        skips=skips,
        widths=tuple(main_block[-1].branch[-1].out_channels for main_block in network.main_blocks),
    )
