"""Folders of ours: a manifest names every file beside it with its digest.

So no file is read that is not what was written, and no folder is replaced that holds anything else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from analognas.errors import CorruptFileError, WorkspaceError
from analognas.files import inside, read_bytes, read_sealed, sealed_bytes, writing_directory

_FILES, _DIGEST = "files", "digest"


def write_folder(path: Path, manifest: str, content: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    """Write a manifest and the files that it names as a folder, whole or not at all. The same content: the same bytes.

    Args:
        path: where nothing is, an empty folder, or a folder that was written by this, which is replaced.
        manifest: name of the manifest.
        content: what it says besides.
        files: the contents of the files by name, which may have folders in it.

    Raises:
        WorkspaceError: if something else is there, or it cannot be written.
    """
    claim(path, manifest)
    with writing_directory(path) as folder:
        for name, written in packed(manifest, content, files).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(written)


def packed(manifest: str, content: Mapping[str, Any], files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the contents of all files of such a folder by name, the manifest last; arguments as ``write_folder``."""
    digests = {name: hashlib.sha256(written).hexdigest() for name, written in files.items()}
    return {**files, manifest: sealed_bytes({**content, _FILES: digests}, _DIGEST)}


def read_folder(path: Path, manifest: str, *, remedy: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return what the manifest of a folder says, and the contents of the files that it names.

    Raises:
        CorruptFileError: if one is missing, damaged, or something else; the message ends in ``remedy``.
    """
    if not path.is_dir():
        raise CorruptFileError(f"{path} is missing (no such folder): {remedy}.")
    content = read_sealed(path / manifest, remedy=remedy, key=_DIGEST)
    listed = content.get(_FILES)
    if not isinstance(listed, dict):
        raise CorruptFileError(f"{path / manifest} names no files: {remedy}.")
    files = {}
    for name, expected in listed.items():
        file = inside(path, name, remedy=remedy)
        files[name] = read_bytes(file, remedy=remedy)
        if hashlib.sha256(files[name]).hexdigest() != expected:
            raise CorruptFileError(f"{file} is damaged (its digest does not fit): {remedy}.")
    return content, files


def claim(path: Path, manifest: str, beside: Collection[str] = ()) -> None:
    """Refuse a place that holds anything but an empty folder, or one that ``write_folder`` wrote.

    ``beside`` are the names of files that were laid beside what it wrote.

    Raises:
        WorkspaceError: naming what is there.
    """
    if not path.is_dir():
        if path.exists() or path.is_symlink():
            raise WorkspaceError(f"{path} is a file, which stays as it is: name a new folder.")
        return
    files = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if not file.is_dir())
    if not files:
        return
    try:
        listed = read_sealed(path / manifest, remedy="", key=_DIGEST).get(_FILES)
    except (CorruptFileError, WorkspaceError):
        listed = None
    own = {manifest, *listed, *beside} if isinstance(listed, dict) else set()
    foreign = [name for name in files if name not in own]
    if foreign:
        raise WorkspaceError(
            f"{path} holds {foreign[0]}, which is not of what is to be written: name a new folder, or move that away."
        )
