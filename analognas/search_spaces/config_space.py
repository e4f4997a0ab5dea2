"""Configuration spaces: the genes, their ranges and conditions, the input shape and the classes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from analognas.errors import SpaceError
from analognas.search_spaces import sampling, variation
from analognas.search_spaces.architecture import Architecture, Gene, Genes, SpaceId
from analognas.search_spaces.family import Shape, family
from analognas.search_spaces.hyperparameter import Hyperparameter
from analognas.search_spaces.inputs import DATASETS, canonical_dataset, nearest, positive, resolve

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

__all__ = ["DATASETS", "ConfigSpace", "Hyperparameter", "canonical_dataset"]


class ConfigSpace:
    """A search space of architectures for one dataset.

    ``dataset`` is one of ``DATASETS`` (case and hyphens do not matter), or any name together with
    ``input_shape`` (channels, height, width) and ``classes``; these two alone do as well. ``family`` names
    the builder of the networks: "resnet" or "module:Class". ``max_params`` is the budget of trainable
    parameters that samples and mutants keep. ``ranges`` narrows or widens hyperparameters:
    ``{"M": [1, 3], "R": [1, 4], "kernel_size0": [3], "convblock1": "basic"}``; a name without its number
    stands for all of them. Raises SpaceError for whatever does not describe a space.
    """

    def __init__(
        self,
        dataset: str | None = None,
        *,
        input_shape: Sequence[int] | None = None,
        classes: int | None = None,
        family: str = "resnet",
        name: str | None = None,
        max_params: int | None = None,
        ranges: Mapping[str, Any] | None = None,
    ) -> None:
        self.dataset, shape, classes, label = resolve(dataset, input_shape, classes)
        self.input_shape: Shape = shape
        self.classes: int = classes
        self.family = family
        self.builder = _family(family)
        self.name = name or f"{self.builder.name}-{label}"
        if max_params is not None:
            max_params = positive(max_params, "max_params")
        self.max_params: int | None = max_params
        preset = "digits" if self.dataset == "digits" else "published"
        self._hyperparameters: dict[str, Hyperparameter] = {}
        self._members: set[str] = set()  # ids of architectures that were found to be within the ranges
        for gene in self.builder.hyperparameters(preset):
            self._add(gene)
        if not isinstance(ranges, Mapping | None):
            raise SpaceError(f"ranges is {ranges!r}: give a mapping of hyperparameters to their ranges.")
        optional = {gene.name: gene for gene in self.builder.optional()}
        for key, limits in (ranges or {}).items():
            if key in optional and key not in self._hyperparameters:
                self._add(optional[key])
            self._set_range(key, limits)

    @property
    def id(self) -> SpaceId:
        """Return what an architecture has to know of its space."""
        return SpaceId(self.name, self.family, self.input_shape, self.classes)

    @property
    def hyperparameters(self) -> tuple[Hyperparameter, ...]:
        """Return the hyperparameters in schema order."""
        return tuple(self._hyperparameters.values())

    @property
    def mutations(self) -> tuple[str, ...]:
        """Return the kinds of mutation that ``mutate`` knows."""
        return self.builder.mutations

    @property
    def digest(self) -> str:
        """Return 16 hexadecimal digits: the hash of the id and of all hyperparameters with their ranges."""
        genes = [gene.to_dict() for gene in self.hyperparameters]
        parts = [self.name, self.family, list(self.input_shape), self.classes, genes]
        return hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode()).hexdigest()[:16]

    # --- the schema -------------------------------------------------------------------------------------

    def add_hyperparameter(
        self,
        name: str,
        type: str,  # noqa: A002 - the fixed public name
        *,
        min_value: int | None = None,
        max_value: int | None = None,
        choices: Sequence[Gene] | None = None,
        active_if: tuple[str, int] | None = None,
    ) -> None:
        """Add a gene: "discrete" (integers, both bounds included) or "categorical" (``choices``).

        With ``active_if=(gene, minimum)`` it exists only where that earlier gene is at least ``minimum``.
        Raises SpaceError for a name that is taken and for anything that is no valid gene.
        """
        self._add(Hyperparameter(name, type, min_value, max_value, _listed(name, choices), active_if))

    def _add(self, gene: Hyperparameter) -> None:
        if gene.name in self._hyperparameters:
            raise SpaceError(
                f"Hyperparameter {gene.name!r} exists already in space {self.name!r}: choose another name, "
                f"or change its range with set_hyperparameter({gene.name!r}, ...)."
            )
        if gene.active_if is not None:
            other = self._hyperparameters.get(gene.active_if[0])
            if other is None or other.type != "discrete":
                raise SpaceError(
                    f"Hyperparameter {gene.name!r} is active_if {gene.active_if[0]!r}, which is no discrete "
                    "hyperparameter of the space: add that one first."
                )
        self._hyperparameters[gene.name] = gene
        self._members.clear()

    def set_hyperparameter(
        self,
        name: str,
        *,
        min_value: int | None = None,
        max_value: int | None = None,
        choices: Sequence[Gene] | None = None,
    ) -> None:
        """Change the range of a gene; a bound that is not given stays. Raises SpaceError if it is unknown.

        Bounds of a gene with listed values keep those of them that lie within.
        """
        gene = self._hyperparameters.get(name)
        if gene is None:
            raise SpaceError(f"Space {self.name!r} has no hyperparameter {name!r}{nearest(name, self._names())}.")
        if choices is not None or gene.type == "categorical":
            listed = gene.choices if choices is None else _listed(name, choices)
            changed = replace(gene, min_value=min_value, max_value=max_value, choices=listed)
        else:
            low: Any = gene.at(0.0) if min_value is None else min_value
            high: Any = gene.at(1.0) if max_value is None else max_value
            changed = Hyperparameter(name, "discrete", low, high, active_if=gene.active_if)
            if gene.choices is not None:
                within = tuple(choice for choice in gene.choices if choice in changed.values)  # noqa: PD011 - no frame
                changed = replace(gene, choices=within)
        self._hyperparameters[name] = changed
        self._members.clear()

    def _set_range(self, name: str, limits: Any) -> None:
        """Apply one entry of ``ranges``: [min, max], {min_value, max_value}, choices, or one value."""
        numbered = [gene for gene in self._hyperparameters if re.fullmatch(re.escape(name) + r"[1-9]\d*", gene)]
        targets = [name] if name in self._hyperparameters else numbered
        if not targets:
            self.set_hyperparameter(name)  # says that it is unknown
        for target in targets:
            gene = self._hyperparameters[target]
            if isinstance(limits, Mapping):
                unknown = set(limits) - {"min_value", "max_value", "choices"}
                if unknown:
                    raise SpaceError(
                        f"The range of {name!r} has the unknown key {min(unknown, key=str)!r}: use "
                        "min_value, max_value or choices."
                    )
                self.set_hyperparameter(target, **limits)
            elif isinstance(limits, str | int):
                self.set_hyperparameter(target, choices=[limits])
            elif not isinstance(limits, Sequence):
                raise SpaceError(f"The range of {name!r} is {limits!r}: give [minimum, maximum], or the choices.")
            elif gene.choices is not None:
                self.set_hyperparameter(target, choices=limits)
            elif len(limits) == 2:
                self.set_hyperparameter(target, min_value=limits[0], max_value=limits[1])
            else:
                raise SpaceError(
                    f"The range of {name!r} is {limits!r}: give [minimum, maximum], or {{choices: [...]}} to "
                    "list values."
                )

    def validate(self) -> None:
        """Raise SpaceError if the space cannot be searched.

        That is: a hyperparameter that no builder reads, ranges that build no network, or a smallest network
        that exceeds the budget.
        """
        self.builder.check_space(self._hyperparameters)
        if self.max_params is not None:
            sampling.refuse_impossible_budget(self, self.max_params)

    # --- architectures ----------------------------------------------------------------------------------

    def architecture(self, genes: Mapping[str, Any]) -> Architecture:
        """Return the architecture with these genes; genes that are not active are dropped.

        Raises SpaceError for a gene that is unknown, missing or out of range. The budget is not checked.
        """
        for name in genes:
            if name not in self._hyperparameters:
                raise SpaceError(f"Space {self.name!r} has no gene {name!r}{nearest(str(name), self._names())}.")
        active: dict[str, Gene] = {}
        for gene in self._hyperparameters.values():
            if gene.active(active):
                if gene.name not in genes:
                    raise SpaceError(f"Gene {gene.name!r} is missing: give it a value, allowed are {gene.describe()}.")
                active[gene.name] = gene.check(genes[gene.name])
        return self.trusted(active)

    def check_member(self, architecture: Architecture) -> None:
        """Raise SpaceError if genes are outside of the ranges, which may have been narrowed; its id is not checked."""
        if architecture.id not in self._members:
            self.architecture(architecture.genes)
            self._members.add(architecture.id)

    def trusted(self, genes: Mapping[str, Gene]) -> Architecture:
        """Return the architecture with genes that are known to be valid, all active and plain values."""
        return Architecture(self.id, Genes(genes), self.count_params(genes))

    def count_params(self, genes: Mapping[str, Gene]) -> int:
        """Return the number of trainable parameters of the network with these active genes."""
        return self.builder.count_params(genes, self.input_shape, self.classes)

    def smallest(self) -> Architecture:
        """Return the network with the fewest parameters (exact if parameters grow with each gene)."""
        return sampling.smallest(self)

    def size(self) -> int:
        """Return the number of architectures, whatever the budget."""
        return sampling.size(self)

    def sample(
        self, n: int, seed: int = 0, method: str = "latin_hypercube", max_params: int | None = None
    ) -> list[Architecture]:
        """Return ``n`` distinct architectures within the budget, the same for the same seed.

        ``method`` is "latin_hypercube" or "uniform", over the unit cube of all genes. The budget is the
        smaller one of ``max_params`` and the space's own. Where hardly any draw keeps it, draws are repaired:
        random genes shrink towards their minimum until it does. Raises SpaceError if the space does not
        hold ``n`` such architectures.
        """
        return sampling.sample(self, n, seed=seed, method=method, max_params=self.budget(max_params))

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

    def budget(self, max_params: int | None = None) -> int | None:
        """Return the smaller one of ``max_params`` and the space's own budget, None if there is neither."""
        if max_params is None:
            return self.max_params
        limit = positive(max_params, "max_params")
        return limit if self.max_params is None else min(limit, self.max_params)

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

    def _names(self) -> list[str]:
        return list(self._hyperparameters)

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


# Inside the class the word names the argument.
_family = family


def _listed(name: str, choices: Any) -> tuple[Gene, ...] | None:
    """Return the choices as a tuple; a text is not taken for a list of its letters."""
    if choices is None:
        return None
    if isinstance(choices, str) or not isinstance(choices, Iterable):
        raise SpaceError(f"The choices of hyperparameter {name!r} are {choices!r}: give a list.")
    return tuple(choices)
