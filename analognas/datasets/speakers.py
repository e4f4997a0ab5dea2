"""Who speaks in recordings, and which of two names is the class: what folders and file names tell.

``yes/anna_1.wav`` and ``anna/yes_1.wav`` look alike to a program. What can be told is read, what cannot is refused.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from analognas.datasets.parts import levels, listed
from analognas.errors import DatasetError

NOISE = "_background_noise_"
WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
"""The words of the task of Speech Commands with 12 classes; the other two are ``silence`` and ``unknown``."""
OTHERS = (
    "backward", "bed", "bird", "cat", "dog", "eight", "five", "follow", "forward", "four", "happy", "house", "learn",
    "marvin", "nine", "one", "seven", "sheila", "six", "three", "tree", "two", "visual", "wow", "zero",
)  # fmt: skip
_NAMES = ("marvin", "sheila")
_KNOWN = frozenset({*WORDS, *OTHERS, "ten", "start", "play", "pause", "hello", "silence", "unknown"}) - {*_NAMES}
"""Words that nobody is called: they tell classes from speakers. Numbers in figures may be either."""

_FLAT = re.compile(r"(?P<label>.+)_(?P<speaker>[^_]+)_\d+")
_THREE = re.compile(r"(?P<label>[^_]+)_(?P<speaker>[^_]+)_\d+")
_SPOKEN = re.compile(r"(?P<speaker>.+)_nohash_.*")
_NUMBER = re.compile(r"[\W_]*\d+\W*$")
_BETWEEN = re.compile(r"[\W_]+")
_REMEDY = "put the recordings into one folder per class, or call them CLASS_SPEAKER_NUMBER.wav without folders"


class Recording(NamedTuple):
    """One WAV file: its name in the source, class, speaker (if the name tells) and part (if its folder tells).

    ``inner`` is the folder inside of that of its class in which it stands, if there is one.
    """

    name: str
    label: str
    speaker: str | None = None
    part: str | None = None
    inner: str | None = None

    @property
    def stem(self) -> str:
        """The name of the file without folders and ending."""
        return self.name.rpartition("/")[2].rpartition(".")[0]


def class_and_speaker(stem: str) -> tuple[str, str] | None:
    """Return what ``CLASS_SPEAKER_NUMBER`` tells, ``None`` for another name."""
    match = _FLAT.fullmatch(stem)
    return None if match is None else (match["label"], match["speaker"])


def with_speakers(recordings: list[Recording], where: Path) -> list[Recording]:
    """Return the recordings with their speakers, and with their classes where the folders are the speakers.

    Raises:
        DatasetError: if it cannot be told what is the class.
    """
    noise = [entry for entry in recordings if entry.label == NOISE]
    spoken = [entry for entry in recordings if entry.label != NOISE]
    told = [entry._replace(speaker=entry.speaker or _in_name(entry)) for entry in spoken]
    if not all(entry.speaker for entry in told):
        swapped = _folders_of_speakers(spoken) or _levels_of_speakers(spoken, where)
        told = swapped or _called_otherwise(told)
    told = _words_as_speakers(told)
    _refuse_words_in_names(told, where)
    return sorted([*noise, *told])


def looks_spoken(recordings: Sequence[Recording]) -> list[str]:
    """Return what may be speakers in the names of recordings that tell none: words that recur in several classes.

    The first or the last word before the number, as in ``anna1.wav``: at least two of them, each twice or more in two
    classes, that are in half of these names. Or folders inside of the class folders that recur.
    """
    loose = [entry for entry in recordings if entry.speaker is None]
    inner: dict[str, set[str]] = {}
    for entry in loose:
        inner.setdefault(entry.label, set()).update([entry.inner] if entry.inner else [])
    again = levels(inner)
    return again or _recurring(loose, least=2)


def _recurring(loose: Sequence[Recording], least: int) -> list[str]:
    """Return words in names that stand at least so often in two classes or more, and in half of all names."""
    for position in (0, -1):
        counts: dict[str, dict[str, int]] = {}
        for entry in loose:
            words = [word for word in _BETWEEN.split(_NUMBER.sub("", entry.stem)) if word]
            if words and not words[position].isdecimal():
                by_class = counts.setdefault(words[position], {})
                by_class[entry.label] = by_class.get(entry.label, 0) + 1
        recurring = sorted(
            word for word, class_counts in counts.items() if sum(count >= least for count in class_counts.values()) > 1
        )
        if len(recurring) > 1 and 2 * sum(sum(counts[word].values()) for word in recurring) >= len(loose):
            return recurring
    return []


def _in_name(entry: Recording) -> str | None:
    """Return the speaker whom ``SPEAKER_nohash_*`` or ``CLASS_SPEAKER_NUMBER`` tells inside of the folder CLASS."""
    match = _SPOKEN.fullmatch(entry.stem)
    if match is not None:
        return match["speaker"]
    told = class_and_speaker(entry.stem)
    return told[1] if told is not None and told[0] == entry.label else None


def _folders_of_speakers(recordings: Sequence[Recording]) -> list[Recording] | None:
    """Return the recordings of ``SPEAKER/WORD_SPEAKER_NUMBER.wav``: the word is the class, the folder the speaker."""
    swapped = []
    for entry in recordings:
        told = class_and_speaker(entry.stem)
        if told is None or told[1].casefold() != entry.label.casefold():
            return None
        swapped.append(entry._replace(label=told[0], speaker=entry.label, inner=None))
    by_word: dict[str, set[str]] = {}
    for entry in swapped:
        by_word.setdefault(entry.label, set()).add(str(entry.speaker))
    shared = sum(len(speakers) > 1 for speakers in by_word.values())
    return swapped if shared > 1 else None


def _levels_of_speakers(recordings: Sequence[Recording], where: Path) -> list[Recording] | None:
    """Return the recordings of ``SPEAKER/WORD/*.wav`` where it is certain; refuse two levels where nothing is."""
    inner: dict[str, set[str]] = {}
    for entry in recordings:
        inner.setdefault(entry.label, set()).update([entry.inner] if entry.inner else [])
    again = levels(inner)
    if not again or any(map(_in_name, recordings)):
        return None
    if all(entry.inner for entry in recordings):
        named = [class_and_speaker(entry.stem) == (entry.inner, entry.label) for entry in recordings]
        if all(named) or (_all_known(again) and not any(map(_is_known, inner))):
            return [entry._replace(label=str(entry.inner), speaker=entry.label, inner=None) for entry in recordings]
    if all(map(_is_known, inner)) and not any(map(_is_known, again)):
        return None
    raise DatasetError(
        f"{where} holds {listed(inner)}, and in each of them stand {listed(again)}: which of the two are the classes "
        f"and which the speakers cannot be told; {_REMEDY}."
    )


def _called_otherwise(recordings: list[Recording]) -> list[Recording]:
    """Return the recordings with speakers where folders call their class otherwise than the names in them do.

    ``zero/0_anna_1.wav``: what stands first is one name in each folder and different in every folder. What stands
    second is taken for speakers only if there are several and every folder shares one with another: a name that goes
    with its class alone is more likely the class.
    """
    by_label: dict[str, list[re.Match[str] | None]] = {}
    for entry in recordings:
        match = None if _SPOKEN.fullmatch(entry.stem) else _THREE.fullmatch(entry.stem)
        by_label.setdefault(entry.label, []).append(match)
    speakers: dict[str, set[str]] = {}
    firsts: list[str] = []
    for label, matches in by_label.items():
        told = [match for match in matches if match is not None]
        first = {match["label"] for match in told}
        if len(told) == len(matches) and len(first) == 1:
            speakers[label] = {match["speaker"] for match in told}
            firsts += first
    everybody = Counter(speaker for class_speakers in speakers.values() for speaker in class_speakers)
    shared = all(any(everybody[speaker] > 1 for speaker in class_speakers) for class_speakers in speakers.values())
    if len(set(firsts)) < len(firsts) or len(everybody) < 2 or not shared:
        return recordings
    return [
        entry._replace(speaker=entry.stem.split("_")[1]) if entry.label in speakers else entry for entry in recordings
    ]


def _words_as_speakers(recordings: list[Recording]) -> list[Recording]:
    """Return the recordings of ``SPEAKER_WORD_NUMBER.wav`` with the word as the class, where it is a word for sure."""
    if any(entry.speaker is None or _SPOKEN.fullmatch(entry.stem) for entry in recordings):
        return recordings
    speakers = {str(entry.speaker) for entry in recordings}
    if len(speakers) < 2 or not _all_known(speakers) or any(_is_known(entry.label) for entry in recordings):
        return recordings
    return [entry._replace(label=str(entry.speaker), speaker=entry.label) for entry in recordings]


def _refuse_words_in_names(recordings: Sequence[Recording], where: Path) -> None:
    """Refuse ``anna/yes1.wav``: folders that are no known words, with names of words in several of them."""
    loose = [entry for entry in recordings if entry.speaker is None]
    words = [] if len(loose) < len(recordings) else _recurring(loose, least=1)
    if words and _all_known(words) and not any(_is_known(entry.label) for entry in recordings):
        folders = sorted({entry.label for entry in recordings})
        raise DatasetError(
            f"{where} holds the folders {listed(folders)} with recordings called {listed(words)} in each: the folders "
            f"seem to be speakers, not classes; {_REMEDY}."
        )


def _is_known(word: str) -> bool:
    return word.casefold() in _KNOWN


def _all_known(words: Collection[str]) -> bool:
    return all(map(_is_known, words))
