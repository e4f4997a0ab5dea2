"""Genes as rows of integers, so that thousands of architectures are changed, counted and described at once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analognas.search_spaces.genes import Gene, Genes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analognas.search_spaces.architecture import Architecture
    from analognas.search_spaces.hyperparameter import Hyperparameter
    from analognas.search_spaces.structure import FamilyArrays

    Codes = NDArray[np.int32]

#: In the place of a gene that is not active.
ABSENT = -1


class Coding:
    """How the genes of one space are written as integers.

    A row has one integer for each gene in schema order: the place of its value among the gene's values, or ``ABSENT``.

    Args:
        schema: the genes.
        arrays: what the family counts and describes many networks with; None: they are taken one by one.
    """

    def __init__(self, schema: Sequence[Hyperparameter], arrays: FamilyArrays | None = None) -> None:
        self.arrays = arrays
        self.names = tuple(gene.name for gene in schema)
        self.values = tuple(tuple(gene.values) for gene in schema)
        self.lengths = np.array([len(values) for values in self.values])
        self._places = [{value: place for place, value in enumerate(values)} for values in self.values]
        self._conditions = self._levels(schema)
        self._tables = [_table(values) for values in self.values]
        self._order = sorted(range(len(self.names)), key=self.names.__getitem__)
        self._texts = [
            [json.dumps({name: value}, separators=(",", ":"))[1:-1] for value in values]
            for name, values in zip(self.names, self.values, strict=True)
        ]

    def _levels(self, schema: Sequence[Hyperparameter]) -> list[tuple[NDArray[Any], ...]]:
        """Return genes, those that they depend on, and the least places of these at which they are active.

        All of one entry depend on genes that are unconditional or of an entry before.
        """
        levels: dict[str, int] = {}
        entries: dict[int, list[tuple[int, int, int]]] = {}
        for number, gene in enumerate(schema):
            if gene.active_if is None:
                levels[gene.name] = 0
                continue
            name, minimum = gene.active_if
            decider = self.names.index(name)
            level = levels[gene.name] = levels[name] + 1
            least = int(np.searchsorted(np.array(self.values[decider]), minimum))
            entries.setdefault(level, []).append((number, decider, least))
        return [tuple(np.array(part) for part in zip(*entries[level], strict=True)) for level in sorted(entries)]

    def encode(self, many: Iterable[Mapping[str, Gene]]) -> Codes:
        """Return the codes of genes that are within the ranges, shape (n, genes)."""
        rows = []
        for genes in many:
            if isinstance(genes, CodedGenes) and genes.coding is self:
                rows.append(genes.code)
            else:
                row = [
                    places[genes[name]] if name in genes else ABSENT
                    for name, places in zip(self.names, self._places, strict=True)
                ]
                rows.append(np.array(row, dtype=np.int32).tobytes())
        return np.frombuffer(b"".join(rows), dtype=np.int32).reshape(len(rows), len(self.names))

    def decode(self, code: bytes) -> dict[str, Gene]:
        """Return the active genes of one row, ordered by name."""
        row = memoryview(code).cast("i")
        return {self.names[i]: self.values[i][row[i]] for i in self._order if row[i] != ABSENT}

    def text(self, code: bytes) -> str:
        """Return the canonical text of the genes of one row, as ``Genes.to_json`` does."""
        row = memoryview(code).cast("i")
        texts = self._texts
        return "{" + ",".join([texts[i][row[i]] for i in self._order if row[i] != ABSENT]) + "}"

    def genes(self, codes: Codes) -> list[CodedGenes]:
        """Return the genes of every row."""
        return [CodedGenes(self, key) for key in self.keys(codes)]

    def keys(self, codes: Codes) -> list[bytes]:
        """Return every row as something that sets and dictionaries can hold."""
        width = 4 * len(self.names)
        data = np.ascontiguousarray(codes, dtype=np.int32).tobytes()
        return [data[start : start + width] for start in range(0, len(data), width)]

    def columns(self, codes: Codes) -> dict[str, NDArray[Any]]:
        """Return the values of each gene, (n,) each: integers, 0 where it is not active, or texts, empty there."""
        return {name: table[column] for name, table, column in zip(self.names, self._tables, codes.T, strict=True)}

    def resolve(self, codes: Codes, fresh: Codes) -> None:
        """Let genes vanish that are not active (any more), and take those that become active from ``fresh``, in place.

        Args:
            codes: shape (n, genes).
            fresh: likewise.
        """
        for numbers, deciders, least in self._conditions:
            own = codes[:, numbers]
            kept = np.where(own == ABSENT, fresh[:, numbers], own)
            codes[:, numbers] = np.where(codes[:, deciders] >= least, kept, ABSENT)


class CodedGenes(Genes):
    """Genes that are kept as a row of integers, and decoded when somebody reads them: a tenth of the memory."""

    __slots__ = ("_text", "code", "coding")

    def __init__(self, coding: Coding, code: bytes) -> None:
        self.coding = coding
        self.code = code

    def __getattr__(self, name: str) -> Any:
        """Make what is not there yet."""
        if name == "_items":
            self._items = self.coding.decode(self.code)
            return self._items
        if name == "_text":
            self._text = self.coding.text(self.code)
            return self._text
        raise AttributeError(name)

    def __reduce__(self) -> tuple[type[Genes], tuple[dict[str, Gene]]]:
        return Genes, (dict(self),)

    def to_json(self) -> str:
        """Return the canonical text of the genes."""
        text: str = self._text
        return text


def coding_of(architectures: Sequence[Architecture]) -> Coding | None:
    """Return how the genes of all of these are coded; None if they are not, or not all in one way."""
    codings = {getattr(architecture.genes, "coding", None) for architecture in architectures}
    return codings.pop() if len(codings) == 1 else None


def _table(values: Sequence[Gene]) -> NDArray[Any]:
    """Return the values, and what stands for an absent one at the end, where ``ABSENT`` points to."""
    if all(isinstance(value, int) for value in values):
        return np.array([*values, 0], dtype=np.int64)
    return np.array([*map(str, values), ""])
