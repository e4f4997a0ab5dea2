"""Rounds: architectures that were added to the sample, why, and what was decided about them.

``data/rounds/NNN-MARK.json`` is small text in git, so every state of the surrogate data can be rebuilt from git and DVC
alone. A round is *accepted*, *pending* or *rejected*: all are characterized, the evaluator learns from accepted ones
only. ``data/rounds/sentinel.json`` is the sentinel set: drawn uniformly once, characterized, and never learned from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from analognas.causes import wrong
from analognas.columns import measured
from analognas.errors import CorruptFileError, SpaceError
from analognas.files import read_sealed, write_sealed
from analognas.tables import DECISIONS as DECISIONS
from analognas.workspace import round_number, round_sequence

if TYPE_CHECKING:
    from pathlib import Path

    from analognas.search_spaces import Architecture, ConfigSpace
    from analognas.workspace import Paths

_REMEDY = "restore it from git"


@dataclass(frozen=True)
class Entry:
    """One architecture of a round: why it was picked, and what was predicted of it then (units as predictions)."""

    architecture: Architecture
    reason: str = ""
    predicted: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Round:
    """One round; ``purpose`` is what added it (``search`` or ``retrain``), ``record`` are the decision's figures."""

    number: int
    entries: tuple[Entry, ...]
    reason: str
    decision: str = "accepted"
    purpose: str = ""
    record: Mapping[str, Any] = field(default_factory=dict)

    def decided(self, decision: str, reason: str, record: Mapping[str, Any]) -> Round:
        """Return the round with a decision."""
        return replace(self, decision=decision, reason=reason, record=record)


def read_rounds(paths: Paths, space: ConfigSpace) -> list[Round]:
    """Return all rounds in order; raises CorruptFileError if a file is no round of this space."""
    return [_read(number, path, space) for number, path in paths.round_files().items()]


def next_sequence(paths: Paths) -> int:
    """Return the place in the sequence of the round that is added next."""
    return max(map(round_sequence, paths.round_files()), default=0) + 1


def next_round(
    paths: Paths, entries: Iterable[Entry], reason: str, decision: str = "accepted", purpose: str = ""
) -> Round:  # fmt: skip
    """Return a new round, which is not written yet; its number is nobody else's, see ``workspace.round_number``."""
    added = tuple(entries)
    content = [purpose, reason if not added else "", [entry.architecture.id for entry in added]]
    return Round(round_number(next_sequence(paths), content), added, reason, decision, purpose)


def write_round(paths: Paths, added: Round) -> Path:
    """Write a round, whole or not at all, and return its file.

    Raises:
        WorkspaceError: if it cannot be written.
    """
    path = paths.round(added.number)
    content: dict[str, Any] = {
        "round": added.number,
        "purpose": added.purpose,
        "decision": added.decision,
        "reason": added.reason,
        "record": dict(added.record),
        "architectures": [
            {
                "id": entry.architecture.id,
                "genes": dict(entry.architecture.genes),
                "reason": entry.reason,
                "predicted": dict(entry.predicted),
            }
            for entry in added.entries
        ],
    }
    write_sealed(path, content)
    return path


def read_sentinel(paths: Paths, space: ConfigSpace) -> list[Architecture]:
    """Return the sentinel set, empty if there is none yet; raises CorruptFileError if it is damaged or foreign."""
    path = _sentinel(paths)
    if not path.exists():
        return []
    return [entry.architecture for entry in _entries(path, read_sealed(path, remedy=_REMEDY, bare=True), space)]


def write_sentinel(paths: Paths, architectures: Sequence[Architecture]) -> None:
    """Write the sentinel set, drawn once and kept; raises WorkspaceError if it cannot be written."""
    listed = [{"id": architecture.id, "genes": dict(architecture.genes)} for architecture in architectures]
    write_sealed(_sentinel(paths), {"architectures": listed, "reason": "drawn uniformly, never learned from"})


def _sentinel(paths: Paths) -> Path:
    return paths.rounds / "sentinel.json"


def _read(number: int, path: Path, space: ConfigSpace) -> Round:
    content = read_sealed(path, remedy=_REMEDY, bare=True)
    entries = tuple(_entries(path, content, space))
    decision = content.get("decision", "accepted")
    if decision not in DECISIONS:
        raise CorruptFileError(f"{path} has the decision {decision!r}, not {', '.join(DECISIONS)}: {_REMEDY}.")
    if content.get("round", number) != number:
        raise CorruptFileError(f"{path} is the round {content['round']!r}, not the one that its name says: {_REMEDY}.")
    record = content.get("record") or {}
    if not isinstance(record, dict):
        raise CorruptFileError(f"{path} is no round (its record is no object): {_REMEDY}.")
    return Round(
        number=number,
        entries=entries,
        reason=str(content.get("reason", "")),
        decision=decision,
        purpose=str(content.get("purpose", "")),
        record=record,
    )


def _entries(path: Path, content: Mapping[str, Any], space: ConfigSpace) -> Iterable[Entry]:
    listed = content.get("architectures")
    if not isinstance(listed, list):
        raise CorruptFileError(f"{path} is no round (no list of architectures): {_REMEDY}.")
    try:
        entries = [_entry(entry, space) for entry in listed]
        if len({entry.architecture.id for entry in entries}) < len(entries):
            raise SpaceError("an architecture is there twice")
        return entries
    except (KeyError, TypeError, ValueError, AttributeError, SpaceError) as error:
        raise CorruptFileError(f"{path} holds no architectures of this space ({wrong(error)}): {_REMEDY}.") from None


def _entry(listed: Any, space: ConfigSpace) -> Entry:
    """Return an architecture of a round; raises SpaceError if it is none of this space."""
    architecture = space.architecture(listed["genes"])
    if listed.get("id", architecture.id) != architecture.id:
        raise SpaceError(f"the architecture {listed['id']!r} has the genes of {architecture.id}")
    predicted = dict(listed.get("predicted") or {})
    for name, value in predicted.items():
        column = measured(name)
        if problem := "has no column of this name" if column is None else column.wrong(value):
            raise SpaceError(f"what was predicted of {architecture.id}, {name!r}, {problem}")
    return Entry(architecture, str(listed.get("reason", "")), predicted)
