"""The run that is going on, as others can see it: who was killed cannot say so, and somebody else has to.

A file says which run it is, and a lock beside it is lost when its process ends, however it ends. A file without a
holder is a run that was killed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from analognas.errors import AnalogNASError
from analognas.files import read_sealed, write_sealed
from analognas.notices.outbox import tell
from analognas.workspace import Paths

#: Seconds that somebody who only looks may hold the lock.
_PATIENCE = 10.0


@contextlib.contextmanager
def going_on(paths: Paths, about: Mapping[str, Any]) -> Iterator[None]:
    """Let others see that a run goes on in a workspace, for as long as the block or its process lasts.

    Args:
        paths: the workspace.
        about: the run: ``id`` tells it from all others, ``what`` is what it is called.
    """
    crashed(paths)
    paths.private()
    lock = FileLock(_file(paths).with_suffix(".lock"))
    try:
        lock.acquire(timeout=_PATIENCE)
        write_sealed(_file(paths), about)
    except (Timeout, OSError, AnalogNASError):  # then nobody is told of its death
        lock.release()
        yield
        return
    try:
        yield
    finally:
        _file(paths).unlink(missing_ok=True)
        lock.release()


def crashed(paths: Paths) -> bool:
    """Tell of a run whose process was killed, once; return whether there was one."""
    file = _file(paths)
    if not file.exists():
        return False
    lock = FileLock(file.with_suffix(".lock"))
    try:
        lock.acquire(blocking=False)
    except (Timeout, OSError):  # it goes on
        return False
    try:
        about = read_sealed(file, remedy="")
        text = (
            f"{about['what']} in {paths.root} was killed, or the machine went down: what it had finished is kept, and "
            "the next one goes on with it."
        )
        tell(paths, "crashed", str(about["id"]), text, run=about.get("page"))
        file.unlink(missing_ok=True)
    except (AnalogNASError, KeyError):  # it ended by itself just now, or its machine went down while it wrote this
        file.unlink(missing_ok=True)
        return False
    finally:
        lock.release()
    return True


def alive(paths: Paths) -> bool:
    """Return whether a run goes on in a workspace, or was killed and nobody has asked :func:`crashed` since."""
    return _file(paths).exists()


def _file(paths: Paths) -> Path:
    return paths.root / ".analognas" / "going.json"
