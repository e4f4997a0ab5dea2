"""Prefect's settings, and the server that a flow runs against: the user's, or an ephemeral one of its own.

Prefect is loaded when a server is asked for, not before.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from analognas.causes import reached
from analognas.errors import StageError
from analognas.files import is_damaged_database
from analognas.orchestration.prefect_inside import drain, guarded_server, impatient
from analognas.redaction import redact

if TYPE_CHECKING:
    from prefect.server.api.server import SubprocessASGIServer

_DRAIN_SECONDS = 5

_SETTINGS = {
    # The first start on a machine makes Prefect's database: half a minute where the default is 20 s.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "300",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    # A server that went away is noticed in some seconds, once (`prefect_inside.impatient`): no result depends on it.
    "PREFECT_CLIENT_MAX_RETRIES": "2",
}
# Of a server that takes calls and never answers, one is waited for; see `prefect_inside.impatient`.
_OF_A_SERVER = {"PREFECT_API_REQUEST_TIMEOUT": "10"}
# Only the terminal is silenced: the command line tells progress and errors itself; the log is with the flow run.
_QUIET = {
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",  # pages about events that a server that is away did not take
}


def configure_prefect(*, verbose: bool = False) -> None:
    """Set what Prefect reads when it is first imported; what the user has set stays."""
    settings = _SETTINGS if verbose else _SETTINGS | _QUIET
    if os.environ.get("PREFECT_API_URL"):  # one's own server may be slow, and is watched by its process
        settings = settings | _OF_A_SERVER
    for name, value in settings.items():
        os.environ.setdefault(name, value)


@contextlib.contextmanager
def server() -> Iterator[None]:
    """Make sure of a Prefect server, and that an ephemeral one ends with this process, however that ends.

    An ephemeral one listens on 127.0.0.1.

    Raises:
        StageError: if it cannot be reached or does not start, or its database is damaged.
    """
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    if settings.api.url:
        reachable(settings.api.url)
        with impatient() as gate:
            try:
                yield
            finally:
                drain(0 if gate.gone else _DRAIN_SECONDS)
        return
    database = settings.home / "prefect.db"
    if is_damaged_database(database):  # Prefect would start its server again and again, for ever
        raise StageError(
            f"Prefect's database {database} is damaged: move {database} away, with prefect.db-wal and prefect.db-shm; "
            "no result is in it. Then run again."
        )
    ephemeral = guarded_server()
    try:
        _start(ephemeral, settings.server.ephemeral.startup_timeout_seconds)

        def alive() -> bool:
            process = ephemeral.server_process
            return process is not None and process.poll() is None

        with impatient(alive):
            try:
                yield
            finally:
                drain(_DRAIN_SECONDS if alive() else 0)
    finally:  # also on a second Ctrl-C
        ephemeral.stop()


def _start(ephemeral: SubprocessASGIServer, seconds: float) -> None:
    """Start a server and wait until it answers.

    Raises:
        StageError: if it does not within these seconds.
    """
    import httpx

    deadline = time.monotonic() + seconds
    while True:
        try:
            # It takes whole seconds, and 0 for its default.
            return ephemeral.start(max(1, round(deadline - time.monotonic())))
        except (RuntimeError, httpx.HTTPError) as error:
            # A server that listens answers the first request late on a busy machine: it is asked again.
            if isinstance(error, httpx.TransportError) and time.monotonic() < deadline:
                time.sleep(0.1)
                continue
            raise StageError(
                f"Prefect's server did not start in {seconds:g} s: run again, "
                "or start one with `prefect server start` and set PREFECT_API_URL."
            ) from error


def reachable(url: str) -> None:
    """Ask a Prefect server whether it is there.

    Raises:
        StageError: if it does not answer.
    """
    import httpx

    try:
        status = httpx.get(f"{url.rstrip('/')}/health", timeout=10).status_code
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise StageError(
            f"PREFECT_API_URL is {redact(url)!r}, which is no address of a server: write http://HOST:PORT/api, or "
            "unset it to run without one."
        ) from error
    except httpx.HTTPError as error:
        raise StageError(
            f"The Prefect server at {redact(url)} {reached(error) or 'cannot be reached'}: start it "
            "(`prefect server start`), or unset PREFECT_API_URL to run without one."
        ) from error
    if status in (401, 403):
        raise StageError(
            f"The Prefect server at {redact(url)} takes no one without a valid password: set "
            "PREFECT_API_AUTH_STRING=USER:PASSWORD, or unset PREFECT_API_URL to run without it."
        )
    if status >= 500:
        raise StageError(f"The Prefect server at {redact(url)} fails (status {status}): look into its log.")
    if status != 200:
        raise StageError(
            f"What answers at {redact(url)} is no Prefect server (status {status}): PREFECT_API_URL ends in /api; mend "
            "it, or unset it to run without one."
        )
