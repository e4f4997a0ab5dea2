"""Prefect's settings, and the server that a flow runs against: the user's, or an ephemeral one of its own.

Prefect is loaded when a server is asked for, not before.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator

from analognas.errors import StageError
from analognas.files import is_damaged_database
from analognas.redaction import redact

_SETTINGS = {
    # The first start on a machine makes Prefect's database: half a minute where the default is 20 s.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "300",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    # A server that went away is noticed in a quarter of a minute instead of one, each time: no result depends on it.
    "PREFECT_CLIENT_MAX_RETRIES": "3",
}
# Only the terminal is silenced: the command line tells progress and errors itself; the log is with the flow run.
_QUIET = {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",  # pages about events that a server that is away did not take
}


def configure_prefect(*, verbose: bool = False) -> None:
    """Set what Prefect reads when it is first imported; what the user has set stays."""
    settings = _SETTINGS if verbose else _SETTINGS | _QUIET
    for name, value in settings.items():
        os.environ.setdefault(name, value)


@contextlib.contextmanager
def server() -> Iterator[None]:
    """Make sure of a Prefect server, and that an ephemeral one ends with this process, however that ends.

    An ephemeral one listens on 127.0.0.1.

    Raises:
        StageError: if it cannot be reached or does not start, or its database is damaged.
    """
    from prefect.server.api.server import SubprocessASGIServer
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    if settings.api.url:
        reachable(settings.api.url)
        yield
        return
    database = settings.home / "prefect.db"
    if is_damaged_database(database):  # Prefect would start its server again and again, for ever
        raise StageError(
            f"Prefect's database {database} is damaged: move {database} away, with prefect.db-wal and prefect.db-shm; "
            "no result is in it. Then run again."
        )
    ephemeral = SubprocessASGIServer()
    # Ctrl-C goes to all processes of a terminal. The server inherits the mask and lives on, because without it
    # Prefect would wait for minutes to report that the run was interrupted.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        ephemeral.start(settings.server.ephemeral.startup_timeout_seconds)
    except RuntimeError as error:
        raise StageError(
            f"Prefect's server did not start ({str(error).splitlines()[0]}): run again, "
            "or start one with `prefect server start` and set PREFECT_API_URL."
        ) from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    assert ephemeral.server_process is not None
    # `read` ends when this process closes its end of the pipe, also when it is killed.
    guard = subprocess.Popen(
        ["/bin/sh", "-c", f"read _; kill {ephemeral.server_process.pid}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for this process to handle
    )
    try:
        yield
    finally:
        try:
            _drain()
        finally:  # also on a second Ctrl-C
            guard.kill()
            guard.wait()
            assert guard.stdin is not None
            guard.stdin.close()
            ephemeral.stop()


def reachable(url: str) -> None:
    """Ask a Prefect server whether it is there.

    Raises:
        StageError: if it does not answer.
    """
    import httpx

    try:
        httpx.get(f"{url.rstrip('/')}/health", timeout=10).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise StageError(
            f"The Prefect server at {redact(url)} cannot be reached ({redact(str(error))}): start it "
            "(`prefect server start`), or unset PREFECT_API_URL to run without one."
        ) from error


def _drain() -> None:
    """Let Prefect hand over its last log lines and events, which it does in threads of its own."""
    import asyncio

    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for drain in (lambda: APILogWorker.instance().drain(), EventsWorker.drain_all):
        with contextlib.suppress(RuntimeError):  # it was never started
            waiting = drain()
            if asyncio.iscoroutine(waiting):
                asyncio.run(waiting)
