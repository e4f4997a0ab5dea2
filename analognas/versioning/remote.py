"""The results on a DVC remote, through the file system that DVC opens for it.

They are a set that only grows: ``analognas/results/KEY-DIGEST.json``, one file for each result, named by its key and
the digest of its content, never changed and never removed.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from analognas.errors import AnalogNASError, CorruptFileError, WorkspaceError
from analognas.results import Record, checked_record, result_key
from analognas.versioning.dvc_inside import open_remote, reason_of, side_by_side
from analognas.versioning.repository import Versioning, site_cache

#: A result on a remote or in a store: its key and the digest of its content.
Entry = tuple[str, str]

#: Bytes: a result has a few thousand.
LARGEST = 1 << 20

_FOLDER = ("analognas", "results")
_NAME = re.compile(r"([0-9a-f]{64})-([0-9a-f]{64})\.json")
_TEMPORARY = ".tmp-"


class SharingError(AnalogNASError):
    """A remote cannot be reached, read or written."""


class Remote:
    """The results on a DVC remote.

    Attributes:
        name: the remote.
        fs: DVC's file system for it.
        targets: what DVC has recorded in the workspace, as arguments for its commands that run there.
        objects: where its cache holds each of that, or would.

    Args:
        root: the workspace.
        name: the remote; None: the default one.

    Raises:
        WorkspaceError: if there is no DVC repository, no such remote, or one that cannot hold results.
    """

    def __init__(self, root: Path, name: str | None) -> None:
        problem = Versioning.problem(root)
        if problem is not None:
            raise WorkspaceError(f"Sharing goes over DVC, but {problem}.")
        os.environ.setdefault("DVC_NO_ANALYTICS", "true")
        opened = open_remote(root, name, site_cache(root))
        self.name, self.fs = opened.name, opened.fs
        self.targets, self.objects = opened.targets, opened.objects
        if opened.worktree:
            raise WorkspaceError(
                f"The DVC remote '{self.name}' cannot hold results (it is a worktree, or cannot be listed): "
                "use a folder, SSH or an object store."
            )
        self._folder: str = self.fs.join(opened.path, *_FOLDER)
        self._whole = opened.whole  # elsewhere a file is renamed when it is

    def entries(self) -> dict[Entry, int | None]:
        """Return all results there with their sizes in bytes, where these are told, by one listing.

        Raises:
            SharingError: if the remote cannot be reached.
        """
        try:
            listed = self.fs.ls(self._folder, detail=True)
        except FileNotFoundError:
            return {}
        except Exception as error:
            raise SharingError(
                f"The DVC remote '{self.name}' cannot be read: {reason_of(error)}; see `dvc remote list`."
            ) from error
        sizes: dict[Entry, int | None] = {}
        for info in listed:
            match = _NAME.fullmatch(self.fs.name(info["name"]))
            # A link there may lead anywhere here, also to what never ends.
            if match and info.get("type", "file") == "file" and not info.get("islink"):
                sizes[match[1], match[2]] = info.get("size")
        return sizes

    def prepare(self) -> None:
        """Make the folder of the results; raises SharingError if that cannot be."""
        try:
            self.fs.makedirs(self._folder, exist_ok=True)
        except Exception as error:
            raise self._unwritable(reason_of(error)) from error

    def read(self, entry: Entry) -> Record:
        """Return the record of a result.

        Raises:
            CorruptFileError: if it is damaged, or not what its name says.
        """
        path = self.path(entry)
        remedy = "it was left out; delete it there, and whoever has this result pushes it again"
        try:
            record = json.loads(self.fs.cat_file(path))
        except (ValueError, RecursionError):
            record = None
        checked = checked_record(record, path, remedy)
        if (result_key(checked["inputs"]), checked["digest"]) != entry:
            raise CorruptFileError(f"{path} holds the result of something else: {remedy}.")
        return checked

    def write(self, entry: Entry, content: bytes) -> None:
        """Put a result there; it appears whole or not at all."""
        path = self.path(entry)
        if self._whole:
            self.fs.pipe_file(path, content)
            return
        temporary = self.fs.join(self._folder, f"{_TEMPORARY}{secrets.token_hex(8)}")
        try:
            with self.fs.open(temporary, "wb") as file:
                file.write(content)
            self.fs.mv(temporary, path)
        except BaseException:
            with suppress(Exception):
                self.fs.rm_file(temporary)
            raise

    def each(self, work: Callable[[Entry], str], entries: Iterable[Entry]) -> Iterator[tuple[Entry, str | Exception]]:
        """Do ``work`` for many results side by side; yield what it returned or raised, in any order."""

        def guarded(entry: Entry) -> tuple[Entry, str | Exception]:
            try:
                return entry, work(entry)
            except Exception as error:
                return entry, error

        yield from side_by_side(self.fs, guarded, entries)

    def hopeless(self, direction: str, reason: str) -> SharingError:
        """Return the error for a remote that takes or gives nothing."""
        if direction == "push":
            return self._unwritable(reason)
        return SharingError(f"The DVC remote '{self.name}' cannot be read: {reason}; see `dvc remote list`.")

    def _unwritable(self, reason: str) -> SharingError:
        return SharingError(
            f"The DVC remote '{self.name}' cannot be written: {reason}; ask its owner for write access, or free space."
        )

    def path(self, entry: Entry) -> str:
        """Return where a result is there, or would be."""
        return str(self.fs.join(self._folder, f"{entry[0]}-{entry[1]}.json"))
