"""Which recordings a folder or archive holds: of what class, by whom, for which part. Nothing is decoded here."""

from __future__ import annotations

import lzma
import os
import re
import tarfile
import zipfile
import zlib
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
_SPOKEN = re.compile(r"(?P<speaker>.+)_nohash_.*")


class Recording(NamedTuple):
    """One WAV file: its name in the source, class, speaker (if the name tells) and part (if its folder tells)."""

    name: str
    label: str
    speaker: str | None = None
    part: str | None = None


@dataclass(frozen=True)
class Source:
    """A folder or a tar archive; ``names`` are its WAV files and lists, sorted, relative, with ``/``.

    ``state`` changes when any of them does. Make one with ``open_source``.
    """

    path: Path
    names: tuple[str, ...]
    state: Any

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
                if name in wanted:
                    file = tar.extractfile(member)
                    assert file is not None  # only plain files are members
                    yield name, file.read()


def open_source(path: Path) -> Source:
    """Return what a folder or a tar archive holds.

    Raises:
        DatasetError: if it is neither, or cannot be read.
    """
    if path.is_dir():
        states = dict(_walk(path))
        names = tuple(sorted(states))
        return Source(path, names, [states[name] for name in names])
    if not path.is_file():
        raise DatasetError(f"There is no {path}; give the folder or archive of your recordings with --path.")
    with _archive(path) as tar:
        found = [name for name, _ in _members(tar)]
    return Source(path, tuple(sorted(found)), cache.file_state(path.stat()))


def recordings(source: Source) -> list[Recording]:
    """Return the recordings of a source, sorted by name, after finding out how it is organised.

    ``CLASS/*.wav``, ``train/CLASS/*.wav`` with ``validation`` and ``test`` beside it, or ``CLASS_SPEAKER_N.wav``
    without folders; folders around the whole do not matter. In folders, ``SPEAKER_nohash_*.wav`` (as in Speech
    Commands) and ``CLASS_SPEAKER_N.wav`` tell the speaker.

    Raises:
        DatasetError: naming the file that does not fit.
    """
    names = [name for name in source.names if name.lower().endswith(".wav")]
    if not names:
        raise DatasetError(f"{source.path} holds no .wav files; give the folder of your recordings with --path.")
    depth = _common_depth([name.split("/") for name in names])
    found = []
    split = [name.split("/")[depth:] for name in names]
    in_part = [len(parts) > 2 and parts[0].casefold() in _PART_NAMES for parts in split]
    by_part = any(in_part)
    for name, parts, one in zip(names, split, in_part, strict=True):
        if by_part and not one and parts[0] != NOISE:
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
            found.append(Recording(name, match["label"], match["speaker"]))
        elif len(parts) == 1:
            raise DatasetError(f"{source.place(name)} stands beside the class folders; move it into one of them.")
        else:
            part = _PART_NAMES.get(parts[0].casefold()) if by_part else None
            label = parts[0] if part is None else parts[1]
            found.append(Recording(name, label, _speaker(stem, label), part))
    return _listed(source, found)


def class_names(source: Source, found: Sequence[Recording]) -> list[str]:
    """Return the classes of recordings, sorted.

    Raises:
        DatasetError: if there are fewer than 2, or a part lacks one.
    """
    names = sorted({one.label for one in found})
    if len(names) < 2:
        raise DatasetError(f"{source.path} holds recordings of {len(names)} class; at least 2 are needed.")
    given = {one.part for one in found}
    if None not in given:
        if "train" not in given:
            raise DatasetError(f"{source.path} holds {', '.join(sorted(map(str, given)))} but no train folder; add it.")
        for part in PARTS:
            here = {one.label for one in found if one.part == part}
            if here and here != set(names):
                odd = sorted(set(names) - here)[0]
                raise DatasetError(f"Class {odd!r} has recordings in {source.path}, but none for {part}; add some.")
    return names


def _listed(source: Source, found: list[Recording]) -> list[Recording]:
    """Return the recordings with the parts that the lists of Speech Commands give them, if both are there."""
    lists = {part: next((name for name in source.names if name.endswith(end)), None) for part, end in LISTS.items()}
    if None in lists.values():
        return found
    parts = {line.strip(): part for part, name in lists.items() for line in source.text(str(name)).splitlines()}
    return [one._replace(part=parts.get("/".join(one.name.split("/")[-2:]), "train")) for one in found]


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


def _wanted(name: str) -> bool:
    parts = name.split("/")
    if any(part.startswith(".") or part == _IGNORED for part in parts):
        return False
    return name.lower().endswith(".wav") or parts[-1] in LISTS.values()


def _walk(root: Path) -> Iterator[tuple[str, tuple[int, int, int]]]:
    """Yield the relative names and states of the wanted files below a folder; links are followed."""
    seen = set()  # links may lead in circles

    def refuse(error: OSError) -> None:
        raise DatasetError(f"{error.filename} cannot be read ({error.strerror}); mend or remove it.") from error

    for folder, subfolders, files in os.walk(root, onerror=refuse, followlinks=True):
        real = Path(folder).resolve()
        if real in seen:
            subfolders.clear()
            continue
        seen.add(real)
        for file in files:
            path = Path(folder) / file
            name = path.relative_to(root).as_posix()
            if _wanted(name):
                try:
                    yield name, cache.file_state(path.stat())
                except OSError as error:
                    refuse(error)


def _members(tar: tarfile.TarFile) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """Yield the wanted members of an archive; at its end the rest is read, because gzip's checksum stands there."""
    for member in tar:
        name = member.name.removeprefix("./")
        if member.isfile() and _wanted(name):
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
