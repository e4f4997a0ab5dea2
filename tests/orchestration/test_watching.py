from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from analognas import notices
from analognas.orchestration import watching
from analognas.orchestration.prefect_inside import due_dates
from analognas.orchestration.watching import Watch, begun
from analognas.workspace import Paths

START = datetime.now(UTC).replace(microsecond=0)


def every_hour(after: datetime, until: datetime) -> Sequence[datetime]:
    """An hour after the start, and so on."""
    dates = [START + timedelta(hours=number) for number in range(1, 200)]
    return [date for date in dates if after < date <= until]


class Server:
    """What Prefect's server has for each date; away if it has None."""

    def __init__(self) -> None:
        self.runs: dict[datetime, tuple[str, str]] | None = {}

    def __call__(self, first: datetime, last: datetime) -> Mapping[datetime, tuple[str, str]]:
        if self.runs is None:
            raise ConnectionError
        return {date: state for date, state in self.runs.items() if first <= date <= last}


LATE = ("SCHEDULED", "Late")


def looks(watch: Watch, begin: datetime, seconds: float, every: float = 2) -> Iterator[float]:
    """Look again and again; gives after how many seconds it does."""
    after = 0.0
    while after <= seconds:
        watch.check(begin + timedelta(seconds=after))
        yield after
        after += every


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    made: list[tuple[str, str, str]] = []
    monkeypatch.setattr(notices, "tell", lambda paths, *what, **facts: made.append(what))
    return made


