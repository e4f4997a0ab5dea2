"""Families of networks: what builds the networks of one kind of configuration space."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from analognas.causes import own_code
from analognas.errors import SpaceError
from analognas.plugins import resolve
from analognas.search_spaces.genes import Gene
from analognas.search_spaces.hyperparameter import Hyperparameter
from analognas.search_spaces.structure import Run, Structure, runs_of

if TYPE_CHECKING:
    from torch import nn

    from analognas.search_spaces.structure import FamilyArrays

# The families that ship with the library. Others come with installed packages or are named "module:Class".
KNOWN = {
    "resnet": "analognas.search_spaces.resnet:ResNet",
    "nasbench201": "analognas.search_spaces.nasbench201:NASBench201",
}

Shape = tuple[int, int, int]


class Family(ABC):
    """The builder of the networks of one kind of space.

    Subclass it in an importable module and name it ``ConfigSpace(..., family="module:Class")``; the class
    is instantiated without arguments. Everything but ``build`` must work without torch. ``genes`` are
    always the active ones; ``input_shape`` is (channels, height, width).
    """

    name: ClassVar[str]
    """The first part of the names of its spaces."""

    mutations: ClassVar[tuple[str, ...]]
    """The kinds of mutation."""

    @abstractmethod
    def hyperparameters(self, preset: str) -> tuple[Hyperparameter, ...]:
        """Return the genes and their default ranges; ``preset`` is "published" or "digits" (smaller)."""

    def optional(self) -> tuple[Hyperparameter, ...]:
        """Return genes that a space has only if it gives a range for them; none by default."""
        return ()

    def meaning(self, name: str) -> str:
        """Return what the gene of this name is, in a few words; an empty text if nobody has said it."""
        return ""

    def function(self, genes: Mapping[str, Gene]) -> str | None:
        """Return a text that architectures share if their networks compute the same functions, None if unknown."""
        return None

    def descriptors(self, genes: Mapping[str, Gene], input_shape: Shape, classes: int) -> dict[str, float]:
        """Return numbers that say more to an evaluator than the genes do; the same names for all architectures.

        They then stand in place of the structural features that evaluators compute, and of the genes ``described``.
        Names that begin with ``sequence_`` are rare indicators, which only trees look at; a count of paths by kind
        begins with ``profile_``.
        """
        return {}

    def described(self) -> frozenset[str]:
        """Return the genes about which the descriptors say everything."""
        return frozenset()

    @abstractmethod
    def reads(self, name: str) -> bool:
        """Say whether the builder reads a gene of this name."""

    @abstractmethod
    def mutation_genes(self, kind: str, genes: Mapping[str, Gene]) -> tuple[str, ...]:
        """Return the active genes that a mutation of this kind may change."""

    @abstractmethod
    def count_params(self, genes: Mapping[str, Gene], input_shape: Shape, classes: int) -> int:
        """Return the number of trainable parameters in closed form; genes it does not read are ignored."""

    @abstractmethod
    def structure(self, genes: Mapping[str, Gene], input_shape: Shape, classes: int) -> Structure:
        """Return the layers and paths of the network."""

    def runs(self, genes: Mapping[str, Gene], input_shape: Shape, classes: int) -> Sequence[Run]:
        """Return the layers counted by shape, see ``Run``; genes it does not read are ignored.

        The default makes them of the structure; a family whose networks are searched by their cost counts them.
        """
        return runs_of(self.structure(genes, input_shape, classes))

    @abstractmethod
    def build(self, genes: Mapping[str, Gene], input_shape: Shape, classes: int) -> nn.Module:
        """Return the network, input (N, *input_shape), output (N, classes), no forward pass needed."""

    def arrays(self) -> FamilyArrays | None:
        """Return what counts and describes many networks at once; None (the default): they are taken one by one.

        A family that returns something promises as well that ``mutation_genes`` looks at the names of the genes alone.
        """
        return None

    def check_genes(self, genes: Mapping[str, Gene]) -> None:
        """Raise SpaceError if a gene would be ignored by ``build``."""
        for name in genes:
            if not self.reads(name):
                raise SpaceError(_unread(name, self.name))

    def check_space(self, hyperparameters: Mapping[str, Hyperparameter]) -> None:
        """Raise SpaceError if these genes and ranges do not describe networks that ``build`` can build."""
        for name in hyperparameters:
            if not self.reads(name):
                raise SpaceError(_unread(name, self.name))


def _unread(name: str, family_name: str) -> str:
    return (
        f"Hyperparameter {name!r} is read by no builder of the family {family_name!r}, so it would change "
        "nothing: remove it, or name a family that reads it, family='module:Class'."
    )


@cache
def family(name: str) -> Family:
    """Return the family of this name: "resnet", an installed package's, or "module:Class" for one elsewhere."""
    cls: type[Family] = resolve("space", name, KNOWN, SpaceError, _problem)
    try:
        return cls()
    except TypeError as error:  # abstract methods that are missing, or arguments without defaults
        raise SpaceError(
            f"space {name!r} cannot be made ({own_code(error)}): give it all the methods of Family, and no arguments."
        ) from error


def _problem(cls: Any) -> str | None:
    if not (isinstance(cls, type) and issubclass(cls, Family)):
        return "is no Family: derive it from analognas.search_spaces.family.Family."
    if not isinstance(getattr(cls, "name", None), str) or not getattr(cls, "mutations", None):
        return "has no name or no mutations: set both on the class."
    return None
