"""Decoded images, kept in the one folder on this machine for such things (``files.cache_folder``).

Nothing in it is precious: it may be deleted at any time, and is made again when it is needed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from analognas.files import cache_folder

VERSION = 4
"""Raised when the decoding changes, so that what an older version decoded is not used."""
KEEP = 8
"""How many decoded datasets are kept; each is as large as its images in memory."""
_ABANDONED = 24 * 3600
"""Age in seconds from which a file that is being written counts as left behind by a process that was killed."""


def fingerprint(*parts: Any) -> str:
    """Return a key for decoded arrays: 32 hexadecimal digits of the JSON-serializable ``parts``."""
    text = json.dumps([VERSION, *parts], separators=(",", ":"))
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:32]


def file_state(stat: os.stat_result) -> tuple[int, int, int]:
    """Return what tells that a file was changed: size, modification time, status-change time (ns).

    The modification time alone is not enough: archives may set all of them to the same moment.
    """
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns


def read(key: str) -> dict[str, np.ndarray[Any, Any]] | None:
    """Return the arrays under ``key``, or ``None`` if there are none or the file is damaged (CRC-32)."""
    try:
        with _file(key).open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except Exception:  # a damaged archive may raise nearly anything; whatever it is, decode again
        return None


def write(key: str, arrays: dict[str, np.ndarray[Any, Any]]) -> None:
    """Store arrays under ``key``, atomically; a folder that cannot be written is a warning, not an error."""
    target = _file(key)
    temporary = target.with_suffix(f".{secrets.token_hex(8)}.tmp")  # tempfile's would be ours alone to read
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        temporary.replace(target)
    except OSError as error:
        warnings.warn(
            f"decoded images are not kept, because {target.parent} cannot be written ({error.strerror}); "
            "set ANALOGNAS_DATA to a folder that can",
            RuntimeWarning,
            stacklevel=2,
        )
        return
    finally:  # Ctrl-C included
        with contextlib.suppress(OSError):
            temporary.unlink()
    _prune(target)


def _file(key: str) -> Path:
    return cache_folder() / "decoded" / f"{key}.npz"


def _prune(newest: Path) -> None:
    """Delete the oldest decoded datasets beyond ``KEEP``, and what killed processes left of theirs.

    Another process may be doing the same.
    """
    try:
        others = [(path.stat().st_mtime_ns, path) for path in newest.parent.glob("*.npz") if path != newest]
        for _, path in sorted(others, reverse=True)[KEEP - 1 :]:
            path.unlink(missing_ok=True)
        for path in newest.parent.glob("*.tmp"):
            if path.stat().st_mtime < time.time() - _ABANDONED:
                path.unlink(missing_ok=True)
    except OSError:
        return
