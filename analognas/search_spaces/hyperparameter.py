"""One gene of a configuration space: its type, its values and when it exists."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analognas.errors import SpaceError
from analognas.search_spaces.genes import Gene

TYPES = ("discrete", "categorical")


@dataclass(frozen=True)
class Hyperparameter:
    """One gene of a configuration space.

    ``type`` is "discrete" (integers: ``min_value`` to ``max_value``, both included, or the listed
    ``choices``; ordered, so one numeric column) or "categorical" (``choices``: strings or integers without
    an order, so one column each). With ``active_if=(gene, minimum)`` it exists only where that gene exists
    and is at least ``minimum``. Raises SpaceError for anything that is not a valid gene.
    """

    name: str
    type: str
    min_value: int | None = None
    max_value: int | None = None
    choices: tuple[Gene, ...] | None = None
    active_if: tuple[str, int] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.isidentifier():
            raise SpaceError(
                f"{self.name!r} cannot name a hyperparameter: use letters, digits and underscores, "
                "and start with a letter."
            )
        if self.type not in TYPES:
            raise SpaceError(
                f"Hyperparameter {self.name!r} has the unknown type {self.type!r}: use {' or '.join(TYPES)}."
            )
        if self.choices is not None:
            self._check_choices()
        elif self.type == "categorical":
            raise SpaceError(f"Categorical hyperparameter {self.name!r} has no choices: give choices=(...).")
        else:
            self._check_bounds()
        if self.active_if is not None:
            gene, minimum = self.active_if
            object.__setattr__(self, "active_if", (str(gene), _integer(minimum, self.name, "active_if")))

    def _check_choices(self) -> None:
        if self.min_value is not None or self.max_value is not None:
            raise SpaceError(f"Hyperparameter {self.name!r} has both choices and bounds: give one of them.")
        if isinstance(self.choices, str) or not isinstance(self.choices, Sequence) or not self.choices:
            raise SpaceError(f"Hyperparameter {self.name!r} has no choices: give a list with at least one.")
        choices: list[Gene] = []
        for choice in self.choices:
            if isinstance(choice, str) and self.type == "categorical":
                choices.append(choice)
            else:
                choices.append(_integer(choice, self.name, "choices"))
        if len(set(choices)) != len(choices):
            raise SpaceError(f"Hyperparameter {self.name!r} lists a choice twice: {choices}; remove one.")
        if self.type == "discrete":
            choices.sort()
        object.__setattr__(self, "choices", tuple(choices))

    def _check_bounds(self) -> None:
        if self.min_value is None or self.max_value is None:
            raise SpaceError(
                f"Discrete hyperparameter {self.name!r} needs min_value and max_value (both included), or choices."
            )
        low = _integer(self.min_value, self.name, "min_value")
        high = _integer(self.max_value, self.name, "max_value")
        if low > high:
            raise SpaceError(f"Hyperparameter {self.name!r} has min_value {low} above max_value {high}: exchange them.")
        object.__setattr__(self, "min_value", low)
        object.__setattr__(self, "max_value", high)

    @property
    def values(self) -> Sequence[Gene]:
        """Return all values, ascending if they have an order."""
        if self.choices is not None:
            return self.choices
        assert self.min_value is not None
        assert self.max_value is not None
        return range(self.min_value, self.max_value + 1)

    def at(self, position: float) -> Gene:
        """Return the value at a position in [0, 1]: equal shares, the upper bound included."""
        values = self.values
        return values[min(int(position * len(values)), len(values) - 1)]

    def check(self, value: Any) -> Gene:
        """Return ``value`` as a plain gene; SpaceError if it is not one of the values."""
        gene: Any = value
        if not isinstance(value, str):
            gene = _integer(value, self.name, "value")
        if gene not in self.values:
            raise SpaceError(f"Gene {self.name} = {value!r} is out of range: allowed are {self.describe()}.")
        checked: Gene = gene
        return checked

    def active(self, genes: Mapping[str, Gene]) -> bool:
        """Say whether the gene exists beside ``genes``."""
        if self.active_if is None:
            return True
        gene, minimum = self.active_if
        value = genes.get(gene)
        return value is not None and int(value) >= minimum

    def describe(self) -> str:
        """Return the values as text: ``1..5`` or ``3, 5, 7``."""
        if self.choices is not None:
            return ", ".join(str(choice) for choice in self.choices)
        return f"{self.min_value}..{self.max_value}"

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-serializable description."""
        return {
            "name": self.name,
            "type": self.type,
            "min_value": self.min_value,
            "max_value": self.max_value,
            "choices": None if self.choices is None else list(self.choices),
            "active_if": None if self.active_if is None else list(self.active_if),
        }


def _integer(value: Any, name: str, what: str) -> int:
    """Return a plain int (NumPy integers too); SpaceError for anything else, booleans included."""
    if not isinstance(value, bool):
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise SpaceError(f"Hyperparameter {name!r}: {what} {value!r} is not an integer; give a whole number.")
