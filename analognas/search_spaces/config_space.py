"""Configuration spaces: the schema of one, with the moves of a search: samples, neighbours, mutants, children."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from analognas.errors import SpaceError
from analognas.search_spaces import sampling, variation
from analognas.search_spaces.architecture import Architecture
from analognas.search_spaces.hyperparameter import Hyperparameter
from analognas.search_spaces.inputs import DATASETS, canonical_dataset
from analognas.search_spaces.schema import Schema
from analognas.search_spaces.spreading import SPREADS, spread_by_size

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from analognas.search_spaces.coding import Codes

__all__ = ["DATASETS", "ConfigSpace", "Hyperparameter", "canonical_dataset"]


class ConfigSpace(Schema):
    """A search space of architectures for one dataset.

    ``dataset`` is one of ``DATASETS`` (case and hyphens do not matter), or any name together with
    ``input_shape`` (channels, height, width) and ``classes``; these two alone do as well. ``family`` names
    the builder of the networks: "resnet" or "module:Class". ``max_params`` is the budget of trainable
    parameters that samples and mutants keep. ``ranges`` narrows or widens hyperparameters:
    ``{"M": [1, 3], "R": [1, 4], "kernel_size0": [3], "convblock1": "basic"}``; a name without its number
    stands for all of them. Raises SpaceError for whatever does not describe a space.
    """

    def validate(self) -> None:
        """Raise SpaceError if the space cannot be searched.

        That is: a hyperparameter that no builder reads, ranges that build no network, or a smallest network
        that exceeds the budget.
        """
        self.builder.check_space(self._hyperparameters)
        if self.max_params is not None:
            sampling.refuse_impossible_budget(self, self.max_params)

    def smallest(self) -> Architecture:
        """Return the network with the fewest parameters (exact if parameters grow with each gene)."""
        return sampling.smallest(self)

    def size(self) -> int:
        """Return the number of architectures, whatever the budget."""
        return sampling.size(self)

    def sample(
        self,
        n: int,
        seed: int = 0,
        method: str = "latin_hypercube",
        max_params: int | None = None,
        spread: str = "genes",
    ) -> list[Architecture]:
        """Return ``n`` distinct architectures within the budget, the same for the same seed.

        ``method`` is "latin_hypercube" or "uniform", over the unit cube of all genes. The budget is the
        smaller one of ``max_params`` and the space's own. Where hardly any draw keeps it, draws are repaired:
        random genes shrink towards their minimum until it does. With ``spread="size"`` many are drawn, and those
        taken whose numbers of parameters are even in the logarithm. Raises SpaceError if the space does not
        hold ``n`` such architectures.
        """
        if spread not in SPREADS:
            raise SpaceError(f"Spread {spread!r} is unknown: use one of {', '.join(SPREADS)}.")
        draw = spread_by_size if spread == "size" else sampling.sample
        return draw(self, n, seed=seed, method=method, max_params=self.budget(max_params))

    def enumerate(self, max_params: int | None = None) -> Iterator[Architecture]:
        """Yield every architecture within the budget once, in the order of its genes; for small spaces."""
        yield from sampling.everything(self, self.budget(max_params))

    def neighbours(self, architecture: Architecture, max_params: int | None = None) -> list[Architecture]:
        """Return all architectures within the budget that have one gene changed, to any other value.

        Genes that become active take the values that give the fewest parameters. Raises SpaceError for an
        architecture of another space.
        """
        return variation.neighbours(self, architecture, self.budget(max_params))

    def mutate(
        self,
        architecture: Architecture,
        rng: np.random.Generator,
        kind: str | None = None,
        max_params: int | None = None,
    ) -> Architecture:
        """Return another architecture that differs in at least one gene of the kind, and in nothing else.

        Genes that become active are drawn, genes that become inactive vanish. ``kind`` is one of
        ``mutations``; None draws one, and takes another one where the drawn one has no alternative. The
        result keeps the budget (as in ``sample``). Raises SpaceError where there is no alternative.
        """
        return variation.mutate(self, architecture, rng, kind=kind, max_params=self.budget(max_params))

    def mutants(
        self, codes: Codes, kinds: Sequence[str], rng: np.random.Generator, max_params: int | None = None
    ) -> tuple[Codes, NDArray[np.int64]]:
        """Return what ``mutate`` does of many at once, each by its kind: codes and numbers of parameters.

        Where there is no alternative, the number of parameters is 0 and the codes are the given ones. Where the family
        counts many networks at once (``Family.arrays``), a mutant takes a few microseconds.

        Args:
            codes: genes of n architectures of the space as ``coding.encode`` returns them.
            kinds: of the mutations, n.
            rng: a generator.
            max_params: as in ``mutate``.
        """
        return variation.mutants(self, codes, kinds, rng, max_params=self.budget(max_params))

    def crossover(
        self,
        a: Architecture,
        b: Architecture,
        rng: np.random.Generator,
        max_params: int | None = None,
    ) -> Architecture:
        """Return a child that has each gene from one of its parents (it may equal a parent).

        Of 20 children the first that keeps the budget is taken, otherwise the smaller parent.
        """
        return variation.crossover(self, a, b, rng, max_params=self.budget(max_params))

    def encode(self, architectures: Iterable[Architecture]) -> pd.DataFrame:
        """Return the raw genes as integers: one row per architecture, index ``id``, columns in schema order.

        A discrete gene is one column; a categorical one has a column of 0 and 1 per choice, named
        ``gene_choice``. A gene that is not active is 0 in all its columns.
        """
        import pandas as pd

        listed = list(architectures)
        columns: dict[str, list[int]] = {}
        for gene in self.hyperparameters:
            values = [architecture.genes.get(gene.name) for architecture in listed]
            if gene.type == "discrete":
                columns[gene.name] = [0 if value is None else int(value) for value in values]
            else:
                for choice in gene.choices or ():
                    columns[f"{gene.name}_{choice}"] = [int(value == choice) for value in values]
        index = pd.Index([architecture.id for architecture in listed], name="id", dtype="str")
        return pd.DataFrame(columns, index=index, dtype="int64")

    def __contains__(self, architecture: object) -> bool:
        if not isinstance(architecture, Architecture) or architecture.space != self.id:
            return False
        try:
            same = self.architecture(architecture.genes)
        except SpaceError:
            return False
        return same == architecture and (self.max_params is None or same.params <= self.max_params)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable description."""
        return {
            "name": self.name,
            "dataset": self.dataset,
            "family": self.family,
            "input_shape": list(self.input_shape),
            "classes": self.classes,
            "max_params": self.max_params,
            "size": self.size(),
            "digest": self.digest,
            "hyperparameters": [gene.to_dict() for gene in self.hyperparameters],
        }

    def __repr__(self) -> str:
        channels, height, width = self.input_shape
        budget = "" if self.max_params is None else f", at most {self.max_params:,} parameters"
        lines = [
            f"ConfigSpace {self.name!r}: input {channels}x{height}x{width}, {self.classes} classes, "
            f"{self.size():.3g} architectures{budget}"
        ]
        pad = max(len(name) for name in self._hyperparameters)
        for gene in self.hyperparameters:
            condition = f"  (if {gene.active_if[0]} >= {gene.active_if[1]})" if gene.active_if else ""
            lines.append(f"  {gene.name:<{pad}}  {gene.describe()}{condition}")
        return "\n".join(lines)
