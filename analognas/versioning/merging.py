"""What is left of a merge in git when two people worked in the same workspace: ``analognas merge``.

``dvc.lock`` and what stands in git of the stages' outputs follow from parameters, rounds and results. So there is
nothing to choose between two versions of them: either will do, and the next run makes what the merged parameters and
rounds give. It takes what is characterized from the store, so nothing is trained twice. Rounds are both people's work:
both stay.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from analognas.errors import WorkspaceError
from analognas.files import write_text
from analognas.versioning import git
from analognas.workspace import Paths, alone, round_name, round_number, round_sequence

#: What follows from the rest, as patterns of git's attributes.
FOLLOWS = ("dvc.lock", "data/metrics/*.json", "data/dataset.json", "data/environment.json")
#: git's name of the driver that keeps this side of a file; a clone that does not know it merges these as text.
DRIVER = "analognas"
_ROUND = re.compile(r"data/rounds/(\d{3,}(?:-\d{6})?)\.(json|md)")
_SENTINEL = "data/rounds/sentinel.json"
_OURS, _THEIRS = 2, 3


@dataclass(frozen=True)
class Merged:
    """What became of the files that git could not merge.

    Attributes:
        settled: those that follow from the rest.
        rounds: by the name of a round of one side, the name that it has now, as ``002``.
        left: those that only a person can merge.
    """

    settled: tuple[str, ...]
    rounds: dict[str, str]
    left: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"settled": list(self.settled), "rounds": self.rounds, "left": list(self.left)}

    def __str__(self) -> str:
        if not (self.settled or self.rounds or self.left):
            return "git has merged everything."
        lines = []
        if self.settled:
            lines.append(f"Settled: {', '.join(self.settled)}; the next run makes them what the merge gives.")
        for before, now in self.rounds.items():
            lines.append(f"Both sides had a round {before}: one of the two is round {now} now.")
        if self.left:
            lines.append(f"Left to you: {', '.join(self.left)}. Merge them by hand and `git add` them.")
        return "\n".join([*lines, "Then: git commit && analognas pull && analognas run"])


def install_driver(root: Path) -> None:
    """Let git keep this side of what follows from the rest, in the repository that a workspace is in."""
    git.ask(root, "config", f"merge.{DRIVER}.name", "this side: the next `analognas run` makes it what the merge gives")
    git.ask(root, "config", f"merge.{DRIVER}.driver", "true")


def merge(paths: Paths) -> Merged:
    """Settle the files of a workspace that git could not merge, and add them to its index; the commit is the user's.

    Of two rounds of one number the one with the smaller hash keeps it, whoever merges, and the other one gets the next
    number that is free on both sides. Of two sentinel sets the one with the smaller hash stays.

    Raises:
        WorkspaceError: if this is no git repository, or another run works there.
    """
    root = paths.root
    if git.ask(root, "rev-parse", "--git-dir") is None:
        raise WorkspaceError(f"{root} is not in a git repository, so there is nothing to merge.")
    with alone(paths):
        install_driver(root)
        unmerged = _unmerged(root)
        settled = [name for name in unmerged if any(PurePosixPath(name).match(pattern) for pattern in FOLLOWS)]
        for name in settled:
            sides = unmerged[name]
            _put(root, name, _content(root, sides.get(_OURS) or sides.get(_THEIRS) or sides[1]))
        if set(unmerged.get(_SENTINEL, ())) == {_OURS, _THEIRS}:
            _put(root, _SENTINEL, _content(root, min(unmerged[_SENTINEL].values())))
            settled.append(_SENTINEL)
        numbers = sorted({match[1] for name in unmerged if (match := _ROUND.fullmatch(name))})
        moved: dict[str, str] = {}
        left = [name for name in unmerged if name not in settled and not _ROUND.fullmatch(name)]
        for number in numbers:
            now = _both_rounds(root, number, unmerged)
            if now is None:
                left += [name for name in unmerged if name.startswith(f"data/rounds/{number}.")]
            elif now != number:
                moved[number] = now
    return Merged(tuple(settled), moved, tuple(sorted(left)))


def _unmerged(root: Path) -> dict[str, dict[int, str]]:
    """Return the hash of each side of each file that is not merged (1: before, 2: ours, 3: theirs), by its name."""
    told = git.ask(root, "ls-files", "--unmerged", "-z") or ""
    unmerged: dict[str, dict[int, str]] = {}
    for entry in told.split("\0")[:-1]:
        described, _, name = entry.partition("\t")
        _, value, side = described.split(" ")
        unmerged.setdefault(name, {})[int(side)] = value
    return unmerged


def _both_rounds(root: Path, number: str, unmerged: dict[str, dict[int, str]]) -> str | None:
    """Keep both sides' round of a number and return what the one that gave way is called now.

    It is the number itself where both are the same round, of which one side alone has decided; None if only a person
    can tell what to keep: both have changed the same round.
    """
    name, note = f"data/rounds/{number}.json", f"data/rounds/{number}.md"
    sides = unmerged.get(name, {})
    if set(sides) != {_OURS, _THEIRS}:
        return None
    texts = {side: _content(root, value) for side, value in sides.items()}
    notes = {side: _content(root, value) for side, value in unmerged.get(note, {}).items()}
    listed = {side: _architectures(text) for side, text in texts.items()}
    if None in listed.values():
        return None
    if listed[_OURS] == listed[_THEIRS]:
        undecided = [side for side, text in texts.items() if _decision(text) == "pending"]
        if len(undecided) != 1:
            return None
        (kept,) = set(texts) - set(undecided)
        _put(root, name, texts[kept])
        if notes:
            _put(root, note, notes.get(kept, ""))
        return number
    first, second = sorted(texts, key=lambda side: sides[side])
    # git has put the rounds of one side only into the folder.
    highest = max(map(round_sequence, Paths(root).round_files()))
    now = round_name(round_number(highest + 1, sides[second]))
    _put(root, name, texts[first])
    _put(root, f"data/rounds/{now}.json", texts[second])
    one_note = (root / note).read_text() if not notes and (root / note).exists() else None
    if one_note is not None:  # git took it from the one side that has one
        notes = {side: one_note for side in texts if _decision(texts[side]) != "pending" and _compared(texts[side])}
    for side, place in ((first, note), (second, f"data/rounds/{now}.md")):
        if side in notes:
            _put(root, place, notes[side])
        elif place == note and (root / note).exists():
            (root / note).unlink()
            git.ask(root, "add", "--all", "--", note)
    return now


def _architectures(text: str) -> list[str] | None:
    try:
        return [entry["id"] for entry in json.loads(text)["architectures"]]
    except (ValueError, KeyError, TypeError):
        return None


def _decision(text: str) -> str:
    try:
        return str(json.loads(text).get("decision"))
    except (ValueError, AttributeError):
        return ""


def _compared(text: str) -> bool:
    return '"comparison"' in text


def _content(root: Path, value: str) -> str:
    return git.ask(root, "cat-file", "blob", value) or ""


def _put(root: Path, name: str, text: str) -> None:
    write_text(root / name, text)
    git.ask(root, "add", "--", name)
