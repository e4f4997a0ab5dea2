"""Folders that are parts of a dataset, whatever they are called, and folders that are no classes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

_WORDS = {
    "train": "train", "training": "train", "trn": "train", "test": "test", "testing": "test", "tst": "test",
    "validation": "validation", "validate": "validation", "val": "validation", "valid": "validation",
    "dev": "validation", "development": "validation",
}  # fmt: skip
_NOTHING = (
    "set sets data dataset split part subset folder dir images image imgs img pictures photos samples examples files "
    "audio sound sounds recordings wav wavs clips"
)
_AROUND = frozenset(_NOTHING.split())
"""Words that say nothing beside the name of a part: ``training_set``, ``test-images``."""
_JOINED = re.compile(rf"({'|'.join(_WORDS)})(set|sets|data|images|imgs|split|files)")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")
_FOLD = re.compile(r"(k?folds?|cv|splits?|parts?|partition|subset|shard|chunk|batch|set)[\W_]*\d+", re.IGNORECASE)


def parts_of(names: Iterable[str]) -> dict[str, str]:
    """Return which of the folders that stand beside each other are parts, and which: train, validation or test.

    ``train``, ``Testing``, ``VAL``, ``training_set`` and ``test-images`` are; ``seg_train`` is beside ``seg_test``, and
    ``train2017`` beside ``val2017``, where both have the same around them. ``train_station`` is not.
    """
    told: dict[str, tuple[str, tuple[str, ...]]] = {}
    for name in names:
        words = [word.casefold() for word in _WORD.findall(name)]
        words = [word for joined in words for word in _apart(joined)]
        hits = [word for word in words if word in _WORDS]
        if len(hits) == 1:
            rest = tuple(word for word in words if word != hits[0] and word not in _AROUND)
            told[name] = _WORDS[hits[0]], rest
    beside: dict[tuple[str, ...], set[str]] = {}
    for part, rest in told.values():
        beside.setdefault(rest, set()).add(part)
    alike = {rest for rest, parts in beside.items() if not rest or (len(parts) > 1 and "train" in parts)}
    return {name: part for name, (part, rest) in told.items() if rest in alike}


def folds(names: Sequence[str]) -> bool:
    """Return whether folders that stand beside each other are numbered pieces of the data, as ``fold1``, ``fold2``."""
    return len(names) > 1 and all(_FOLD.fullmatch(name) for name in names)


def levels(inner: Mapping[str, Iterable[str]]) -> list[str]:
    """Return the folders that stand in each of several folders, if there are two or more: which level is the classes?

    Args:
        inner: the folders inside of each folder.
    """
    sets = [set(names) for names in inner.values()]
    common = set.intersection(*sets) if len(sets) > 1 else set()
    return sorted(common) if len(common) > 1 else []


def listed(names: Iterable[str], most: int = 3) -> str:
    """Return names as text, the first ones only: ``a, b, c, ...``."""
    every = list(names)
    return ", ".join(every[:most]) + (", ..." if len(every) > most else "")


def _apart(word: str) -> list[str]:
    match = _JOINED.fullmatch(word)
    return [word] if match is None else list(match.groups())
