"""The schema of a configuration space: the genes, their ranges and conditions, the input shape and the classes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from analognas.errors import SpaceError
from analognas.search_spaces.architecture import Architecture, SpaceId
from analognas.search_spaces.coding import Coding
from analognas.search_spaces.family import Shape, family
from analognas.search_spaces.genes import Gene
from analognas.search_spaces.hyperparameter import Hyperparameter
from analognas.search_spaces.inputs import nearest, positive, resolve

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analognas.search_spaces.coding import Codes


class Schema:
    """What a space is, without the moves of a search: see ``ConfigSpace``, which has both."""

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
        self.least: int | None = None  # parameters of the smallest network, once somebody has asked
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
        self._changed()

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
                within = tuple(choice for choice in gene.choices if choice in changed.values)
                changed = replace(gene, choices=within)
        self._hyperparameters[name] = changed
        self._changed()

    def _changed(self) -> None:
        """Forget what followed from the ranges."""
        self._members.clear()
        self.least = None
        self.__dict__.pop("coding", None)

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

    def trusted(self, genes: Mapping[str, Gene], params: int | None = None) -> Architecture:
        """Return the architecture with genes that are known to be valid, all active and plain values.

        ``params`` is the number of its parameters, if that is known.
        """
        (coded,) = self.coding.genes(self.coding.encode([genes]))
        return Architecture(self.id, coded, self.count_params(genes) if params is None else params)

    def count_params(self, genes: Mapping[str, Gene]) -> int:
        """Return the number of trainable parameters of the network with these active genes."""
        return self.builder.count_params(genes, self.input_shape, self.classes)

    @cached_property
    def coding(self) -> Coding:
        """Return how genes are written as integers, until a range changes."""
        try:
            self.builder.check_space(self._hyperparameters)
        except SpaceError:  # not all that the ranges hold can be built: each network says what is wrong with it
            return Coding(self.hyperparameters)
        return Coding(self.hyperparameters, self.builder.arrays())

    def coded(self, codes: Codes, params: NDArray[np.int64] | None = None) -> list[Architecture]:
        """Return the architectures of coded genes (n, genes), which are valid; ``params`` if they are known."""
        sizes = (self.count_all(codes) if params is None else params).tolist()
        space = self.id
        return [Architecture(space, genes, size) for genes, size in zip(self.coding.genes(codes), sizes, strict=True)]

    def count_all(self, codes: Codes) -> NDArray[np.int64]:
        """Return the numbers of trainable parameters of coded genes (n, genes), (n,)."""
        arrays = self.coding.arrays
        if arrays is not None:
            return arrays.count_params(self.coding.columns(codes), self.input_shape, self.classes)
        return np.array([self.count_params(genes) for genes in self.coding.genes(codes)], dtype=np.int64)

    def budget(self, max_params: int | None = None) -> int | None:
        """Return the smaller one of ``max_params`` and the space's own budget, None if there is neither."""
        if max_params is None:
            return self.max_params
        limit = positive(max_params, "max_params")
        return limit if self.max_params is None else min(limit, self.max_params)

    def _names(self) -> list[str]:
        return list(self._hyperparameters)


# Inside the class the word names the argument.
_family = family


def _listed(name: str, choices: Any) -> tuple[Gene, ...] | None:
    """Return the choices as a tuple; a text is not taken for a list of its letters."""
    if choices is None:
        return None
    if isinstance(choices, str) or not isinstance(choices, Iterable):
        raise SpaceError(f"The choices of hyperparameter {name!r} are {choices!r}: give a list.")
    return tuple(choices)
