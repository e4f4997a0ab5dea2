"""What is taken from inside of Prefect, which promises nothing of it between versions.

``pyproject.toml`` bounds Prefect to the minor version that this was written for, and ``tests/test_insides.py`` names
what a newer one lacks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from prefect.schedules import Schedule
    from prefect.server.api.server import SubprocessASGIServer

#: Seconds: in which a server that is there says so, that one may refuse connections because it is started again, and
#: after which one that was gone is asked again.
_PROBE, _RESTART, _AGAIN = 3.0, 5.0, 30.0


class Gate:
    """What all of Prefect's clients in this process know of the server: whether it is gone.

    Each of them alone would try every single call for a quarter of a minute, one after the other, minutes in all.

    Args:
        alive: tells that the server has not ended, where somebody can know: then it is only slow.
    """

    def __init__(self, alive: Callable[[], bool] = lambda: False) -> None:
        self._alive = alive
        self._lock = threading.Lock()
        self._missed: float | None = None
        self._asked = 0.0
        self._why: Exception | None = None

    @property
    def gone(self) -> bool:
        """Whether the server was not there when it was last asked."""
        return self._why is not None

    def closed(self) -> Exception | None:
        """Return why a call need not be tried, None if it is to be."""
        return self._why if time.monotonic() - self._asked < _AGAIN else None

    def there(self) -> None:
        """Take notice that the server answers."""
        with self._lock:
            self._missed = self._why = None

    def miss(self, error: Exception, *, silent: bool) -> bool:
        """Take notice that it does not, and return whether it is gone; ``silent``: it takes calls and never answers."""
        with self._lock:
            now = time.monotonic()
            self._missed = self._missed or now
            if self._alive():
                return False
            if silent or self.gone or now - self._missed >= _RESTART:
                self._why, self._asked = error, now
            return self.gone


_gate: Gate | None = None


@contextlib.contextmanager
def impatient(alive: Callable[[], bool] = lambda: False) -> Iterator[Gate]:
    """Let no call within this block wait for a server that has ended, once that is known; a block within is nothing.

    Prefect's errors about log lines that it could not send are not printed within it.
    """
    from prefect.client.base import PrefectHttpxAsyncClient, PrefectHttpxSyncClient

    global _gate
    if _gate is not None:
        yield _gate
        return
    gate = _gate = Gate(alive)
    changed: Any = {PrefectHttpxAsyncClient: _gated_async, PrefectHttpxSyncClient: _gated_sync}
    before = [(client, client._send_with_retry) for client in changed]
    printed = logging.raiseExceptions
    for client, original in before:
        client._send_with_retry = changed[client](gate, original)
    logging.raiseExceptions = False
    try:
        yield gate
    finally:
        _gate, logging.raiseExceptions = None, printed
        for client, original in before:
            client._send_with_retry = original


def _gated_async(gate: Gate, original: Any) -> Any:
    import httpx

    async def retried(self: Any, request: Any, send: Any, *others: Any, **more: Any) -> Any:
        async def once(request: Any, *args: Any, **kwargs: Any) -> Any:
            _pass(gate)
            try:
                if gate.gone:
                    await send(_question(self))
                answer = await send(request, *args, **kwargs)
            except httpx.TransportError:
                try:
                    await send(_question(self))
                except httpx.TransportError as missed:
                    _miss(gate, missed)
                raise
            gate.there()
            return answer

        return await original(self, request, once, *others, **more)

    return retried


def _gated_sync(gate: Gate, original: Any) -> Any:
    import httpx

    def retried(self: Any, request: Any, send: Any, *others: Any, **more: Any) -> Any:
        def once(request: Any, *args: Any, **kwargs: Any) -> Any:
            _pass(gate)
            try:
                if gate.gone:
                    send(_question(self))
                answer = send(request, *args, **kwargs)
            except httpx.TransportError:
                try:
                    send(_question(self))
                except httpx.TransportError as missed:
                    _miss(gate, missed)
                raise
            gate.there()
            return answer

        return original(self, request, once, *others, **more)

    return retried


def _question(client: Any) -> Any:
    return client.build_request("GET", "/health", timeout=_PROBE)


def _pass(gate: Gate) -> None:
    why = gate.closed()
    if why is not None:
        raise _gone() from why


def _miss(gate: Gate, error: Any) -> None:
    import httpx

    if gate.miss(error, silent=isinstance(error, httpx.TimeoutException)):
        raise _gone() from error


def _gone() -> Exception:
    """Return an error of httpx that is none of those that Prefect tries again."""
    import httpx

    return httpx.TransportError("the server is gone")


def guarded_server() -> SubprocessASGIServer:
    """Return Prefect's ephemeral server, not yet started, with a guard beside each of its processes.

    The guard ends it with this process, however that ends; Prefect's own stays when its parent is killed.
    """
    from prefect.server.api.server import SubprocessASGIServer

    class GuardedServer(SubprocessASGIServer):
        _guard: subprocess.Popen[bytes] | None = None

        def _run_uvicorn_command(self) -> subprocess.Popen[Any]:
            if self.server_process is not None and self.server_process.poll() is None:
                return self.server_process  # the wait for it goes on
            self._end_guard()
            # Ctrl-C goes to all processes of a terminal. The server inherits the mask and lives on, because without
            # it Prefect would wait for minutes to report that the run was interrupted.
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                self.server_process = super()._run_uvicorn_command()
                # `read` ends when this process closes its end of the pipe, also when it is killed.
                self._guard = subprocess.Popen(
                    ["/bin/sh", "-c", f"read _; kill {self.server_process.pid}"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,  # Ctrl-C is for this process to handle
                )
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            return self.server_process

        def _end_guard(self) -> None:
            if self._guard is not None:
                self._guard.kill()
                self._guard.wait()
                assert self._guard.stdin is not None
                self._guard.stdin.close()
                self._guard = None

        def stop(self) -> None:
            self._end_guard()
            super().stop()

    return GuardedServer()


def drain(seconds: float) -> None:
    """Let Prefect hand over its last log lines and events, which it does in threads of its own, and drop the rest.

    Prefect would try for minutes to send each event to a server that is gone, here and again when Python exits.
    """
    from prefect._internal.concurrency.services import _active_services
    from prefect.events.worker import EventsWorker

    try:
        with contextlib.suppress(RuntimeError):  # its loop has ended
            EventsWorker.drain_all(timeout=seconds)  # the services share one table: the log lines' is among them
    finally:  # also on a second Ctrl-C
        for service in list(_active_services):
            if service._loop is None or service._done_event is None or service._done_event.is_set():
                continue
            with contextlib.suppress(queue.Empty):
                while True:
                    service._queue.get_nowait()
            service._queue.put_nowait(None)  # it ends after what it has in hand,
            with contextlib.suppress(RuntimeError):
                service._loop.call_soon_threadsafe(service._done_event.set)  # and nobody waits for that


def update_artifact(identity: UUID, data: Any, description: str) -> None:
    """Show other data in an artifact; what creates artifacts has a public face, what updates them has none."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import ArtifactUpdate

    with get_client(sync_client=True) as client:
        client.update_artifact(identity, ArtifactUpdate(data=data, description=description))


