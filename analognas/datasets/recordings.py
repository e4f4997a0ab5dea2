"""Which recordings a folder or archive holds: of what class, by whom, for which part. Nothing is decoded here."""

from __future__ import annotations

import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from analognas.datasets import cache
from analognas.datasets.base import PARTS
from analognas.datasets.leftovers import PassedOver, is_leftover, told
from analognas.datasets.parts import folds, listed, parts_of
from analognas.datasets.speakers import NOISE, Recording, class_and_speaker, with_speakers
from analognas.errors import DatasetError

LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
"""Files of Speech Commands that name the recordings of these parts."""

_ENDINGS = (".wav", ".wave")


@dataclass(frozen=True)
class Source:
    """A folder or a tar archive; ``names`` are its WAV files and lists, sorted, relative, with ``/``.

    ``state`` changes when any of them does; ``folders`` are all folders, sorted; ``passed_over`` is what is not read.
    Make one with ``open_source``.
    """

    path: Path
    names: tuple[str, ...]
    state: Any
    folders: tuple[str, ...] = ()
    passed_over: PassedOver = field(default_factory=PassedOver, compare=False)

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
        passed_over = PassedOver()
        states = dict(_walk(path, passed_over))
        names = tuple(sorted(name for name, state in states.items() if state is not None))
        folders = tuple(sorted(name for name, state in states.items() if state is None))
        return Source(path, names, [states[name] for name in names], folders, passed_over)
    if not path.is_file():
        raise DatasetError(f"There is no {path}; give the folder or archive of your recordings with --path.")
    passed_over = PassedOver()
    with _archive(path) as tar:
        members = [(name, member.isdir()) for name, member in _members(tar, passed_over)]
    files, folders = (tuple(sorted(name for name, is_dir in members if is_dir == kind)) for kind in (False, True))
    return Source(path, files, cache.file_state(path.stat()), folders, passed_over)


def recordings(source: Source) -> list[Recording]:
    """Return the recordings of a source, sorted by name, after finding out how it is organised.

    ``CLASS/*.wav``, parts with class folders (``train/CLASS/*.wav`` with ``validation`` and ``test`` beside it, under
    these or similar names, or ``CLASS/train/*.wav``), or ``CLASS_SPEAKER_N.wav`` without folders or in those of parts;
    folders around the whole do not matter. In folders, ``SPEAKER_nohash_*.wav`` (as in Speech Commands) and
    ``CLASS_SPEAKER_N.wav`` tell the speaker; ``CLASS`` may be another name than the folder's there, if it is one name
    in each folder and no two folders have the same. See ``speakers`` for folders that are speakers.

    Raises:
        DatasetError: naming the file or the folders that do not fit.
    """
    names = _wav_names(source)
    if not names:
        instead = f", but {told(source.passed_over.files)}" if source.passed_over.files else ""
        raise DatasetError(
            f"{source.path} holds no .wav files{instead}; give the folder of your recordings with --path."
        )
    depth = _common_depth([name.split("/") for name in names])
    paths = {name: name.split("/")[depth:] for name in names}
    if all(len(path) == 1 for path in paths.values()):
        return with_speakers(_named(source, paths, {}), source.path)
    return _listed(source, with_speakers(_in_folders(source, paths), source.path))


def _in_folders(source: Source, paths: Mapping[str, Sequence[str]]) -> list[Recording]:
    """Return the recordings by the folders in which they stand."""
    tops = sorted({path[0] for path in paths.values() if path[0] != NOISE})
    if folds(tops):
        raise DatasetError(
            f"{source.path} holds {listed(tops)}, which are numbered pieces of the data and no classes: put the "
            "recordings into a folder per class, or into train, validation and test with class folders in each (if "
            "they are classes, give them other names)."
        )
    parts = _parts(paths.values())
    spoken = {  # archives are unpacked into folders of their own name: test/test
        name: path[1:] if len(path) > 3 and path[0] in parts and path[1] == path[0] else path
        for name, path in paths.items()
        if path[0] != NOISE
    }
    noise = [Recording(name, NOISE) for name in paths if name not in spoken]
    if len(tops) > 1 and set(parts) == set(tops) and all(len(path) == 2 for path in spoken.values()):
        return [*_named(source, spoken, parts), *noise]
    inside = {name: _in_part(path, parts) for name, path in spoken.items()}
    if any(inside.values()):
        for name in spoken:
            if not inside[name]:
                raise DatasetError(
                    f"{source.place(name)} stands beside a folder called train, validation or test that holds classes; "
                    "move it away, or call that class otherwise."
                )
        return [*(_placed(name, path[1:], parts[path[0]]) for name, path in spoken.items()), *noise]
    inner = {path[1] for path in spoken.values() if len(path) > 2}
    inner_parts = parts_of(sorted(inner))
    if len(inner_parts) > 1 and "train" in inner_parts.values():
        for name, path in spoken.items():
            if len(path) < 3 or path[1] not in inner_parts:
                raise DatasetError(
                    f"{source.place(name)} stands in no part, though other classes have {listed(sorted(inner_parts))} "
                    "in their folders; move it into one of them."
                )
        placed = [_placed(name, [path[0], *path[2:]], inner_parts[path[1]]) for name, path in spoken.items()]
        return [*placed, *noise]
    for name, path in spoken.items():
        if len(path) == 1:
            raise DatasetError(f"{source.place(name)} stands beside the class folders; move it into one of them.")
    return [*(_placed(name, path, None) for name, path in spoken.items()), *noise]


def _placed(name: str, path: Sequence[str], part: str | None) -> Recording:
    """Return a recording by its path from the folder of its class on."""
    return Recording(name, path[0], None, part, path[1] if len(path) > 2 else None)


