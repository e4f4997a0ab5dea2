"""What a characterization gives, and the store that keeps it.

The store is a memo of a pure function: the key of a result is the hash of everything that decides it
(architecture, dataset and split, hardware, training and drift protocol, seed, protocol version, layer
implementation, device kind, torch and aihwkit versions). Each result is one small file, written atomically,
so a killed run loses at most what was in flight and nobody measures the same thing twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analognas.errors import CorruptFileError
from analognas.files import digest, read_json, write_json

if TYPE_CHECKING:
    import pandas as pd

_FORMAT = 1
_DAY = 86_400

#: Seconds after programming at which the fixed targets are taken.
ONE_SECOND, ONE_DAY, THIRTY_DAYS = 1.0, float(_DAY), float(30 * _DAY)


def time_label(seconds: float) -> str:
    """Return the name of a time after programming: 1 s is ``1s``, 3600 s ``1h``, 86400 s ``1d``."""
    whole = int(seconds)
    if whole != seconds:
        return f"{seconds:g}s"
    if whole and whole % _DAY == 0:
        return f"{whole // _DAY}d"
    if whole and whole % 3600 == 0:
        return f"{whole // 3600}h"
    return f"{whole}s"


def result_key(inputs: Mapping[str, Any]) -> str:
    """Return the key of a result: the SHA-256 of the canonical JSON of all that decides it."""
    return digest(inputs)


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

    def keys(self) -> Iterator[str]:
        """Yield all keys, sorted."""
        yield from sorted(path.stem for path in self.root.glob("[0-9a-f][0-9a-f]/*.json"))

    def get(self, key: str) -> dict[str, Any]:
        """Return the result of ``key``.

        Raises:
            CorruptFileError: if the file is missing, damaged or belongs to another key.
        """
        path = self.path(key)
        remedy = "delete it and run again, only this architecture is measured anew"
        record = read_json(path, remedy=remedy)
        if not isinstance(record, dict) or record.get("digest") != digest(
            [record.get("format"), record.get("inputs"), record.get("result")]
        ):
            raise CorruptFileError(f"{path} is damaged (its digest does not fit): {remedy}.")
        if record["format"] != _FORMAT or result_key(record["inputs"]) != key:
            raise CorruptFileError(f"{path} holds the result of something else: {remedy}.")
        result: dict[str, Any] = record["result"]
        return result

    def put(self, inputs: Mapping[str, Any], result: Mapping[str, Any]) -> str:
        """Store the result of ``inputs`` at once and return its key; one that is there stays."""
        key = result_key(inputs)
        if key not in self:
            record = {"format": _FORMAT, "inputs": dict(inputs), "result": dict(result)}
            record["digest"] = digest([_FORMAT, record["inputs"], record["result"]])
            write_json(self.path(key), record)
        return key


def measured_columns(times: Iterable[float]) -> tuple[str, ...]:
    """Return the names of the measured columns of a row, in order."""
    labels = [time_label(time) for time in times]
    names = ["acc_digital", "acc_hwa"]
    names += [f"acc_{label}{suffix}" for label in labels for suffix in ("", "_std", "_sem")]
    return (*names, "avm", "avm_std", "avm_sem")


def table(rows: Iterable[Mapping[str, Any]], times: Iterable[float]) -> pd.DataFrame:
    """Return result rows as a frame with fixed columns and types; missing measurements are NaN."""
    import pandas as pd

    measured = measured_columns(times)
    text = ("id", "space", "dataset", "hardware", "protocol", "role", "decision", "genes", "status", "reason")
    whole = ("round", "params", "tiles", "repeats")
    frame = pd.DataFrame(list(rows), columns=[*text, *whole, *measured])
    types = dict.fromkeys(text, "str") | dict.fromkeys(whole, "int64")
    return frame.astype(types | dict.fromkeys(measured, "float64"))
