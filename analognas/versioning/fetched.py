"""Whether what DVC fetched from a remote is what was recorded in git.

DVC takes what a remote holds under a hash, whatever it is (also with its setting ``verify``, as tried with 3.67): a
listing of a folder that somebody changed there may then name files outside of the workspace, which a checkout would
write. So everything is hashed here between fetch and checkout; what was hashed before is not hashed again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from analognas.errors import AnalogNASError
from analognas.files import read_sealed, write_bytes, write_sealed

_FOLDER = ".dir"


@dataclass(frozen=True)
class CachedObject:
    """A file in DVC's local cache, and the hash under which it was recorded (that of a folder's listing ends in .dir).

    ``lines`` says whether DVC hashed text without carriage returns, as it did before version 3.
    """

    hash: str
    path: Path
    lines: bool = False


def spoiled(objects: Iterable[CachedObject], known: Path) -> list[str]:
    """Return the hashes of objects that are not what was recorded, after removing them from the cache.

    Objects that are not in the cache are left out: DVC tells of them itself.

    Args:
        objects: what was recorded: files, and listings of folders.
        known: a file that remembers which were hashed before.
    """
    try:
        before = read_sealed(known, remedy="")
    except AnalogNASError:  # it only saves time
        before = {}
    wrong: list[str] = []
    now: dict[str, list[int]] = {}
    for cached in _with_entries(objects, wrong):
        state = _state(cached.path)
        if before.get(cached.hash) != state and not _is_recorded(cached):
            _remove(cached, wrong)
        else:
            now[cached.hash] = state
    if now != before:
        write_sealed(known, now)
    return sorted(set(wrong))


def put(listing: CachedObject, to: Path) -> bool:
    """Write the files of a folder from the cache below a new folder; return whether all are there as recorded.

    Args:
        listing: of the folder.
        to: where it is written, whole or not at all.
    """
    entries = _entries(listing) if listing.path.is_file() and _is_recorded(listing) else None
    if entries is None:
        return False
    cache = listing.path.parent.parent
    files = {name: CachedObject(md5, cache / md5[:2] / md5[2:]) for name, md5 in entries.items()}
    if not all(cached.path.is_file() and _is_recorded(cached) for cached in files.values()):
        return False
    for name, cached in files.items():
        write_bytes(to / name, cached.path.read_bytes())
    return True


def _with_entries(objects: Iterable[CachedObject], wrong: list[str]) -> Iterator[CachedObject]:
    """Yield objects that are there, and what the listings among them name; wrong listings are added to ``wrong``."""
    for cached in objects:
        if not cached.path.is_file():
            continue
        yield cached
        if not cached.hash.endswith(_FOLDER) or not cached.path.is_file():  # it was removed
            continue
        entries = _entries(cached)
        if entries is None:
            _remove(cached, wrong)
            continue
        cache = cached.path.parent.parent
        for md5 in entries.values():
            entry = CachedObject(md5, cache / md5[:2] / md5[2:], cached.lines)
            if entry.path.is_file():
                yield entry


def _entries(listing: CachedObject) -> dict[str, str] | None:
    """Return the hashes of the files in a listing by their names; None if one would lie outside of the folder."""
    try:
        entries = json.loads(listing.path.read_bytes())
        names = [PurePosixPath(entry["relpath"]) for entry in entries]
        hashes = [str(entry["md5"]) for entry in entries]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    inside = all(name.parts and not name.is_absolute() and ".." not in name.parts for name in names)
    plain = all(len(name) == 32 and set(name) <= set("0123456789abcdef") for name in hashes)
    return dict(zip(map(str, names), hashes, strict=True)) if inside and plain else None


def _is_recorded(cached: CachedObject) -> bool:
    expected = cached.hash.removesuffix(_FOLDER)
    with cached.path.open("rb") as file:
        if hashlib.file_digest(file, _md5).hexdigest() == expected:
            return True
    return cached.lines and _md5(cached.path.read_bytes().replace(b"\r\n", b"\n")).hexdigest() == expected


def _md5(content: bytes = b"") -> hashlib._Hash:
    return hashlib.md5(content, usedforsecurity=False)  # DVC's choice


def _remove(cached: CachedObject, wrong: list[str]) -> None:
    cached.path.unlink(missing_ok=True)
    wrong.append(cached.hash)


def _state(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
