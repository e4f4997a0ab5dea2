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
        self.lengths = np.array([len(values) for values in self.values], dtype=np.int32)
        self._places = [{value: place for place, value in enumerate(values)} for values in self.values]
        self._conditions = self._levels(schema)
        # The values of all genes that are numbers, each after a 0 for an absent one, in one table: read at once.
        self._numbers = [place for place, values in enumerate(self.values) if all(isinstance(v, int) for v in values)]
        tables = [np.array([0, *self.values[place]], dtype=np.int64) for place in self._numbers]
        self._table = np.concatenate([np.zeros(0, dtype=np.int64), *tables])
        self._starts = np.cumsum([1, *map(len, tables)])[:-1, None]
        # Those that are not, with an empty text at the end, where ``ABSENT`` points to.
        self._labels = {
            place: np.array([*map(str, values), ""])
            for place, values in enumerate(self.values)
            if place not in self._numbers
        }
        self._order = sorted(range(len(self.names)), key=self.names.__getitem__)
        self._texts = [
            [*(json.dumps({name: value}, separators=(",", ":"))[1:-1] + "," for value in values), ""]
            for name, values in zip(self.names, self.values, strict=True)
        ]
        # Which genes a kind of mutation may change, once somebody has asked; see ``variation``.
        self.of_kind: dict[str, NDArray[np.bool_]] = {}

    def _levels(self, schema: Sequence[Hyperparameter]) -> list[tuple[Any, Any, NDArray[Any]]]:
        """Return genes, those that they depend on, and the least places of these at which they are active.

        Genes are said as columns: a slice where they lie in a row, or are one, which NumPy reads much faster. All of
        one entry depend on genes that are unconditional or of an entry before.
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
        parts = [tuple(np.array(part) for part in zip(*entries[level], strict=True)) for level in sorted(entries)]
        return [(_in_a_row(numbers), _in_a_row(deciders), least) for numbers, deciders, least in parts]

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

    def texts(self, codes: Codes) -> list[str]:
        """Return the canonical text of the genes of every row, as ``Genes.to_json`` does."""
        columns = codes.T.tolist()
        parts = [map(self._texts[place].__getitem__, columns[place]) for place in self._order]
        return [f"{{{text[:-1]}}}" for text in map("".join, zip(*parts, strict=True))]

    def genes(self, codes: Codes) -> list[CodedGenes]:
        """Return the genes of every row."""
        return [CodedGenes(self, key, text) for key, text in zip(self.keys(codes), self.texts(codes), strict=True)]

    def keys(self, codes: Codes) -> list[bytes]:
        """Return every row as something that sets and dictionaries can hold."""
        width = 4 * len(self.names)
        data = np.ascontiguousarray(codes, dtype=np.int32).tobytes()
        return [data[start : start + width] for start in range(0, len(data), width)]

    def columns(self, codes: Codes) -> dict[str, NDArray[Any]]:
        """Return the values of each gene, (n,) each: integers, 0 where it is not active, or texts, empty there."""
        values = self._table.take(codes.T[self._numbers] + self._starts)
        columns = {self.names[place]: column for place, column in zip(self._numbers, values, strict=True)}
        return columns | {self.names[place]: texts[codes[:, place]] for place, texts in self._labels.items()}

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

    def __init__(self, coding: Coding, code: bytes, text: str) -> None:
        self.coding = coding
        self.code = code
        self._text = text

    def __getattr__(self, name: str) -> Any:
        """Make what is not there yet."""
        if name == "_items":
            self._items = self.coding.decode(self.code)
            return self._items
        raise AttributeError(name)

    def __reduce__(self) -> tuple[type[Genes], tuple[dict[str, Gene]]]:
        return Genes, (dict(self),)

    def to_json(self) -> str:
        """Return the canonical text of the genes."""
        return self._text


def coding_of(architectures: Sequence[Architecture]) -> Coding | None:
    """Return how the genes of all of these are coded; None if they are not, or not all in one way."""
    codings = {getattr(architecture.genes, "coding", None) for architecture in architectures}
    return codings.pop() if len(codings) == 1 else None


def _in_a_row(places: NDArray[Any]) -> Any:
    """Return the columns at these places as a slice: one for all, or those that follow each other; else the places."""
    first = int(places[0])
    if (places == first).all():
        return slice(first, first + 1)
    return slice(first, first + len(places)) if (np.diff(places) == 1).all() else places