def next_date(cron: str, timezone: str) -> datetime | None:
    """Return when a schedule comes next by the rules of Prefect's server, None if never.

    Raises:
        ValueError: if it is none.
    """
    from prefect._vendor.croniter import CroniterBadDateError  # type: ignore[attr-defined]
    from prefect.server.schemas.schedules import CronSchedule

    try:
        return asyncio.run(CronSchedule(cron=cron, timezone=timezone).get_dates(1))[0]
    except CroniterBadDateError:
        return None


def due_dates(schedule: Schedule, after: datetime, until: datetime) -> list[datetime]:
    """Return when a schedule is due by the rules of Prefect's server, after one moment and up to another one."""
    from prefect.server.schemas.schedules import CronSchedule, IntervalSchedule

    kept: Any
    if schedule.cron is not None:
        kept = CronSchedule(cron=schedule.cron, timezone=schedule.timezone)
    else:
        kept = IntervalSchedule.model_validate(
            {"interval": schedule.interval, "anchor_date": schedule.anchor_date, "timezone": schedule.timezone}
        )
    dates = asyncio.run(kept.get_dates(start=after, end=until))
    return [date for date in dates if after < date <= until]


def outlive_the_runner() -> None:
    """Let a flow go on whose runner was killed: nobody reads what it logs then, and Prefect's console would exit."""
    from rich.console import Console

    def carry_on(console: Console) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(nowhere, stream)
        os.close(nowhere)

    Console.on_broken_pipe = carry_on  # type: ignore[method-assign, assignment]
