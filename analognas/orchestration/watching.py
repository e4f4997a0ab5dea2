"""What the process that serves a workspace watches besides: whether runs come when they are due, and how they end.

A run that was killed cannot say so, and one that never began even less. So the runner looks every few seconds, and
tells whom the user has named (``analognas.notices``); it also sends what a receiver that was away has not taken yet.

That a run was missed is certain when Prefect's server says so: it has none for that date, nobody takes it although
nothing keeps the runner from it, or it ended before it reached the workspace. A machine that is busy lets a process
start late, so a run that was taken has its time; where the server cannot be asked, two minutes decide.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from analognas import notices
from analognas.errors import AnalogNASError
from analognas.files import read_sealed, write_sealed
from analognas.workspace import Paths

#: Seconds between two looks, and how often it is written down that somebody looks.
_LOOK, _WRITE = 2.0, 60.0
#: Seconds after which a run that is due and did not begin was missed in any case; unless somebody has taken it, whose
#: process may start that late.
_LATE, _STARTS = 120.0, 600.0
#: Seconds that it takes until Prefect's server knows a schedule that is served for the first time.
_REGISTERS = 60.0
#: Looks at which nobody has taken it: a process that gets no time looks late, and asks for runs late. (It asks for them
#: ten seconds before they are due.)
_LOOKS = 4
#: Moments that are that near are the same one.
_NEAR = timedelta(seconds=1)
#: Seconds before a receiver that was away is asked again.
_PAUSE = 5.0

#: What gives the dates of a schedule after one moment and up to another.
Dates = Callable[[datetime, datetime], Sequence[datetime]]
#: What gives the states of the runs that were due from one moment to another, by when they were due: type and name as
#: Prefect has them. It may fail, and must not take long.
States = Callable[[datetime, datetime], Mapping[datetime, tuple[str, str]]]


def begun(paths: Paths) -> None:
    """Take down that a retraining has begun, or was left out because another run works in the workspace."""
    with contextlib.suppress(AnalogNASError):  # then it counts as missed, which is wrong but not silent
        write_sealed(_begun_file(paths), {"at": datetime.now(UTC).isoformat()})


class Watch:
    """Looks after the runs of a workspace that is served.

    Args:
        paths: the workspace.
        schedule: what is served, as text: another one than before has missed nothing yet.
        dates: when it is due.
        states: what Prefect's server has for these dates.
        taken: seconds within which the runner takes a run that is due.
    """

    def __init__(self, paths: Paths, schedule: str, dates: Dates, states: States, taken: float = 25.0) -> None:
        self._paths, self._schedule, self._dates, self._states = paths, schedule, dates, states
        self._taken = timedelta(seconds=taken)
        self._written: datetime | None = None
        self._waits: tuple[datetime, datetime, int] | None = None
        self._looked, self._since = self._before(), datetime.now(UTC)

    @contextlib.contextmanager
    def going_on(self) -> Iterator[None]:
        """Check every few seconds, within the block and once at its end."""
        stop = threading.Event()
        thread = threading.Thread(target=self._check_again, args=(stop,), name="analognas-watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(timeout=2 * _PAUSE)
            self._write(self._looked)

    def check(self, now: datetime) -> None:
        """Tell what is to be told by now."""
        notices.crashed(self._paths)
        missed: list[datetime] = []
        why, looked = "", now
        due = self._not_begun(self._dates(self._looked, now)) if now > self._looked else []
        states = self._asked(due[0], now) if due else None
        for date in self._not_begun(due):  # again: one may have begun, and ended, since
            certain = self._certainly(date, now, states)
            if certain is None:
                looked = date - timedelta(microseconds=1)
                break
            if certain:
                missed.append(date)
                why = why or certain
        if missed:
            self._tell(missed, why)
        self._looked = max(self._looked, looked)
        if missed or self._written is None or now - self._written >= timedelta(seconds=_WRITE):
            self._write(self._looked)
            self._written = now
        notices.resume(self._paths, pause=_PAUSE)

    def _check_again(self, stop: threading.Event) -> None:
        while not stop.is_set():
            # Nothing that goes wrong here is a reason for the runs to end.
            with contextlib.suppress(Exception):
                self.check(datetime.now(UTC))
            stop.wait(_LOOK)

    def _not_begun(self, dates: Sequence[datetime]) -> list[datetime]:
        began = _read(_begun_file(self._paths), "at")
        return [date for date in dates if began is None or began < date - _NEAR]

    def _asked(self, first: datetime, last: datetime) -> dict[datetime, tuple[str, str]] | None:
        """Return the states of the runs that were due, None if the server cannot be asked."""
        import httpx
        from prefect.exceptions import PrefectException

        try:
            return dict(self._states(first - _NEAR, last + _NEAR))
        except (httpx.HTTPError, PrefectException, OSError, ValueError):  # the last: it answers something else
            return None

    def _certainly(
        self, date: datetime, now: datetime, states: Mapping[datetime, tuple[str, str]] | None
    ) -> str | None:  # fmt: skip
        """Return why a run that has not begun here was missed, nothing if it was not, None if that is still open."""
        late = now - date >= timedelta(seconds=_LATE)
        if states is None:
            return "Prefect's server cannot be asked" if late else None
        kind, name = next((state for when, state in states.items() if abs(when - date) < _NEAR), ("", ""))
        starts = now - date < timedelta(seconds=_STARTS)
        if kind in ("RUNNING", "COMPLETED"):  # the flow is the user's, and need not say here that it began
            return None if kind == "RUNNING" and starts else ""
        if kind in ("PENDING", "CANCELLING"):
            return None if starts else "its process did not start"
        watched = date >= self._since  # otherwise `serve` may just be started again, and take it up
        if kind and kind not in ("SCHEDULED", "PAUSED"):
            return f"it ended before that as {name}" if watched or late else None
        since, looks = now, 0
        if self._waits is not None and self._waits[0] == date:
            _, since, looks = self._waits
        looks += 1
        self._waits = date, since, looks
        # What goes on here may need all of the machine, and then the runner asks late.
        free = now - since >= self._taken and looks >= _LOOKS and not notices.alive(self._paths)
        if not late and not (watched and free):
            return None
        return "nobody took it from Prefect's server" if kind else "Prefect's server has no run for it"

    def _tell(self, missed: Sequence[datetime], why: str) -> None:
        first, number = missed[0], len(missed)
        when = f"{first:%Y-%m-%d %H:%M} UTC"
        what = f"The retraining of {self._paths.root} that was due at {when} did not begin"
        if number > 1:
            what += f", nor did the {number - 1} after it until {missed[-1]:%Y-%m-%d %H:%M} UTC"
        text = (
            f"{what} ({why}): see to it that `analognas serve`, Prefect's server and this machine are there then, and "
            "that the schedule is not paused."
        )
        notices.tell(self._paths, "missed", first.isoformat(), text, due=[date.isoformat() for date in missed[:100]])

    def _before(self) -> datetime:
        """Return up to when somebody has looked for this schedule; if nobody has, from when on it can be due."""
        fresh = datetime.now(UTC) + timedelta(seconds=_REGISTERS)
        try:
            content = read_sealed(_looked_file(self._paths), remedy="")
        except AnalogNASError:
            return fresh
        looked = _read(_looked_file(self._paths), "looked")
        return looked if looked is not None and content.get("schedule") == self._schedule else fresh

    def _write(self, looked: datetime) -> None:
        with contextlib.suppress(AnalogNASError):
            write_sealed(_looked_file(self._paths), {"schedule": self._schedule, "looked": looked.isoformat()})


def _begun_file(paths: Paths) -> Path:
    return paths.private() / "begun.json"


def _looked_file(paths: Paths) -> Path:
    return paths.private() / "looked.json"


def _read(file: Path, key: str) -> datetime | None:
    try:
        return datetime.fromisoformat(read_sealed(file, remedy="")[key])
    except (AnalogNASError, KeyError, TypeError, ValueError):
        return None
