"""What an evaluator sees of an architecture: named numbers, in an order that is stored with it.

Raw genes say what was chosen, structural features what follows from it for an analog chip: narrow layers
average less noise away and drift worst, and every noisy layer without a way around it adds to the error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from analognas.errors import MismatchError, SpaceError
from analognas.hardware.tile_shape import TileShape, TileSize
from analognas.search_spaces.coding import coding_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analognas.search_spaces.architecture import Architecture, SpaceId
    from analognas.search_spaces.genes import Gene
    from analognas.search_spaces.structure import LayerArrays, Structure

#: How the names of descriptors begin that only trees look at, and of those that count paths by kind.
RARE, PROFILE = "sequence_", "profile_"

#: Structural features in their order; ``structural_features`` says what they are.
STRUCTURAL = (
    "log_params",
    "log_macs",
    "longest_path",
    "shortest_path",
    "skips",
    "layers",
    "log_width_first",
    "log_width_last",
    "log_width_min",
    "log_width_max",
    "log_width_mean",
    "log_fan_in_min",
    "log_fan_in_mean",
    "log_width_noise",
    "log_fan_in_noise",
    "log_tiles",
    "utilisation",
)

#: What these are in words.
_LABELS = {
    "log_params": "parameters (log)",
    "log_macs": "multiplications (log)",
    "longest_path": "analog layers on the longest path",
    "shortest_path": "analog layers on the shortest path",
    "skips": "skip connections",
    "layers": "analog layers",
    "log_width_first": "first width (log)",
    "log_width_last": "last width (log)",
    "log_width_min": "least width (log)",
    "log_width_max": "largest width (log)",
    "log_width_mean": "mean width (log)",
    "log_fan_in_min": "least fan-in (log)",
    "log_fan_in_mean": "mean fan-in (log)",
    "log_width_noise": "noise of narrow layers (log)",
    "log_fan_in_noise": "noise of small fan-ins (log)",
    "log_tiles": "tiles (log)",
    "utilisation": "share of the tiles in use",
}

# Feature vectors kept per schema: a search of 200 x 200 fits, a long-lived process stays small.
_CACHE_SIZE = 100_000


def feature_label(name: str) -> str:
    """Return a feature in words; of one that is a gene, or counts paths, its name."""
    return _LABELS.get(name, name)


def structural_features(structure: Structure, tile_size: TileSize) -> tuple[float, ...]:
    """Return the values of ``STRUCTURAL``, all from the network's description; logarithms are natural.

    ``longest_path`` and ``shortest_path`` count the noisy (analog) layers from input to output, ``layers`` all
    of them. Widths are output channels of all convolutions for ``min`` (the inner ones of a bottleneck too)
    and of the main blocks otherwise. The fan-in of a layer is the number of its rows (in_channels * kernel
    size squared), averaged over layers in the logarithm. ``width_noise`` is the sum, over the depths of the
    network, of one over the columns at that depth (parallel branches together): if every column adds an
    independent error of the same relative size, it is proportional to the variance that reaches the output.
    ``fan_in_noise`` is the same with the fewest rows at that depth, for independent errors of the weights.
    ``tiles`` and ``utilisation`` are those of tiles of ``tile_size``.
    """
    from analognas.hardware.cost import tiles, utilisation

    tile_count = tiles(structure, tile_size)
    layers = structure.layers
    convolutions = [layer.out_channels for layer in layers if layer.kind == "conv"]
    widths = structure.widths or tuple(convolutions) or (layers[-1].in_channels,)
    columns: dict[int, int] = {}
    rows: dict[int, int] = {}
    fans = [layer.rows for layer in layers]
    for layer, fan in zip(layers, fans, strict=True):
        columns[layer.depth] = columns.get(layer.depth, 0) + layer.columns
        rows[layer.depth] = min(rows.get(layer.depth, fan), fan)
    fan_in = np.log(fans)
    return (
        float(np.log(structure.params)),
        float(np.log(structure.macs)),
        float(structure.longest_path),
        float(structure.shortest_path),
        float(structure.skips),
        float(len(layers)),
        float(np.log(widths[0])),
        float(np.log(widths[-1])),
        float(np.log(min(convolutions, default=widths[0]))),
        float(np.log(max(widths))),
        float(np.log(np.mean(widths))),
        float(fan_in.min()),
        float(fan_in.mean()),
        float(np.log(sum(1 / count for count in columns.values()))),
        float(np.log(sum(1 / count for count in rows.values()))),
        float(np.log(tile_count)),
        utilisation(structure, tile_size),
    )


def structural_features_of(layers: LayerArrays, tile_size: TileSize) -> NDArray[np.float64]:
    """Return what ``structural_features`` does of n networks, shape (n, len(STRUCTURAL))."""
    shape = TileShape.of(tile_size)
    counts, there = layers.counts, layers.counts > 0
    weights = layers.rows * layers.columns
    down = -(-layers.rows // shape.rows) if shape.rows else np.ones_like(layers.rows)
    across = -(-layers.columns // shape.columns) if shape.columns else np.ones_like(layers.columns)
    tiles = counts * down * across
    area = tiles * (shape.rows or layers.rows) * (shape.columns or layers.columns)
    number = counts.sum(axis=0)
    fan_in = np.log(layers.rows)
    # Of each level: its depths, the columns of all layers side by side, the fewest rows of one.
    depths = layers.repeats[list(layers.levels)]
    columns = np.add.reduceat(layers.parallel * layers.columns, layers.levels, axis=0)
    rows = np.minimum.reduceat(np.where(there, layers.rows, np.iinfo(np.int64).max), layers.levels, axis=0)
    widths, blocks = layers.widths, (layers.widths > 0).sum(axis=0)
    last = widths[blocks - 1, np.arange(len(number))]
    narrowest = np.where(there & layers.convolution[:, None], layers.columns, np.iinfo(np.int64).max).min(axis=0)
    features: list[NDArray[Any]] = [
        np.log(layers.params),
        np.log((counts * weights * layers.pixels).sum(axis=0)),
        layers.longest_path,
        layers.shortest_path,
        layers.skips,
        number,
        np.log(widths[0]),
        np.log(last),
        np.log(narrowest),
        np.log(widths.max(axis=0)),
        np.log(widths.sum(axis=0) / blocks),
        np.where(there, fan_in, np.inf).min(axis=0),
        (counts * fan_in).sum(axis=0) / number,
        np.log((depths / np.maximum(columns, 1)).sum(axis=0)),
        np.log((depths / rows).sum(axis=0)),
        np.log(tiles.sum(axis=0)),
        (counts * weights).sum(axis=0) / area.sum(axis=0),
    ]
    return np.array(features, dtype=np.float64).T


@dataclass(frozen=True)
class GeneColumns:
    """The columns of one gene: one if ``choices`` is None (an integer), otherwise one per choice."""

    name: str
    choices: tuple[Gene, ...] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns: ``gene``, or ``gene=choice``."""
        if self.choices is None:
            return (self.name,)
        return tuple(f"{self.name}={choice}" for choice in self.choices)

    def values(self, gene: Gene | None) -> tuple[float, ...]:
        """Return the values of the columns; a gene that is not active, or a new choice, is 0 in all."""
        if self.choices is None:
            return (0.0 if gene is None else float(gene),)
        return tuple(float(gene == choice) for choice in self.choices)

    def values_of(self, genes: NDArray[Any]) -> list[NDArray[Any]]:
        """Return what ``values`` does of genes (n,), see ``Coding.columns``; (n,) each."""
        return [genes] if self.choices is None else [genes == choice for choice in self.choices]


