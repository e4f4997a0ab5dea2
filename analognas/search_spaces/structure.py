"""What a network consists of, as numbers: its analog layers, their shapes and the paths through it.

Nothing here needs torch: features, cost models and reports read a structure instead of building a network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.int64]
    #: The values of n genes by their names, (n,) each.
    Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class AnalogLayer:
    """A layer whose weights lie on analog tiles.

    ``name`` is the module's name in the built network, ``kind`` is "conv" or "linear" (kernel size and
    output size 1), ``out_height`` and ``out_width`` are in pixels, ``depth`` counts the analog layers from
    the input on the longest path to this layer, itself included (the stem has 1).
    """

    name: str
    kind: str
    in_channels: int
    out_channels: int
    kernel_size: int
    stride: int
    out_height: int
    out_width: int
    bias: bool
    depth: int

    @property
    def rows(self) -> int:
        """Return the inputs of the matrix on the tile: in_channels * kernel_size**2."""
        return self.in_channels * self.kernel_size**2

    @property
    def columns(self) -> int:
        """Return the outputs of the matrix on the tile: out_channels."""
        return self.out_channels

    @property
    def weights(self) -> int:
        """Return the number of weights on tiles (a bias is digital)."""
        return self.rows * self.columns

    @property
    def params(self) -> int:
        """Return the number of trainable parameters, the bias included."""
        return self.weights + (self.out_channels if self.bias else 0)

    @property
    def outputs(self) -> int:
        """Return the number of values that the layer gives for one input."""
        return self.out_channels * self.out_height * self.out_width

    @property
    def macs(self) -> int:
        """Return the multiply-accumulate operations for one input; padding counts, the bias does not."""
        return self.weights * self.out_height * self.out_width


@dataclass(frozen=True)
class Structure:
    """A network as a list of its analog layers in the order of execution.

    ``digital_params`` are the trainable parameters of batch-norms. ``longest_path`` and ``shortest_path``
    count the analog layers from input to output over the longest and the shortest route. ``skips`` is the
    number of identity shortcuts (a shortcut with a convolution is an analog layer of its own). ``widths``
    are the output channels of each main block.
    """

    layers: tuple[AnalogLayer, ...]
    digital_params: int
    longest_path: int
    shortest_path: int
    skips: int
    widths: tuple[int, ...]

    @cached_property
    def weights(self) -> int:
        """Return the number of weights on tiles."""
        return sum(layer.weights for layer in self.layers)

    @cached_property
    def params(self) -> int:
        """Return the number of trainable parameters, digital ones included."""
        return sum(layer.params for layer in self.layers) + self.digital_params

    @cached_property
    def macs(self) -> int:
        """Return the multiply-accumulate operations of all analog layers for one input."""
        return sum(layer.macs for layer in self.layers)

    @cached_property
    def outputs(self) -> int:
        """Return the number of values that all analog layers give for one input."""
        return sum(layer.outputs for layer in self.layers)


@dataclass(frozen=True)
class LayerArrays:
    """What n networks consist of: what ``Structure`` says of one, with equal layers counted instead of listed.

    There are l kinds of layers, such as the second convolution of the third block's further residual blocks, and each
    network may have it or not. Kinds whose layers are at the same depths form a level; they stand next to each other.

    Args:
        rows, columns: of the matrix on the tiles, (l, n); anything of at least 1 where a network has no such layer.
        pixels: of the output, (l, n).
        parallel: layers side by side at one depth, (l, n); 0 where a network has none.
        repeats: depths at which they are, (l, n); 0 where a network has none; the same within a level, but for the 0.
        convolution: whether it is a convolution, (l,).
        levels: the first kind of each level, ascending; a network that has its level has this kind.
        params, longest_path, shortest_path, skips: as in ``Structure``, (n,).
        widths: as in ``Structure``, (blocks, n); 0 where a network has no such block.
    """

    rows: Numbers
    columns: Numbers
    pixels: Numbers
    parallel: Numbers
    repeats: Numbers
    convolution: NDArray[np.bool_]
    levels: tuple[int, ...]
    params: Numbers
    longest_path: Numbers
    shortest_path: Numbers
    skips: Numbers
    widths: Numbers

    @cached_property
    def counts(self) -> Numbers:
        """Return how many layers of each kind there are, (l, n)."""
        return self.parallel * self.repeats


class FamilyArrays(Protocol):
    """A family's numbers of n networks at once; ``columns`` are those of ``Coding.columns``."""

    def count_params(self, columns: Columns, input_shape: tuple[int, int, int], classes: int) -> Numbers:
        """Return what ``Family.count_params`` does, (n,)."""

    def layers(self, columns: Columns, input_shape: tuple[int, int, int], classes: int) -> LayerArrays:
        """Return what ``Family.structure`` does, as arrays."""


class Run(NamedTuple):
    """Analog layers of one shape: what a network costs follows from these, so that no layer has to be made for it.

    ``rows`` and ``columns`` are those of the layer's matrix, ``vectors`` how many inputs go through it for one picture
    (the pixels of its output), ``copies`` how many such layers there are. Layers of the same depth work side by side;
    ``levels`` counts the depths at which this one is that of the most vectors, whom the others wait for.
    """

    rows: int
    columns: int
    vectors: int
    copies: int
    levels: int


def runs_of(structure: Structure) -> tuple[Run, ...]:
    """Return a run for each layer of a structure."""
    slowest: dict[int, int] = {}  # by depth, the place of the layer with the most vectors
    vectors = [layer.out_height * layer.out_width for layer in structure.layers]
    for place, layer in enumerate(structure.layers):
        if layer.depth not in slowest or vectors[place] > vectors[slowest[layer.depth]]:
            slowest[layer.depth] = place
    return tuple(
        Run(layer.rows, layer.columns, vectors[place], 1, int(slowest[layer.depth] == place))
        for place, layer in enumerate(structure.layers)
    )
