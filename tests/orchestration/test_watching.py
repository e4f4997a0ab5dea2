from __future__ import annotations

import time
from collections.abc import Sequence
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


def test_a_run_that_is_due_and_does_not_begin_is_told_once(
    tmp_path: Path, told: list[tuple[str, str, str]], monkeypatch: pytest.MonkeyPatch
):
    paths = Paths(tmp_path)
    watch = Watch(paths, "hourly", every_hour)
    first, second, third = (START + timedelta(hours=number) for number in (1, 2, 3))
    watch.look(first - timedelta(minutes=5))
    watch.look(first + timedelta(seconds=100))  # its process may still start
    assert told == []
    watch.look(first + timedelta(seconds=121))
    watch.look(first + timedelta(seconds=123))
    ((event, about, text),) = told
    assert (event, about) == ("missed", first.isoformat())
    assert text.startswith(f"The retraining of {tmp_path} that was due at {first:%Y-%m-%d %H:%M} UTC did not begin: ")
    began_at(paths, second + timedelta(seconds=20), monkeypatch)
    watch.look(second + timedelta(seconds=121))
    assert len(told) == 1
    watch.look(third + timedelta(seconds=121))
    assert [about for _, about, _ in told] == [first.isoformat(), third.isoformat()]


def test_what_nobody_served_is_told_when_somebody_does_again(tmp_path: Path, told: list[tuple[str, str, str]]):
    paths = Paths(tmp_path)
    watch = Watch(paths, "hourly", every_hour)
    watch.look(START + timedelta(minutes=3))
    later = Watch(paths, "hourly", every_hour)
    later.look(START + timedelta(hours=5, minutes=30))
    ((_, about, text),) = told
    assert about == (START + timedelta(hours=1)).isoformat()
    assert f"nor did the 4 after it until {START + timedelta(hours=5):%Y-%m-%d %H:%M} UTC" in text
    Watch(paths, "hourly", every_hour).look(START + timedelta(hours=5, minutes=40))
    assert len(told) == 1


def test_another_schedule_has_missed_nothing(tmp_path: Path, told: list[tuple[str, str, str]]):
    paths = Paths(tmp_path)
    Watch(paths, "hourly", every_hour).look(START - timedelta(hours=5))

    def past(after: datetime, until: datetime) -> Sequence[datetime]:
        return [date for date in (START - timedelta(hours=1),) if after < date <= until]

    Watch(paths, "other", past).look(START + timedelta(minutes=3))
    assert told == []


def test_it_looks_by_itself_sends_what_waits_and_survives_what_goes_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    paths, asked, sent = Paths(tmp_path), [], []
    monkeypatch.setattr(watching, "_LOOK", 0.01)
    monkeypatch.setattr(notices, "resume", lambda there, pause: sent.append(there))

    def dates(after: datetime, until: datetime) -> Sequence[datetime]:
        asked.append(after)
        if len(asked) == 1:
            raise OSError("Prefect's own trouble")
        return []

    with Watch(paths, "hourly", dates, late=0).going_on():
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
