"""Runs commands of analognas one after the other, each in a child forked when all libraries are loaded.

So a hundred stages that are killed need not load torch a hundred times, and moments are moments of the stage. The
child is a process like any other: it calls the command line, has workers of its own, and is ended with SIGKILL.

Reads one JSON object a line (see :func:`attempt`) and answers with one.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import random
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

_MODULES = (
    "analognas.cli", "analognas.cli.progress", "analognas.setup.preparing", "analognas.evaluators.xgboost",
    "analognas.orchestration.flows", "analognas.stages.characterize", "analognas.stages.fit", "analognas.stages.sample",
    "analognas.stages.search", "analognas.stages.train", "matplotlib.backends.backend_agg", "matplotlib.figure",
    "pyarrow.parquet",
)  # fmt: skip
#: Seconds within which everything that a killed process started must be gone.
_GONE = 5.0


def attempt(
    folder: str, arguments: list[str], log: str, environment: dict[str, str], kill: str = "run",
    after: float | None = None, at: int | None = None, bound: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """Call the command line in a child and kill it, or not.

    Args:
        folder: where it is called.
        arguments: of the command.
        log: a file that takes what it says.
        environment: what is added to its environment.
        kill: ``run`` or ``worker``, one of its worker processes.
        after: seconds after which it is killed.
        at: kill it before so many writes (fsync, rename, link); counted from 1.
        bound: whether permissions hold for it although it is root's.

    Returns:
        ``code`` (negative: the signal that ended it), ``seconds``, ``writes`` (None if it was killed), ``killed``
        (when, on the monotonic clock; None if it was not), ``left`` (processes that outlived it).
    """
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receive)
        _run(folder, arguments, log, environment, at, bound, send)
    os.close(send)
    with contextlib.suppress(OSError):  # the child does it too; whoever is first
        os.setpgid(child, child)
    start = time.monotonic()
    ended = os.pidfd_open(child)
    killed = None
    if after is not None and not select.select([ended], [], [], after)[0]:
        victims = [child] if kill == "run" else _workers(child)
        if victims:
            killed = time.monotonic()
            os.kill(random.Random(after).choice(victims), signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    seconds = time.monotonic() - start
    os.close(ended)
    with os.fdopen(receive) as told:
        writes = told.read()
    code = os.waitstatus_to_exitcode(status)
    if code == -signal.SIGKILL:
        killed = killed or time.monotonic()
    elif kill == "run":  # it had ended in the meantime
        killed = None
    return {
        "code": code, "seconds": seconds, "writes": int(writes) if writes else None, "killed": killed,
        "left": _left(child),
    }  # fmt: skip


def _run(
    folder: str, arguments: list[str], log: str, environment: dict[str, str], at: int | None, bound: bool, tell: int,
) -> None:  # fmt: skip
    """Be the command; never returns."""
    code = 70
    try:
        os.setpgid(0, 0)
        said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(said, 1)
        os.dup2(said, 2)
        os.environ.update(environment)
        os.chdir(folder)
        if bound:
            _bind()
        done = _counted(at)
        from analognas.cli import main

        try:
            main(arguments)
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        os.write(tell, str(done[0]).encode())
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _bind() -> None:
    """Give up root's right to read and write whatever the permissions say."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this process
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice 32 bits
    libc.capget(header, sets)
    for place in range(3):
        sets[place] &= ~0b110  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    if libc.capset(header, sets) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def _counted(at: int | None) -> list[int]:
    """Count what makes a write durable, and end before the one with the number ``at``."""
    count = [0]

    def count_calls(name: str, do: Any) -> None:
        def counted(*arguments: Any, **options: Any) -> Any:
            count[0] += 1
            if count[0] == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return do(*arguments, **options)

        setattr(os, name, counted)

    for name in ("fsync", "rename", "replace", "link"):
        count_calls(name, getattr(os, name))
    return count


def _group(leader: int) -> dict[int, str]:
    """Return the living processes of a process group, with their command lines."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            state, _, group = (path / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(group) == leader and state not in ("Z", "X"):
                found[int(path.name)] = (path / "cmdline").read_text().replace("\0", " ")
    return found


def _workers(leader: int) -> list[int]:
    return sorted(process for process, command in _group(leader).items() if "spawn_main" in command)


def _left(leader: int) -> list[str]:
    deadline = time.monotonic() + _GONE
    while (there := _group(leader)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in there:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    return list(there.values())


def main() -> None:
    """Answer until the input ends; arguments name modules that are loaded, too."""
    from importlib import import_module

    for name in (*_MODULES, *sys.argv[1:]):
        import_module(name)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        sys.stdout.write(json.dumps(attempt(**json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
