"""One point of a search space, and what it is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from analognas.errors import CorruptFileError
from analognas.search_spaces.genes import Genes
from analognas.tables import architecture_id

if TYPE_CHECKING:
    from torch import nn

    from analognas.search_spaces.family import Family
    from analognas.search_spaces.structure import Run, Structure


@dataclass(frozen=True)
class SpaceId:
    """What an architecture has to know of its space.

    ``name`` is unique (``resnet-digits``), ``family`` names the builder of its networks (``resnet``, or
    ``module:Class`` for one that lives elsewhere), ``input_shape`` is (channels, height, width).
    """

    name: str
    family: str
    input_shape: tuple[int, int, int]
    classes: int


@dataclass(frozen=True)
class Architecture:
    """One point of a search space: its active genes, its identity and its size.

    Make one with ``ConfigSpace.sample`` or ``ConfigSpace.architecture``, which validate the genes.
    ``params`` is the number of trainable parameters of the digital network.
    """

    space: SpaceId
    genes: Genes
    params: int = field(compare=False)

    @cached_property
    def id(self) -> str:
        """Return 16 hexadecimal digits: the hash of the space's name and the canonical genes."""
        return architecture_id(self.space.name, self.genes.to_json())

    @cached_property
    def function_id(self) -> str:
        """Return 16 hexadecimal digits that architectures share if their networks compute the same functions.

        Where the family has no notion of that, it is the id.
        """
        function = _builder(self.space, self.genes).function(self.genes)
        if function is None:
            return self.id
        return architecture_id(self.space.name, function)

    @property
    def structure(self) -> Structure:
        """Return the layers of the network, their shapes and paths, without building it.

        Raises:
            SpaceError: if the family's builder does not read one of the genes.
        """
        return _structure(self.space, self.genes)

    @property
    def runs(self) -> Sequence[Run]:
        """Return the layers of the network counted by shape, without its structure: about a hundred times as fast.

        Raises:
            SpaceError: if a gene is missing or builds no network.
        """
        from analognas.search_spaces.family import family

        return family(self.space.family).runs(self.genes, self.space.input_shape, self.space.classes)

    @property
    def descriptors(self) -> dict[str, float]:
        """Return the family's own features of the network, empty if it has none."""
        return _builder(self.space, self.genes).descriptors(self.genes, self.space.input_shape, self.space.classes)

    def build(self) -> nn.Module:
        """Return the digital network (torch), initialised from torch's global generator.

        Raises:
            SpaceError: if the family's builder does not read one of the genes.
        """
        return _builder(self.space, self.genes).build(self.genes, self.space.input_shape, self.space.classes)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable description."""
        return {
            "id": self.id,
            "space": {
                "name": self.space.name,
                "family": self.space.family,
                "input_shape": list(self.space.input_shape),
                "classes": self.space.classes,
            },
            "genes": dict(self.genes),
            "params": self.params,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Architecture:
        """Return the architecture that ``to_dict`` described.

        Raises:
            CorruptFileError: if ``data`` is damaged or its id is not that of its genes.
        """
        try:
            channels, height, width = (int(side) for side in data["space"]["input_shape"])
            space = SpaceId(
                name=str(data["space"]["name"]),
                family=str(data["space"]["family"]),
                input_shape=(channels, height, width),
                classes=int(data["space"]["classes"]),
            )
            architecture = cls(space=space, genes=Genes(data["genes"]), params=int(data["params"]))
            same = architecture.id == data["id"]
        except (KeyError, TypeError, ValueError, AttributeError):
            raise CorruptFileError("The description of an architecture is damaged: restore the file.") from None
        if not same:
            raise CorruptFileError(
                f"The description of architecture {data['id']!r} is damaged, its genes belong to "
                f"{architecture.id}: restore the file."
            )
        return architecture


def _builder(space: SpaceId, genes: Genes) -> Family:
    from analognas.search_spaces.family import family

    network_family = family(space.family)
    network_family.check_genes(genes)
    return network_family


# A few, not one with each architecture: a search holds tens of thousands of these, at 9 KB a structure.
@lru_cache(maxsize=256)
def _structure(space: SpaceId, genes: Genes) -> Structure:
    return _builder(space, genes).structure(genes, space.input_shape, space.classes)
