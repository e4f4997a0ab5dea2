"""The notices that are still to be sent: one small file each, in the order in which they happened.

A notice is named by what it is about, so the same one is never written twice. It is sent by whoever holds the lock of
the folder, the oldest first, and deleted when the receiver has taken it. A process that is killed between the two sends
it once more; the receiver sees that by its ``id``.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from analognas.errors import AnalogNASError
from analognas.files import digest, read_sealed, write_sealed
from analognas.notices.delivery import PATIENCE, receives
from analognas.params import personal
from analognas.redaction import redact
from analognas.workspace import Paths

#: So many ids of notices that were sent are remembered.
_MOST = 2000
#: Seconds in which a command does not try again what a receiver has just not taken.
_PAUSE = 30.0
#: The same within one run, which may have several things to tell.
_AT_ONCE = 5.0
_TAKEN = "taken.json"


def tell(paths: Paths, event: str, about: str, text: str, **facts: Any) -> bool:
    """Tell whom the user has named what happened; without one nothing is written or sent.

    Whatever goes wrong, the notice waits and the caller goes on.

    Args:
        paths: the workspace.
        event: what kind of thing happened, one word.
        about: what tells this event from all others of its kind in this workspace; the same one is told once.
        text: one sentence for people.
        facts: more for programs, as JSON values.

    Returns:
        Whether it was new.
    """
    with contextlib.suppress(AnalogNASError, OSError):
        receiver = personal.own(paths.root, "notify")
        if receiver is None:
            return False
        host = socket.gethostname()
        identity = digest([host, str(paths.root), event, about])[:32]
        notice = {
            "id": identity, "event": event, "text": text, "workspace": paths.root.name, "host": host,
            "time": datetime.now(UTC).isoformat(timespec="seconds"), **facts,
        }  # fmt: skip
        fresh = _put(paths, identity, _without_secrets(notice))
        if not _refused_within(paths, _AT_ONCE):
            _send(paths, receiver, PATIENCE)
        return fresh
    return False


def resume(paths: Paths, *, patience: float = PATIENCE, pause: float = _PAUSE) -> int:
    """Send what waits; return how many notices still do.

    Args:
        paths: the workspace.
        patience: seconds that a receiver has for each.
        pause: seconds that have to be over since it last did not take one.
    """
    with contextlib.suppress(AnalogNASError, OSError):
        if not _waiting(paths):
            return 0
        receiver = personal.own(paths.root, "notify")
        if receiver is not None and not _refused_within(paths, pause):
            _send(paths, receiver, patience)
    return waiting(paths)


def waiting(paths: Paths) -> int:
    """Return how many notices the receiver has not taken yet."""
    return len(_waiting(paths))


def _folder(paths: Paths) -> Path:
    return paths.root / ".analognas" / "notices"


def _put(paths: Paths, identity: str, notice: Mapping[str, Any]) -> bool:
    before = _waiting(paths)
    if identity in _taken(paths) or any(file.stem.endswith(identity) for file in before):
        return False
    paths.private()
    # By the clock, but never before one that waits: clocks are set.
    last = int(before[-1].name.partition("-")[0]) if before else 0
    write_sealed(_folder(paths) / f"{max(time.time_ns(), last + 1):020d}-{identity}.json", notice)
    return True


def _waiting(paths: Paths) -> list[Path]:
    return sorted(file for file in _folder(paths).glob("*-*.json") if file.name.partition("-")[0].isdigit())


def _send(paths: Paths, receiver: str, patience: float) -> None:
    """Send what waits, the oldest first, until one is not taken."""
    folder = _folder(paths)
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=patience)
    except Timeout:  # whoever holds it sends these, too
        return
    try:
        taken = _taken(paths)
        while files := _waiting(paths):
            file = files[0]
            try:
                notice = read_sealed(file, remedy="")
            except AnalogNASError:  # damaged: it keeps no other one from being sent
                file.rename(file.with_suffix(".damaged"))
                continue
            if notice["id"] not in taken:
                if not receives(receiver, notice, paths.root, patience):
                    (folder / "refused").touch()
                    return
                taken = [*taken, notice["id"]][-_MOST:]
                write_sealed(folder / _TAKEN, {"ids": taken})
            file.unlink()
        (folder / "refused").unlink(missing_ok=True)
    finally:
        lock.release()


def _taken(paths: Paths) -> list[str]:
    try:
        return [str(identity) for identity in read_sealed(_folder(paths) / _TAKEN, remedy="")["ids"]]
    except (AnalogNASError, KeyError, TypeError):
        return []


def _refused_within(paths: Paths, seconds: float) -> bool:
    try:
        return abs(time.time() - (_folder(paths) / "refused").stat().st_mtime) < seconds
    except OSError:
        return False


def _without_secrets(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {name: _without_secrets(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_secrets(part) for part in value]
    return value