def began_at(paths: Paths, moment: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return moment

    with monkeypatch.context() as patched:
        patched.setattr(watching, "datetime", Clock)
        begun(paths)


@pytest.mark.parametrize(
    ("runs", "why"),
    [({}, "Prefect's server has no run for it"), ({"first": LATE}, "nobody took it from Prefect's server")],
)
def test_a_run_that_nobody_takes_is_told_once_within_seconds(
    tmp_path: Path, told: list[tuple[str, str, str]], server: Server, runs: dict[str, Any], why: str
):
    first = START + timedelta(hours=1)
    server.runs = dict.fromkeys([first] * len(runs), LATE)
    watch = Watch(Paths(tmp_path), "hourly", every_hour, server)
    watch.check(first - timedelta(minutes=5))
    after = next(after for after in looks(watch, first + timedelta(seconds=1), 60) if told)
    assert 25 <= after <= 27
    list(looks(watch, first + timedelta(seconds=30), 200))
    ((event, about, text),) = told
    assert (event, about) == ("missed", first.isoformat())
    begin = f"The retraining of {tmp_path} that was due at {first:%Y-%m-%d %H:%M} UTC did not begin ({why}): "
    assert text.startswith(begin)


def test_a_run_that_begins_is_not_missed(
    tmp_path: Path, told: list[tuple[str, str, str]], server: Server, monkeypatch: pytest.MonkeyPatch
):
    paths, first = Paths(tmp_path), START + timedelta(hours=1)
    watch = Watch(paths, "hourly", every_hour, server)
    server.runs = {first: LATE}
    list(looks(watch, first, 20))
    server.runs = {first: ("PENDING", "Pending")}
    list(looks(watch, first + timedelta(seconds=22), 400))  # its process starts on a busy machine
    server.runs = {first: ("RUNNING", "Running")}
    list(looks(watch, first + timedelta(seconds=424), 100))
    began_at(paths, first + timedelta(seconds=525), monkeypatch)
    server.runs = {first: ("COMPLETED", "Skipped")}
    list(looks(watch, first + timedelta(seconds=526), 700))
    assert told == []


def test_a_flow_that_does_not_say_that_it_began_is_not_missed(
    tmp_path: Path, told: list[tuple[str, str, str]], server: Server
):
    first = START + timedelta(hours=1)
    for kind in ("RUNNING", "COMPLETED"):
        server.runs = {first: (kind, kind.title())}
        list(looks(Watch(Paths(tmp_path / kind), "hourly", every_hour, server), first - timedelta(seconds=2), 900, 10))
    assert told == []


@pytest.mark.parametrize("state", ["Crashed", "Failed", "Cancelled"])
def test_a_run_that_ends_before_it_reaches_the_workspace_is_told_at_once(
    tmp_path: Path, told: list[tuple[str, str, str]], server: Server, state: str
):
    first = START + timedelta(hours=1)
    server.runs = {first: ("PENDING", "Pending")}
    watch = Watch(Paths(tmp_path), "hourly", every_hour, server)
    list(looks(watch, first, 60))
    assert told == []
    server.runs = {first: (state.upper(), state)}
    watch.check(first + timedelta(seconds=62))
    ((event, _, text),) = told
    assert event == "missed"
    assert f"(it ended before that as {state})" in text


def test_a_run_that_reached_the_workspace_is_not_missed_however_it_ends(
    tmp_path: Path, told: list[tuple[str, str, str]], server: Server, monkeypatch: pytest.MonkeyPatch
):
    paths, first = Paths(tmp_path), START + timedelta(hours=1)

    def ends(_: datetime, __: datetime) -> Mapping[datetime, tuple[str, str]]:
        began_at(paths, first + timedelta(seconds=30), monkeypatch)  # while the server is asked
        return {first: ("FAILED", "Failed")}

    Watch(paths, "hourly", every_hour, ends).check(first + timedelta(seconds=40))
    assert told == []


def test_a_process_that_does_not_start_is_told(tmp_path: Path, told: list[tuple[str, str, str]], server: Server):
    first = START + timedelta(hours=1)
    server.runs = {first: ("PENDING", "Pending")}
    watch = Watch(Paths(tmp_path), "hourly", every_hour, server)
    list(looks(watch, first, 598))
    assert told == []
    watch.check(first + timedelta(seconds=601))
    assert "(its process did not start)" in told[0][2]


@pytest.mark.parametrize("what", ["the server is away", "a run goes on", "served again"])
def test_where_it_is_not_certain_two_minutes_decide(
    tmp_path: Path, told: list[tuple[str, str, str]], server: Server, monkeypatch: pytest.MonkeyPatch, what: str
):
    paths, first = Paths(tmp_path), START + timedelta(hours=1)
    watch = Watch(paths, "hourly", every_hour, server)
    server.runs = {first: LATE}
    if what == "the server is away":
        server.runs = None
    elif what == "a run goes on":  # it may need all of the machine
        monkeypatch.setattr(notices, "alive", lambda paths: True)
    else:
        monkeypatch.setattr(watch, "_since", first + timedelta(seconds=10))
    list(looks(watch, first, 118))
    assert told == []
    watch.check(first + timedelta(seconds=121))
    assert len(told) == 1


def test_a_process_that_gets_no_time_is_given_some(tmp_path: Path, told: list[tuple[str, str, str]], server: Server):
    first = START + timedelta(hours=1)
    watch = Watch(Paths(tmp_path), "hourly", every_hour, server)
    after = next(after for after in looks(watch, first, 115, every=20) if told)
    assert after == 60  # four looks: the runner, which asks for runs, gets no more of the machine than this


def test_what_nobody_served_is_told_when_somebody_does_again(
    tmp_path: Path, told: list[tuple[str, str, str]], server: Server
):
    paths = Paths(tmp_path)
    watch = Watch(paths, "hourly", every_hour, server)
    watch.check(START + timedelta(minutes=3))
    later = Watch(paths, "hourly", every_hour, server)
    later.check(START + timedelta(hours=5, minutes=30))
    ((_, about, text),) = told
    assert about == (START + timedelta(hours=1)).isoformat()
    assert f"nor did the 4 after it until {START + timedelta(hours=5):%Y-%m-%d %H:%M} UTC" in text
    Watch(paths, "hourly", every_hour, server).check(START + timedelta(hours=5, minutes=40))
    assert len(told) == 1


def test_what_is_due_before_the_server_knows_the_schedule_is_not_missed(
    tmp_path: Path, told: list[tuple[str, str, str]], server: Server
):
    moment = datetime.now(UTC)

    def soon(after: datetime, until: datetime) -> Sequence[datetime]:
        dates = [moment + timedelta(seconds=seconds) for seconds in (2, 300)]
        return [date for date in dates if after < date <= until]

    list(looks(Watch(Paths(tmp_path), "soon", soon, server), moment, 290))
    assert told == []


def test_another_schedule_has_missed_nothing(tmp_path: Path, told: list[tuple[str, str, str]], server: Server):
    paths = Paths(tmp_path)
    Watch(paths, "hourly", every_hour, server).check(START - timedelta(hours=5))

    def past(after: datetime, until: datetime) -> Sequence[datetime]:
        return [date for date in (START - timedelta(hours=1), START - timedelta(seconds=9)) if after < date <= until]

    Watch(paths, "other", past, server).check(START + timedelta(minutes=3))
    assert told == []


def test_it_looks_by_itself_sends_what_waits_and_survives_what_goes_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    paths, asked, sent = Paths(tmp_path), [], []
    monkeypatch.setattr(watching, "_LOOK", 0.01)
    monkeypatch.setattr(watching, "_REGISTERS", 0)
    monkeypatch.setattr(notices, "resume", lambda there, pause: sent.append(there))

    def dates(after: datetime, until: datetime) -> Sequence[datetime]:
        asked.append(after)
        if len(asked) == 1:
            raise OSError("Prefect's own trouble")
        return []

    with Watch(paths, "hourly", dates, Server()).going_on():
        deadline = time.monotonic() + 20
        while len(sent) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert len(sent) >= 3
    number = len(sent)
    time.sleep(0.1)
    assert len(sent) == number
    assert (tmp_path / ".analognas" / "looked.json").is_file()


def test_dates_are_those_of_prefects_server():
    from prefect.schedules import Cron, Interval

    begin = datetime(2026, 3, 2, 3, tzinfo=UTC)
    end = begin + timedelta(days=14)
    mondays = partial(due_dates, Cron("0 3 * * 1", timezone="UTC"))
    assert mondays(begin, end) == [begin + timedelta(days=7), end]
    anchor = begin - timedelta(hours=30)
    daily = partial(due_dates, Interval(timedelta(hours=24), anchor_date=anchor, timezone="UTC"))
    assert daily(begin, begin + timedelta(days=2)) == [anchor + timedelta(days=2), anchor + timedelta(days=3)]
