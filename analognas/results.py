"""The store of what characterizations give.

The store is a memo of a pure function: the key of a result is the hash of everything that decides it
(architecture, dataset and split, hardware, training and drift protocol, seed, protocol version, layer
implementation, device kind, torch and aihwkit versions). Each result is one small file, written atomically,
so a killed run loses at most what was in flight and nobody measures the same thing twice.

Floats differ between kinds of processors, so two people may measure two results of one key. The one whose digest
is smaller is *the* result, wherever and in whatever order they meet; the other one is kept in ``replicates/``,
which is never read as a result.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypedDict

from filelock import FileLock

from analognas.errors import AnalogNASWarning, CorruptFileError, WorkspaceError
from analognas.files import digest, flush, read_json, write_json
from analognas.rows import ResultRow

_FORMAT = 1
_REMEDY = "delete it and run again, only this architecture is measured anew"


def result_key(inputs: Mapping[str, Any]) -> str:
    """Return the key of a result: the SHA-256 of the canonical JSON of all that decides it."""
    return digest(inputs)


class Record(TypedDict):
    """What a file of the store holds: everything that decides a result, the result, and the digest of all that."""

    format: int
    inputs: dict[str, Any]
    result: dict[str, Any]
    digest: str


def checked_record(record: Any, where: str, remedy: str) -> Record:
    """Return a stored record (``format``, ``inputs``, ``result`` and their ``digest``) if it is whole.

    Args:
        record: what a file of the store holds.
        where: the file, for the message.
        remedy: what to do if it is not whole, for the message.

    Raises:
        CorruptFileError: if the digest does not fit, the format is another version's, or the result is impossible or
            that of another architecture.
    """
    try:
        whole = isinstance(record, dict) and record.get("digest") == digest(
            [record.get("format"), record.get("inputs"), record.get("result")]
        )
    except (ValueError, RecursionError):  # not a number, nested without end: no digest was ever made of these
        whole = False
    if not whole:
        raise CorruptFileError(f"{where} is damaged (its digest does not fit): {remedy}.")
    if record["format"] != _FORMAT or not isinstance(record["inputs"], dict) or not isinstance(record["result"], dict):
        raise CorruptFileError(f"{where} holds the result of something else: {remedy}.")
    row = ResultRow.from_dict(record["result"], where, remedy)
    if row.id != _architecture(record["inputs"]):
        raise CorruptFileError(f"{where} holds the result of another architecture than its inputs say: {remedy}.")
    return {
        "format": record["format"],
        "inputs": record["inputs"],
        "result": record["result"],
        "digest": record["digest"],
    }


def _architecture(inputs: Mapping[str, Any]) -> object:
    """Return the id of the architecture that inputs name, None if they name none."""
    architecture = inputs.get("architecture")
    return architecture.get("id") if isinstance(architecture, dict) else None


class ResultStore:
    """A folder of results by key, two hexadecimal digits a sub-folder.

    Args:
        root: the folder; made when the first result is put.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def of(cls, workspace: Path) -> ResultStore:
        """Return the store of a workspace; ``ANALOGNAS_RESULTS`` names another folder."""
        return cls(Path(os.environ.get("ANALOGNAS_RESULTS") or workspace / "data" / "results"))

    def path(self, key: str) -> Path:
        """Return where the result of ``key`` is or would be."""
        return self.root / key[:2] / f"{key}.json"

    def __contains__(self, key: str) -> bool:
        return self.path(key).exists()

    def holds(self, key: str) -> bool:
        """Return whether there is a whole result of ``key``; a damaged file is set aside, with a warning.

        Raises:
            WorkspaceError: if the damaged file cannot be moved.
        """
        path = self.path(key)
        if not path.exists():
            return False
        try:
            self.record(key)
        except CorruptFileError as error:
            try:
                path.replace(_aside(path))
            except FileNotFoundError:  # another process was quicker
                return False
            except OSError as refused:
                raise WorkspaceError(f"{str(error).rstrip('.')}. It cannot be moved: {refused.strerror}.") from error
            what = str(error).partition(":")[0]
            warnings.warn(
                f"{what}: it is kept as {_aside(path).name}, and this architecture is measured anew.",
                AnalogNASWarning,
                stacklevel=2,
            )
            return False
        return True

    def keys(self) -> Iterator[str]:
        """Yield all keys, sorted."""
        yield from sorted(path.stem for path in self.root.glob("[0-9a-f][0-9a-f]/*.json"))

    def get(self, key: str) -> ResultRow:
        """Return the result of ``key``.

        Raises:
            CorruptFileError: if the file is missing, damaged or belongs to another key.
        """
        return ResultRow.from_dict(self.record(key)["result"], str(self.path(key)), _REMEDY)

    def record(self, key: str) -> Record:
        """Return the result of ``key`` with all that decided it and its digest, see :func:`checked_record`.

        Raises:
            CorruptFileError: if the file is missing, damaged or belongs to another key.
        """
        return self._read(self.path(key), key, _REMEDY)

    def put(self, inputs: Mapping[str, Any], result: ResultRow) -> str:
        """Store the result of ``inputs`` at once and return its key; one that is there stays."""
        key = result_key(inputs)
        if key not in self:
            given, told = dict(inputs), result.to_dict()
            record: Record = {
                "format": _FORMAT, "inputs": given, "result": told, "digest": digest([_FORMAT, given, told])
            }  # fmt: skip
            self._create(self.path(key), record)  # another process may have brought one meanwhile
        return key

    def replicate_path(self, key: str, digest: str) -> Path:
        """Return where a result of ``key`` that is not *the* result is or would be."""
        return self.root / "replicates" / key[:2] / f"{key}-{digest}.json"

    def replicates(self) -> Iterator[tuple[str, str]]:
        """Yield key and digest of all replicates, sorted."""
        for path in sorted(self.root.glob("replicates/[0-9a-f][0-9a-f]/*-*.json")):
            key, _, record_digest = path.stem.partition("-")
            yield key, record_digest

    def replicate(self, key: str, digest: str) -> Record:
        """Return the record of a replicate.

        Raises:
            CorruptFileError: if the file is missing, damaged or belongs to another key.
        """
        return self._read(self.replicate_path(key, digest), key, "delete it")

    def take(self, record: Record) -> str:
        """Take in a record from somewhere else; nothing that is whole is lost, whatever happens meanwhile.

        Returns:
            ``new``; ``known`` if it was there; ``replaced`` if it took the place of another result, which became a
            replicate; ``replicate`` if it became one itself; ``restored`` if it took the place of a damaged file,
            which is now called ``KEY.json.damaged``.

        Raises:
            WorkspaceError: if the folder cannot be written.
        """
        key = result_key(record["inputs"])
        path = self.path(key)
        if not path.exists() and self._create(path, record):
            self.replicate_path(key, record["digest"]).unlink(missing_ok=True)
            return "new"
        with self._alone():
            try:
                mine = self.record(key)
            except CorruptFileError:
                if path.exists():
                    path.replace(_aside(path))
                write_json(path, dict(record))
                return "restored"
            if mine["digest"] == record["digest"]:
                return "known"
            first, other = sorted((mine, record), key=lambda candidate: str(candidate["digest"]))
            beside = self.replicate_path(key, other["digest"])
            known = beside.exists()
            if not known:
                write_json(beside, other)
            if first is mine:
                return "known" if known else "replicate"
            write_json(path, first)
            self.replicate_path(key, first["digest"]).unlink(missing_ok=True)
            return "replaced"

    def settle(self) -> None:
        """Let the smallest digest be the result of each key that has replicates; damaged replicates stay.

        Raises WorkspaceError if the folder cannot be written.
        """
        for key, record_digest in self.replicates():
            with contextlib.suppress(CorruptFileError):
                self.take(self.replicate(key, record_digest))

    def _read(self, path: Path, key: str, remedy: str) -> Record:
        record = checked_record(read_json(path, remedy=remedy), str(path), remedy)
        if result_key(record["inputs"]) != key or not path.stem.endswith((key, record["digest"])):
            raise CorruptFileError(f"{path} holds the result of something else: {remedy}.")
        return record

    def _create(self, path: Path, record: Record) -> bool:
        """Write a file unless it is there, also if another process writes it meanwhile; return whether it was."""
        staged = path.with_name(f".tmp-{secrets.token_hex(8)}")
        write_json(staged, dict(record))
        try:
            path.hardlink_to(staged)
        except FileExistsError:
            return False
        except OSError:  # a file system without links
            staged.replace(path)
        finally:
            staged.unlink(missing_ok=True)
        flush(path.parent)
        return True

    def _alone(self) -> FileLock:
        """Let one process and one thread at a time compare and replace."""
        return FileLock(self.root / ".lock", poll_interval=0.01)


def _aside(path: Path) -> Path:
    """Return where a damaged result is kept: its name is no result's."""
    return path.with_name(f"{path.name}.damaged")
