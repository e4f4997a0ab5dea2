from __future__ import annotations

import asyncio
import contextlib
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

import httpx
import pytest

from analognas.causes import reached
from analognas.orchestration import prefect_inside
from analognas.orchestration.prefect_inside import (
    Gate,
    drain,
    guarded_server,
    impatient,
    next_date,
    update_artifact,
)
from analognas.orchestration.server import configure_prefect


@pytest.fixture(autouse=True)
def _configured() -> None:
    configure_prefect()


@pytest.mark.parametrize("cron", ["every monday", "0 25 * * *", "", "H 3 * * *"])
def test_what_is_no_schedule_is_an_error(cron: str):
    with pytest.raises(ValueError, match=r"(?i)invalid cron|unsupported"):
        next_date(cron, "UTC")


def test_a_date_that_never_comes_is_none():
    assert next_date("0 0 31 2 *", "UTC") is None
    leap = next_date("0 0 29 2 *", "UTC")
    assert leap is not None
    assert (leap.month, leap.day) == (2, 29)


def dates(cron: str, start: str, timezone: str = "Europe/Berlin") -> list[str]:
    """Return the first times from ``start`` on, in UTC."""
    from prefect.server.schemas.schedules import CronSchedule

    when = datetime.fromisoformat(start)
    made = asyncio.run(CronSchedule(cron=cron, timezone=timezone).get_dates(4, start=when))
    return [date.astimezone(UTC).strftime("%d %H:%M") for date in made]


def test_what_happens_when_clocks_change():
    """As ``docs/retraining.md`` says: Berlin's, on 29 March 2026 at 01:00 UTC forwards, on 25 October back."""
    # An hour that there is not that night: it depends on the Python of Prefect's server.
    spring = "29 01:30" if sys.version_info >= (3, 13) else "29 00:30"
    assert dates("30 2 * * *", "2026-03-27T12:00+00:00") == ["28 01:30", spring, "30 00:30", "31 00:30"]
    assert dates("0 3 * * *", "2026-03-27T12:00+00:00") == ["28 02:00", "29 01:00", "30 01:00", "31 01:00"]
    assert dates("30 2 * * *", "2026-10-23T12:00+00:00") == ["24 00:30", "25 00:30", "26 01:30", "27 01:30"]
    assert dates("0 * * * *", "2026-10-24T23:00+00:00") == ["24 23:00", "25 00:00", "25 02:00", "25 03:00"]
    assert dates("0 * * * *", "2026-10-24T23:00+00:00", "UTC") == ["24 23:00", "25 00:00", "25 01:00", "25 02:00"]


def test_an_artifact_is_shown_with_other_data(monkeypatch: pytest.MonkeyPatch):
    updated: list[Any] = []

    class Client:
        def update_artifact(self, *what: Any) -> None:
            updated.append(what)

    @contextlib.contextmanager
    def get_client(*, sync_client: bool) -> Iterator[Client]:
        assert sync_client
        yield Client()

    monkeypatch.setattr("prefect.client.orchestration.get_client", get_client)
    identity = uuid4()
    update_artifact(identity, 50.0, "half of it")
    ((given, update),) = updated
    assert given == identity
    assert update.model_dump(exclude_unset=True) == {"data": 50.0, "description": "half of it"}


def test_a_server_is_not_started_before_it_is_asked_for(monkeypatch: pytest.MonkeyPatch):
    from prefect.server.api.server import SubprocessASGIServer

    monkeypatch.setattr(SubprocessASGIServer, "_instances", {})  # other tests may have a server in this process
    server = guarded_server()
    assert isinstance(server, SubprocessASGIServer)
    assert server.server_process is None
    server.stop()  # there is no guard to end, either
    assert server.server_process is None


def test_what_prefect_cannot_hand_over_is_dropped():
    configure_prefect()
    from prefect._internal.concurrency.services import QueueService

    handled = []

    class Stuck(QueueService[str]):
        async def _handle(self, item: str) -> None:
            handled.append(item)
            await asyncio.sleep(300)

    service = Stuck.instance()
    for item in ("first", "second"):
        service.send(item)
    began = time.monotonic()
    drain(0.5)
    service._at_exit()  # as Python calls it
    assert 0.5 <= time.monotonic() - began < 10
    assert handled == ["first"]
    assert service._queue.get_nowait() is None
    assert service._queue.empty()


