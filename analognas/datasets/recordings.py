"""Which recordings a folder or archive holds: of what class, by whom, for which part. Nothing is decoded here."""

from __future__ import annotations

import lzma
import os
import re
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from analognas.datasets import cache
from analognas.datasets.base import PARTS
from analognas.errors import DatasetError

NOISE = "_background_noise_"
LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
"""Files of Speech Commands that name the recordings of these parts."""

_PART_NAMES = {
    "train": "train", "training": "train", "test": "test", "testing": "test",
    "validation": "validation", "val": "validation", "valid": "validation",
}  # fmt: skip
_IGNORED = "__MACOSX"
_FLAT = re.compile(r"(?P<label>.+)_(?P<speaker>[^_]+)_\d+")
_THREE = re.compile(r"(?P<label>[^_]+)_(?P<speaker>[^_]+)_\d+")
_SPOKEN = re.compile(r"(?P<speaker>.+)_nohash_.*")
_NUMBER = re.compile(r"[\W_]*\d+\W*$")
_BETWEEN = re.compile(r"[\W_]+")


class Recording(NamedTuple):
    """One WAV file: its name in the source, class, speaker (if the name tells) and part (if its folder tells)."""

    name: str
    label: str
    speaker: str | None = None
    part: str | None = None


@dataclass(frozen=True)
class Source:
    """A folder or a tar archive; ``names`` are its WAV files and lists, sorted, relative, with ``/``.

    ``state`` changes when any of them does; ``folders`` are all folders, sorted. Make one with ``open_source``.
    """

    path: Path
    names: tuple[str, ...]
    state: Any
    folders: tuple[str, ...] = ()

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Yield name and content of some of the files, in the order in which they are cheapest to read.

        Raises:
            DatasetError: naming the file that cannot be read.
        """
        wanted = set(names)
        if self.path.is_dir():
            for name in sorted(wanted):
                try:
                    yield name, (self.path / name).read_bytes()
                except OSError as error:
                    raise DatasetError(f"{error.filename} cannot be read ({error.strerror}); mend it.") from error
        elif wanted:
            yield from self._unpacked(wanted)

    def text(self, name: str) -> str:
        """Return the content of one file as text."""
        return next(iter(self.read([name])))[1].decode(errors="replace")

    def place(self, name: str) -> str:
        """Return how one of the files is called in messages."""
        return str(self.path / name) if self.path.is_dir() else f"{name} in {self.path}"

    def _unpacked(self, wanted: set[str]) -> Iterator[tuple[str, bytes]]:
        with _archive(self.path) as tar:
            for name, member in _members(tar):
                if name in wanted and member.isfile():
                    file = tar.extractfile(member)
                    assert file is not None
                    yield name, file.read()


def open_source(path: Path) -> Source:
    """Return what a folder or a tar archive holds.

    Raises:
        DatasetError: if it is neither, or cannot be read.
    """
    if path.is_dir():
        states = dict(_walk(path))
        names = tuple(sorted(name for name, state in states.items() if state is not None))
        folders = tuple(sorted(name for name, state in states.items() if state is None))
        return Source(path, names, [states[name] for name in names], folders)
    if not path.is_file():
        raise DatasetError(f"There is no {path}; give the folder or archive of your recordings with --path.")
    with _archive(path) as tar:
        members = [(name, member.isdir()) for name, member in _members(tar)]
    files, folders = (tuple(sorted(name for name, is_dir in members if is_dir == kind)) for kind in (False, True))
    return Source(path, files, cache.file_state(path.stat()), folders)


def recordings(source: Source) -> list[Recording]:
    """Return the recordings of a source, sorted by name, after finding out how it is organised.

    ``CLASS/*.wav``, ``train/CLASS/*.wav`` with ``validation`` and ``test`` beside it, or ``CLASS_SPEAKER_N.wav``
    without folders; folders around the whole do not matter. In folders, ``SPEAKER_nohash_*.wav`` (as in Speech
    Commands) and ``CLASS_SPEAKER_N.wav`` tell the speaker; ``CLASS`` may be another name than the folder's there, if
    it is one name in each folder and no two folders have the same.

    Raises:
        DatasetError: naming the file that does not fit.
    """
    names = _wav_names(source)
    if not names:
        raise DatasetError(f"{source.path} holds no .wav files; give the folder of your recordings with --path.")
    depth = _common_depth([name.split("/") for name in names])
    parsed = []
    split = [name.split("/")[depth:] for name in names]
    in_part = [_in_part(parts) for parts in split]
    by_part = any(in_part)
    for name, parts, inside in zip(names, split, in_part, strict=True):
        if by_part and not inside and parts[0] != NOISE:
            raise DatasetError(
                f"{source.place(name)} stands beside a folder called train, validation or test that holds classes; "
                "move it away, or call that class otherwise."
            )
    flat = all(len(parts) == 1 for parts in split)
    for name, parts in zip(names, split, strict=True):
        stem = parts[-1].rpartition(".")[0]
        if flat:
            match = _FLAT.fullmatch(stem)
            if match is None:
                raise DatasetError(
                    f"{source.place(name)} tells no class: put recordings into a folder per class, "
                    "or call them CLASS_SPEAKER_NUMBER.wav."
                )
            parsed.append(Recording(name, match["label"], match["speaker"]))
        elif len(parts) == 1:
            raise DatasetError(f"{source.place(name)} stands beside the class folders; move it into one of them.")
        else:
            part = _PART_NAMES.get(parts[0].casefold()) if by_part else None
            label = parts[0] if part is None else parts[1]
            parsed.append(Recording(name, label, _speaker(stem, label), part))
    return _listed(source, _with_speakers(parsed))


def class_names(source: Source, found: Sequence[Recording]) -> list[str]:
    """Return the classes of recordings, sorted.

    Raises:
        DatasetError: if there are fewer than 2, a part lacks one, or a class folder is empty.
    """
    _refuse_empty(source)
    names = sorted({recording.label for recording in found})
    if len(names) < 2:
        raise DatasetError(f"{source.path} holds recordings of {len(names)} class; at least 2 are needed.")
    given = {recording.part for recording in found}
    if None not in given:
        if "train" not in given:
            raise DatasetError(f"{source.path} holds {', '.join(sorted(map(str, given)))} but no train folder; add it.")
        for part in PARTS:
            part_labels = {recording.label for recording in found if recording.part == part}
            if part_labels and part_labels != set(names):
                odd = sorted(set(names) - part_labels)[0]
                raise DatasetError(f"Class {odd!r} has recordings in {source.path}, but none for {part}; add some.")
    return names


def looks_spoken(found: Sequence[Recording]) -> list[str]:
    """Return what may be speakers in the names of recordings that tell none: words that recur in several classes.

    The first or the last word before the number, as in ``anna1.wav``: at least two of them, each twice or more in two
    classes, that are in half of these names.
    """
    loose = [recording for recording in found if recording.speaker is None]
    for position in (0, -1):
        counts: dict[str, dict[str, int]] = {}
        for entry in loose:
            stem = entry.name.rpartition("/")[2].rpartition(".")[0]
            words = [word for word in _BETWEEN.split(_NUMBER.sub("", stem)) if word]
            if words and not words[position].isdecimal():
                by_class = counts.setdefault(words[position], {})
                by_class[entry.label] = by_class.get(entry.label, 0) + 1
        recurring = sorted(
            word for word, class_counts in counts.items() if sum(count > 1 for count in class_counts.values()) > 1
        )
        if len(recurring) > 1 and 2 * sum(sum(counts[word].values()) for word in recurring) >= len(loose):
            return recurring
    return []


def _refuse_empty(source: Source) -> None:
    """Refuse a folder beside or among the class folders that holds no recordings: a class would silently be missing.

    What stands around the whole, and folders that are called ``_...``, do not matter.
    """
    split = [name.split("/") for name in _wav_names(source)]
    depth = _common_depth(split)
    inner = [parts[depth:] for parts in split]
    if all(len(parts) == 1 for parts in inner):
        return  # there are no class folders
    level = depth + 1 + any(map(_in_part, inner))
    filled = {tuple(parts[:level]) for parts in split if len(parts) > level}
    for name in source.folders:
        parts = name.split("/")
        if (
            len(parts) == level
            and parts[:depth] == split[0][:depth]
            and (level == depth + 1 or parts[depth].casefold() in _PART_NAMES)
            and not parts[-1].startswith("_")
            and tuple(parts) not in filled
        ):
            raise DatasetError(f"Class folder {source.place(name)} holds no .wav files; add some or remove it.")


def _wav_names(source: Source) -> list[str]:
    return [name for name in source.names if name.lower().endswith(".wav")]


def _in_part(parts: Sequence[str]) -> bool:
    """Return whether a file's path, without the folders around the whole, begins with a part and a class."""
    return len(parts) > 2 and parts[0].casefold() in _PART_NAMES


def _with_speakers(found: list[Recording]) -> list[Recording]:
    """Return the recordings with speakers where folders call their class otherwise than the names in them do.

    ``zero/0_anna_1.wav``: what stands first is one name in each folder and different in every folder. What stands
    second is taken for speakers only if there are several and every folder shares one with another: a name that goes
    with its class alone is more likely the class.
    """
    if all(recording.speaker or recording.label == NOISE for recording in found):
        return found
    by_label: dict[str, list[re.Match[str] | None]] = {}
    for entry in found:
        stem = entry.name.rpartition("/")[2].rpartition(".")[0]
        match = None if _SPOKEN.fullmatch(stem) else _THREE.fullmatch(stem)
        by_label.setdefault(entry.label, []).append(match)
    speakers: dict[str, set[str]] = {}
    firsts: list[str] = []
    for label, matches in by_label.items():
        told = [match for match in matches if match is not None]
        first = {match["label"] for match in told}
        if label != NOISE and len(told) == len(matches) and len(first) == 1:
            speakers[label] = {match["speaker"] for match in told}
            firsts += first
    everybody = Counter(speaker for class_speakers in speakers.values() for speaker in class_speakers)
    shared = all(any(everybody[speaker] > 1 for speaker in class_speakers) for class_speakers in speakers.values())
    if len(set(firsts)) < len(firsts) or len(everybody) < 2 or not shared:
        return found
    return [
        recording._replace(speaker=recording.name.rpartition("/")[2].split("_")[1])
        if recording.label in speakers
        else recording
        for recording in found
    ]


def _listed(source: Source, found: list[Recording]) -> list[Recording]:
    """Return the recordings with the parts that the lists of Speech Commands give them, if both are there."""
    lists = {part: next((name for name in source.names if name.endswith(end)), None) for part, end in LISTS.items()}
    if None in lists.values():
        return found
    parts = {line.strip(): part for part, name in lists.items() for line in source.text(str(name)).splitlines()}
    return [
        recording._replace(part=parts.get("/".join(recording.name.split("/")[-2:]), "train")) for recording in found
    ]


def _speaker(stem: str, label: str) -> str | None:
    match = _SPOKEN.fullmatch(stem)
    if match is None:
        match = _FLAT.fullmatch(stem)
        if match is None or match["label"] != label:
            return None
    return match["speaker"]


def _common_depth(paths: Sequence[Sequence[str]]) -> int:
    """Return how many folders all files have in common, at most so many that something is left."""
    depth = 0
    while all(len(path) > depth + 1 for path in paths) and len({path[depth] for path in paths}) == 1:
        depth += 1
    return depth


def _visible(name: str) -> bool:
    return not any(part.startswith(".") or part == _IGNORED for part in name.split("/"))


def _wanted(name: str) -> bool:
    return _visible(name) and (name.lower().endswith(".wav") or name.rpartition("/")[2] in LISTS.values())


def _walk(root: Path) -> Iterator[tuple[str, tuple[int, int, int] | None]]:
    """Yield the relative names and states of the wanted files below a folder, and its folders; links are followed."""
    seen = set()  # links may lead in circles

    def refuse(error: OSError) -> None:
        raise DatasetError(f"{error.filename} cannot be read ({error.strerror}); mend or remove it.") from error

    for folder, subfolders, files in os.walk(root, onerror=refuse, followlinks=True):
        real = Path(folder).resolve()
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        if _visible(inside := Path(folder).relative_to(root).as_posix()):  # not the root, which is "."
            yield inside, None
        for file in files:
            path = Path(folder) / file
            name = path.relative_to(root).as_posix()
            if _wanted(name):
                try:
                    yield name, cache.file_state(path.stat())
                except OSError as error:
                    refuse(error)


def _members(tar: tarfile.TarFile) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """Yield the wanted files and the folders of an archive; its end is read too: gzip's checksum stands there."""
    for member in tar:
        name = member.name.removeprefix("./")
        if _wanted(name) if member.isfile() else member.isdir() and _visible(name):
            yield name, member
    while tar.fileobj and tar.fileobj.read(1 << 20):
        pass


@contextmanager
def _archive(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path) as tar:
            yield tar
    except (OSError, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as error:
        if path.suffix.lower() == ".zip" or zipfile.is_zipfile(path):
            raise DatasetError(
                f"{path} is a zip archive, which is not read; unpack it and give the folder with --path DIR."
            ) from error
        reason = str(error).partition(":")[0]  # the rest is what each kind of compression says
        raise DatasetError(f"{path} is not a whole tar archive ({reason}); remove it and get it again.") from error
