"""Files that are either whole or not there.

A file is written beside its place, flushed to the disk and renamed over it; a directory is replaced whole.
So a killed run or a power cut leaves the old file or the new one, never half of either.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analognas import parquet
from analognas.errors import CorruptFileError, WorkspaceError

if TYPE_CHECKING:
    import pandas as pd

_TEMPORARY = ".tmp-"
_OLD = "-old"
#: What is said of a file that a merge left in conflict.
CONFLICT = "holds both sides of a merge that git could not end: run `analognas merge`, and mend by hand what it leaves"
#: The names that are made by ``tempfile``, and no other file that somebody calls so.
_LEFTOVER = re.compile(rf"{re.escape(_TEMPORARY)}.+-[a-z0-9_]{{8}}({_OLD})?")
_CHECKSUM = "checksum"
# What a file system answers that cannot sync a folder: then the rename is all there is.
_NOT_SUPPORTED = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)


def canonical_json(data: Any) -> str:
    """Return the one text of ``data``: sorted keys, no spaces, no NaN."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(data: Any) -> str:
    """Return the SHA-256 of the canonical JSON of ``data`` (64 hexadecimal digits)."""
    return hashlib.sha256(canonical_json(data).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names and contents of a directory's files."""
    if path.is_dir():
        names = sorted(p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file())
        return digest([[name, file_digest(path / name)] for name in names])
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` atomically and durably.

    Raises:
        WorkspaceError: if the folder cannot be written.
    """
    with writing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` (UTF-8) to ``path`` atomically and durably."""
    write_bytes(path, text.encode())


def json_bytes(data: Any) -> bytes:
    """Return ``data`` as a JSON file: indented, with sorted keys."""
    return (json.dumps(data, sort_keys=True, indent=2, allow_nan=False) + "\n").encode()


def write_json(path: Path, data: Any) -> None:
    """Write ``data`` as a JSON file to ``path``, atomically."""
    write_bytes(path, json_bytes(data))


def read_json(path: Path, *, remedy: str) -> Any:
    """Return what a JSON file holds.

    Raises:
        CorruptFileError: if it is missing or no JSON; the message ends in ``remedy``.
        WorkspaceError: if it cannot be read.
    """
    try:
        return json.loads(read_bytes(path, remedy=remedy).decode(), parse_constant=_no_number)
    except (ValueError, RecursionError):  # no text, no JSON, or nested without end
        if in_conflict(path):
            raise CorruptFileError(f"{path} {CONFLICT}.") from None
        raise CorruptFileError(f"{path} is damaged (no valid JSON): {remedy}.") from None


def in_conflict(path: Path) -> bool:
    """Return whether git left both sides of a merge in a file."""
    try:
        content = b"\n" + path.read_bytes()
    except OSError:
        return False
    return b"\n<<<<<<< " in content and b"\n>>>>>>> " in content


def sealed_bytes(data: Mapping[str, Any], key: str = _CHECKSUM) -> bytes:
    """Return an object as a JSON file that also holds, under ``key``, the digest of everything else in it."""
    # What a reader will have: keys are text there.
    content = json.loads(json.dumps({name: value for name, value in data.items() if name != key}, allow_nan=False))
    return json_bytes(content | {key: _seal(content, key)})


def _seal(content: Mapping[str, Any], key: str) -> list[str] | str:
    # As a list: DVC shows the texts of a file among its metrics, and leaves lists out.
    return [digest(content)] if key == _CHECKSUM else digest(content)


def write_sealed(path: Path, data: Mapping[str, Any], key: str = _CHECKSUM) -> None:
    """Write an object as a JSON file with its digest (under ``key``) to ``path``, atomically."""
    write_bytes(path, sealed_bytes(data, key))


def read_sealed(path: Path, *, remedy: str, key: str = _CHECKSUM, bare: bool = False) -> dict[str, Any]:
    """Return the object that ``write_sealed`` wrote, without its digest.

    Args:
        path: the file.
        remedy: what the message ends in if it is not whole.
        key: that the digest stands under.
        bare: whether an object without a digest is taken: what a person may have written, or a version without digests.

    Raises:
        CorruptFileError: if it is missing, another one now, or something else; the message ends in ``remedy``.
        WorkspaceError: if it cannot be read.
    """
    content = read_json(path, remedy=remedy)
    if not isinstance(content, dict):
        raise CorruptFileError(f"{path} is damaged (no JSON object): {remedy}.")
    if key not in content and bare:
        return content
    if key not in content:
        raise CorruptFileError(f"{path} is damaged, or was not written by analognas (it has no {key}): {remedy}.")
    expected = content.pop(key)
    try:
        whole = _seal(content, key) == expected
    except (ValueError, RecursionError):  # half a character, nested too deep: no digest was ever made of these
        whole = False
    if not whole:
        raise CorruptFileError(f"{path} is damaged (its {key} does not fit): {remedy}.")
    return content


def read_bytes(path: Path, *, remedy: str) -> bytes:
    """Return what a file holds.

    Raises:
        CorruptFileError: if it is missing; the message ends in ``remedy``.
        WorkspaceError: if it cannot be read.
    """
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise CorruptFileError(f"{path} is missing: {remedy}.") from None
    except OSError as error:
        raise _unreadable(path, error) from None


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def inside(folder: Path, name: str, *, remedy: str) -> Path:
    """Return the path of a file in a folder that another file names.

    Raises:
        CorruptFileError: if it would lie outside of the folder; the message ends in ``remedy``.
    """
    parts = Path(name).parts
    if not parts or ".." in parts or Path(name).is_absolute():
        raise CorruptFileError(f"{folder} names a file outside of it ({name!r}): {remedy}.")
    return folder / name


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    """Write a frame as parquet to ``path``, atomically; the same frame gives the same bytes, see ``parquet.encode``."""
    write_bytes(path, parquet.encode(frame))


def read_parquet(path: Path, *, remedy: str) -> pd.DataFrame:
    """Return the frame that ``write_parquet`` wrote.

    Raises:
        CorruptFileError: if it is missing, damaged, or another program's; the message ends in ``remedy``.
        WorkspaceError: if it cannot be read.
    """
    try:
        return parquet.decode(read_bytes(path, remedy=remedy))
    except ValueError as error:
        raise CorruptFileError(f"{path} is damaged, or was not written by analognas ({error}): {remedy}.") from None


def is_damaged_database(path: Path) -> bool:
    """Return whether a file is a damaged SQLite database; one that is missing, empty, locked or unreadable is not."""
    if not path.is_file():
        return False
    try:
        with closing(sqlite3.connect(path)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",))
    except sqlite3.OperationalError:
        return False
    except sqlite3.DatabaseError:
        return True


def workspace_root(start: Path) -> Path | None:
    """Return the folder of the workspace that ``start`` lies in (params.yaml with dvc.yaml), None if it is in none.

    Folders that may not be looked into are none: a service user is often called where somebody else is at home.
    """
    for folder in (start, *start.parents):
        with suppress(PermissionError):
            if (folder / "params.yaml").is_file() and (folder / "dvc.yaml").is_file():
                return folder
    return None


def cache_folder() -> Path:
    """Return the one folder on this machine for downloads and what is made of them; nothing in it is precious.

    It is ``ANALOGNAS_DATA`` if that is set, else the platform's cache folder of analognas.
    """
    named = os.environ.get("ANALOGNAS_DATA")
    if named:
        return Path(named).expanduser()
    import pooch

    return Path(pooch.os_cache("analognas"))


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside ``path`` that takes its place when the block ends well.

    Raises:
        WorkspaceError: if the folder cannot be written, or has a folder of that name.
    """
    if path.is_dir():
        raise WorkspaceError(f"Cannot write {path}: it is a folder, where a file has to be; move it away.")
    with _errors_named(path):
        _make(path.parent)
        handle, name = tempfile.mkstemp(prefix=f"{_TEMPORARY}{path.name}-", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
    try:
        with _errors_named(path):
            yield temporary
            temporary.chmod(0o644)
            flush(temporary)
            temporary.replace(path)
            flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def writing_directory(path: Path) -> Iterator[Path]:
    """Yield a temporary directory beside ``path`` that takes its place when the block ends well.

    A directory that is there is replaced, whatever it holds: for places where nothing but what is written here belongs,
    the outputs of stages. ``folders.write_folder`` looks first.

    Raises:
        WorkspaceError: if the folder cannot be written, or has a file of that name.
    """
    if os.path.lexists(path) and not path.is_dir():
        raise WorkspaceError(f"Cannot write {path}: it is a file, where a folder has to be; move it away.")
    with _errors_named(path):
        _make(path.parent)
        temporary = Path(tempfile.mkdtemp(prefix=f"{_TEMPORARY}{path.name}-", dir=path.parent))
    old = temporary.with_name(temporary.name + _OLD)
    try:
        with _errors_named(path):
            yield temporary
            temporary.chmod(0o755)
            for file in sorted(temporary.rglob("*")):
                flush(file)
            flush(temporary)
            if path.exists():
                path.rename(old)
            temporary.rename(path)
            flush(path.parent)
    finally:
        if old.exists() and not path.exists():
            old.rename(path)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def remove_leftovers(directory: Path) -> None:
    """Remove what a killed writer left in ``directory``; a folder that it had only moved aside comes back."""
    leftovers = [path for path in directory.glob(f"{_TEMPORARY}*") if _LEFTOVER.fullmatch(path.name)]
    for old in (path for path in leftovers if path.name.endswith(_OLD)):
        place = directory / old.name.removeprefix(_TEMPORARY).removesuffix(_OLD).rpartition("-")[0]
        if not place.exists():
            old.rename(place)
    for leftover in leftovers:
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


@contextmanager
def _errors_named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WorkspaceError(
            f"Cannot write {path}: {told(error)}; make the folder writable and free some space."
        ) from error


def told(error: OSError) -> str:
    """Return what the system says of an error, for the middle of a sentence."""
    return (error.strerror or str(error)).lower()


def flush(path: Path) -> None:
    """Force a file, or the names in a folder, to the disk.

    Raises:
        OSError: if it did not get there, for instance because the disk is full.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            raise
    finally:
        os.close(handle)


def _make(folder: Path) -> None:
    """Make a folder, durably: after a power cut a file is only there if every folder above it is."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for directory in reversed(missing):
        flush(directory.parent)


def _unreadable(path: Path, error: OSError) -> WorkspaceError:
    return WorkspaceError(f"{path} cannot be read ({told(error)}): see to it that it is a file you may read.")