@dataclass(frozen=True)
class FeatureSchema:
    """Which features, in which order, for the architectures of which space.

    Learn one from architectures with ``FeatureSchema.learn``. ``tile_size`` is that of the hardware's
    tiles. ``descriptors`` are the family's own features, which stand in place of the structural ones. ``origin``
    is the whole space, with its input shape and classes; None where it is not known, because a schema is stored
    without it: then the name has to do.
    """

    space: str
    tile_size: TileShape
    genes: tuple[GeneColumns, ...]
    descriptors: tuple[str, ...] = ()
    origin: SpaceId | None = field(default=None, compare=False)
    _cache: dict[str, NDArray[np.float32]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def learn(cls, architectures: Sequence[Architecture], tile_size: TileSize) -> FeatureSchema:
        """Return the schema of these architectures: a column for every gene that one of them has.

        Types and choices are those of the family (a gene may be an integer and yet have no order); a gene that
        the family does not list is taken as what its values are.

        Raises:
            MismatchError: if the architectures are of several spaces.
        """
        spaces = {architecture.space for architecture in architectures}
        if len(spaces) != 1:
            named = ", ".join(sorted(map(_named, spaces)))
            raise MismatchError(f"The architectures are of several spaces ({named}): fit one evaluator for each.")
        (space,) = spaces
        listed = _family_choices(space.family)
        descriptors, described = _described(architectures[0])
        seen: dict[str, set[Gene]] = {}
        for architecture in architectures:
            for name, gene in architecture.genes.items():
                if name not in described:
                    seen.setdefault(name, set()).add(gene)
        order = [name for name in listed if name in seen] + sorted(set(seen) - set(listed))
        columns = tuple(_columns(name, listed.get(name), seen[name]) for name in order)
        return cls(space.name, TileShape.of(tile_size), columns, descriptors, space)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of all features in order: genes, then ``STRUCTURAL`` or the family's descriptors."""
        return (*chain.from_iterable(columns.names for columns in self.genes), *(self.descriptors or STRUCTURAL))

    @property
    def structural(self) -> tuple[int, ...]:
        """Return the indices of the features that are structural, rare indicators left out."""
        first = len(self.names) - len(self.descriptors or STRUCTURAL)
        return tuple(i for i, name in enumerate(self.names) if i >= first and not name.startswith(RARE))

    def indices(self, prefix: str) -> tuple[int, ...]:
        """Return the indices of the descriptors whose names begin so."""
        return tuple(i for i, name in enumerate(self.names) if name in self.descriptors and name.startswith(prefix))

    def transform(self, architectures: Sequence[Architecture]) -> NDArray[np.float32]:
        """Return the features, shape (n, len(names)).

        Raises:
            MismatchError: if an architecture is of another space.
        """
        if not architectures:
            return np.zeros((0, len(self.names)), dtype=np.float32)
        # Many have the same object: an id is faster to tell apart than what it holds.
        for architecture in {id(architecture.space): architecture for architecture in architectures}.values():
            self._check(architecture)
        coding = coding_of(architectures)
        if coding is not None and coding.arrays is not None and not self.descriptors:
            space = architectures[0].space
            columns = coding.columns(coding.encode(architecture.genes for architecture in architectures))
            layers = coding.arrays.layers(columns, space.input_shape, space.classes)
            none = np.zeros(len(architectures))
            genes = [part for own in self.genes for part in own.values_of(columns.get(own.name, none))]
            return np.column_stack([*genes, structural_features_of(layers, self.tile_size)]).astype(np.float32)
        rows = []
        for architecture in architectures:
            row = self._cache.get(architecture.id)
            if row is None:
                row = self._features(architecture)
                if len(self._cache) >= _CACHE_SIZE:
                    self._cache.clear()
                self._cache[architecture.id] = row
            rows.append(row)
        return np.stack(rows)

    def _check(self, architecture: Architecture) -> None:
        """Refuse another space, also one of the same name: an id does not tell what the images are."""
        space = architecture.space
        if space.name != self.space or (self.origin is not None and space != self.origin):
            own = repr(self.space) if self.origin is None else _named(self.origin)
            raise MismatchError(
                f"Architecture {architecture.id} is of the space {_named(space)}, the evaluator is for {own}: use an "
                "evaluator that was fitted in that space."
            )

    def _features(self, architecture: Architecture) -> NDArray[np.float32]:
        genes = chain.from_iterable(columns.values(architecture.genes.get(columns.name)) for columns in self.genes)
        if not self.descriptors:
            return np.array([*genes, *structural_features(architecture.structure, self.tile_size)], dtype=np.float32)
        descriptors = architecture.descriptors
        if tuple(descriptors) != self.descriptors:
            raise MismatchError(
                f"The family {architecture.space.family!r} now has other descriptors than the evaluator was fitted "
                "with: fit it again."
            )
        return np.array([*genes, *descriptors.values()], dtype=np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable description."""
        return {
            "space": self.space,
            "tile_size": self.tile_size.plain(),
            "genes": [
                {"name": columns.name, "choices": None if columns.choices is None else list(columns.choices)}
                for columns in self.genes
            ],
            "descriptors": list(self.descriptors),
            "names": list(self.names),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], origin: SpaceId | None = None) -> FeatureSchema:
        """Return the schema that ``to_dict`` described, of the space ``origin`` if that is known.

        Raises:
            MismatchError: if the library now computes other features than those stored.
        """
        genes = tuple(
            GeneColumns(entry["name"], None if entry["choices"] is None else tuple(entry["choices"]))
            for entry in data["genes"]
        )
        schema = cls(data["space"], TileShape.of(data["tile_size"]), genes, tuple(data["descriptors"]), origin)
        if list(schema.names) != data["names"]:
            raise MismatchError(
                "The evaluator was fitted with other features than this version of analognas computes: fit it again."
            )
        return schema


def _named(space: SpaceId) -> str:
    shape = " x ".join(map(str, space.input_shape))
    return f"{space.name!r} ({shape} inputs, {space.classes} classes)"


def _described(architecture: Architecture) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the names of the family's descriptors, and the genes about which they say everything."""
    from analognas.search_spaces.family import family

    try:
        names = tuple(architecture.descriptors)
    except SpaceError:  # as below
        return (), frozenset()
    return names, family(architecture.space.family).described() if names else frozenset()


def _family_choices(name: str) -> dict[str, tuple[Gene, ...] | None]:
    """Return the choices of the family's genes by name in their order, None for integers."""
    from analognas.search_spaces.family import family

    try:
        hyperparameters = family(name).hyperparameters("published")
    except SpaceError:  # a family that cannot be imported here any more: the values have to do
        return {}
    return {gene.name: gene.choices if gene.type == "categorical" else None for gene in hyperparameters}


def _columns(name: str, choices: tuple[Gene, ...] | None, seen: set[Gene]) -> GeneColumns:
    if choices is None and all(isinstance(gene, int) for gene in seen):
        return GeneColumns(name)
    known = choices or ()
    return GeneColumns(name, (*known, *sorted(seen - set(known), key=str)))