def _named(source: Source, paths: Mapping[str, Sequence[str]], parts: Mapping[str, str]) -> list[Recording]:
    """Return recordings that no class folder holds by their names; they may stand in folders of parts."""
    named = []
    for name, path in paths.items():
        match = class_and_speaker(path[-1].rpartition(".")[0])
        if match is None:
            instead = f"; {listed(parts)} are parts, no classes" if parts else ""
            raise DatasetError(
                f"{source.place(name)} tells no class{instead}: put recordings into a folder per class, "
                "or call them CLASS_SPEAKER_NUMBER.wav."
            )
        named.append(Recording(name, *match, parts.get(path[0])))
    return named


def _parts(paths: Iterable[Sequence[str]]) -> dict[str, str]:
    """Return which folders around classes, or around recordings, are parts."""
    return parts_of(sorted({path[0] for path in paths if len(path) > 1 and path[0] != NOISE}))


def class_names(source: Source, recorded: Sequence[Recording]) -> list[str]:
    """Return the classes of recordings, sorted.

    Raises:
        DatasetError: if there are fewer than 2, a part lacks one, or a class folder is empty.
    """
    _refuse_empty(source)
    names = sorted({recording.label for recording in recorded})
    if len(names) < 2:
        raise DatasetError(f"{source.path} holds recordings of {len(names)} class; at least 2 are needed.")
    given = {recording.part for recording in recorded}
    if None not in given:
        if "train" not in given:
            raise DatasetError(f"{source.path} holds {', '.join(sorted(map(str, given)))} but no train folder; add it.")
        for part in PARTS:
            part_labels = {recording.label for recording in recorded if recording.part == part}
            if part_labels and part_labels != set(names):
                odd = sorted(set(names) - part_labels)[0]
                raise DatasetError(f"Class {odd!r} has recordings in {source.path}, but none for {part}; add some.")
    return names


def _refuse_empty(source: Source) -> None:
    """Refuse a folder beside or among the class folders that holds no recordings: a class would silently be missing.

    What stands around the whole, and folders that are called ``_...``, do not matter.
    """
    split = [name.split("/") for name in _wav_names(source)]
    depth = _common_depth(split)
    inner = [parts[depth:] for parts in split]
    if all(len(parts) == 1 for parts in inner):
        return  # there are no class folders
    parts = _parts(inner)
    level = depth + 1 + any(_in_part(path, parts) for path in inner)
    filled = {tuple(parts[:level]) for parts in split if len(parts) > level}
    for name in source.folders:
        path = name.split("/")
        if (
            len(path) == level
            and path[:depth] == split[0][:depth]
            and (level == depth + 1 or path[depth] in parts)
            and not path[-1].startswith("_")
            and tuple(path) not in filled
        ):
            raise DatasetError(f"Class folder {source.place(name)} holds no .wav files; add some or remove it.")


def _wav_names(source: Source) -> list[str]:
    return [name for name in source.names if name.lower().endswith(_ENDINGS)]


def _in_part(path: Sequence[str], parts: Mapping[str, str]) -> bool:
    """Return whether a file's path, without the folders around the whole, begins with a part and a class."""
    return len(path) > 2 and path[0] in parts


def _listed(source: Source, recorded: list[Recording]) -> list[Recording]:
    """Return the recordings with the parts that the lists of Speech Commands give them, if both are there."""
    lists = {part: next((name for name in source.names if name.endswith(end)), None) for part, end in LISTS.items()}
    if None in lists.values():
        return recorded
    parts = {line.strip(): part for part, name in lists.items() for line in source.text(str(name)).splitlines()}
    return [
        recording._replace(part=parts.get("/".join(recording.name.split("/")[-2:]), "train")) for recording in recorded
    ]


def _common_depth(paths: Sequence[Sequence[str]]) -> int:
    """Return how many folders all files have in common, at most so many that something is left."""
    depth = 0
    while all(len(path) > depth + 1 for path in paths) and len({path[depth] for path in paths}) == 1:
        depth += 1
    return depth


def _visible(name: str) -> bool:
    return not any(map(is_leftover, name.split("/")))


def _wanted(name: str) -> bool:
    return name.lower().endswith(_ENDINGS) or name.rpartition("/")[2] in LISTS.values()


def _walk(root: Path, passed_over: PassedOver) -> Iterator[tuple[str, tuple[int, int, int] | None]]:
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
        passed_over.update(filter(is_leftover, subfolders))
        subfolders[:] = [name for name in subfolders if not is_leftover(name)]
        if (inside := Path(folder).relative_to(root).as_posix()) != ".":
            yield inside, None
        for file in files:
            path = Path(folder) / file
            if is_leftover(file) or not _wanted(file):
                passed_over.add(file)
                continue
            try:
                yield path.relative_to(root).as_posix(), cache.file_state(path.stat())
            except OSError as error:
                refuse(error)


def _members(tar: tarfile.TarFile, passed_over: PassedOver | None = None) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """Yield the wanted files and the folders of an archive; its end is read too: gzip's checksum stands there."""
    counted = set()
    for member in tar:
        name = member.name.removeprefix("./")
        if _visible(name):
            if member.isdir() or (member.isfile() and _wanted(name)):
                yield name, member
            elif passed_over is not None:
                passed_over.add(name.rpartition("/")[2])
        elif passed_over is not None and name != ".":
            path = name.split("/")
            place = next(index for index, folder in enumerate(path) if is_leftover(folder))
            if tuple(path[: place + 1]) not in counted:
                counted.add(tuple(path[: place + 1]))
                passed_over.add(path[place])
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
        raise DatasetError(f"{path} is not a whole tar archive; remove it and get it again.") from error
