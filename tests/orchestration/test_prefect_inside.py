from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from analognas.orchestration.prefect_inside import drain, guarded_server, next_date, update_artifact
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
