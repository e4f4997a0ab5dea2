"""The genes of an architecture: an immutable mapping of names to values."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

Gene = int | str


class Genes(Mapping[str, Gene]):
    """An immutable, picklable mapping of gene names to values, ordered by name."""

    __slots__ = ("_items",)

    def __init__(self, genes: Mapping[str, Gene]) -> None:
        self._items = dict(sorted(genes.items()))

    def __getitem__(self, name: str) -> Gene:
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(self.to_json())

    def __repr__(self) -> str:
        return repr(self._items)

    def to_json(self) -> str:
        """Return the canonical text of the genes."""
        return json.dumps(self._items, separators=(",", ":"))