class Server:
    """A server on loopback that can refuse, hang and answer."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.how = "answer"
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                if server.how == "hang":
                    time.sleep(2)
                    return
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}/api"
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def end(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def answering() -> Iterator[Server]:
    server = Server()
    yield server
    with contextlib.suppress(OSError):
        server.end()


def ask(url: str, kind: str, *, timeout: float = 0.2) -> None:
    """Ask as Prefect's clients of a kind do, twice, so that the second call is one after a connection."""
    from prefect.client.base import PrefectHttpxAsyncClient, PrefectHttpxSyncClient

    async def asynchronously() -> None:
        async with PrefectHttpxAsyncClient(base_url=url, timeout=timeout) as client:
            client._has_connected = True
            await client.get("/things")

    if kind == "async":
        asyncio.run(asynchronously())
        return
    with PrefectHttpxSyncClient(base_url=url, timeout=timeout) as client:
        client._has_connected = True
        client.get("/things")


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_a_server_that_hangs_is_waited_for_once(answering: Server, monkeypatch: pytest.MonkeyPatch, kind: str):
    monkeypatch.setattr(prefect_inside, "_PROBE", 0.2)
    with impatient() as gate:
        ask(answering.url, kind)
        assert not gate.gone
        answering.how = "hang"
        start = time.monotonic()
        with pytest.raises(httpx.TransportError) as caught:
            ask(answering.url, kind)
        assert reached(caught.value) == "does not answer"
        assert gate.gone
        asked = len(answering.asked)
        for _ in range(20):
            with pytest.raises(httpx.TransportError) as caught:
                ask(answering.url, kind)
        assert reached(caught.value) == "does not answer"
        assert len(answering.asked) == asked
        assert time.monotonic() - start < 5  # 0.5 s on a quiet machine; Prefect by itself: 20 x 14 s
        answering.how = "answer"
        monkeypatch.setattr(prefect_inside, "_AGAIN", 0.0)
        ask(answering.url, kind)  # it is there again
        assert not gate.gone


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_a_server_that_refuses_is_tried_again_for_seconds_and_then_not(
    answering: Server, monkeypatch: pytest.MonkeyPatch, kind: str
):
    answering.end()
    monkeypatch.setattr(prefect_inside, "_RESTART", 0.0)
    with impatient() as gate:
        for _ in range(20):
            with pytest.raises(httpx.TransportError) as caught:
                ask(answering.url, kind)
            assert reached(caught.value) == "refuses connections"
        assert gate.gone
    gate = Gate()
    monkeypatch.setattr(prefect_inside, "_RESTART", 60.0)
    assert not gate.miss(ConnectionRefusedError(), silent=False)  # it may be started again
    assert gate.closed() is None
    assert gate.miss(TimeoutError(), silent=True)
    gate.there()
    assert not gate.gone
    alive = Gate(lambda: True)
    assert not alive.miss(TimeoutError(), silent=True)  # a busy machine
    assert not alive.gone


def test_all_is_as_it_was_after_the_block(answering: Server):
    from prefect.client.base import PrefectHttpxAsyncClient, PrefectHttpxSyncClient

    before = PrefectHttpxAsyncClient._send_with_retry, PrefectHttpxSyncClient._send_with_retry, logging.raiseExceptions
    with impatient() as gate:
        assert not logging.raiseExceptions
        with impatient() as within:
            assert within is gate
        assert PrefectHttpxSyncClient._send_with_retry is not before[1]
    after = PrefectHttpxAsyncClient._send_with_retry, PrefectHttpxSyncClient._send_with_retry, logging.raiseExceptions
    assert after == before


@pytest.mark.parametrize(("call", "code"), [("outlive_the_runner", 0), ("object", 1)])
def test_a_flow_whose_log_nobody_reads_any_more_goes_on(call: str, code: int):
    script = (
        "from analognas.orchestration.prefect_inside import outlive_the_runner\n"
        "from rich.console import Console\n"
        f"{call}()\n"
        "Console().print('begun')\n"
        "input()\n"
        "Console().print('nobody reads this')\n"
        "Console().print('nor that')\n"
    )
    flow = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert flow.stdin is not None
    assert flow.stdout is not None
    with flow.stdin, flow.stdout:
        assert flow.stdout.readline() == b"begun\n"
        flow.stdout.close()
        flow.stdin.write(b"\n")
    assert flow.wait(30) == code
