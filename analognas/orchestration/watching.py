"""What the process that serves a workspace watches besides: whether runs come when they are due, and how they end.

A run that was killed cannot say so, and one that never began even less. So the runner looks every few seconds, and
tells whom the user has named (``analognas.notices``); it also sends what a receiver that was away has not taken yet.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from analognas import notices
from analognas.errors import AnalogNASError
from analognas.files import read_sealed, write_sealed
from analognas.workspace import Paths

#: Seconds between two looks; after which a run that is due counts as missed (its process takes some to start); and
#: how often it is written down that somebody looks.
_LOOK, _LATE, _WRITE = 2.0, 120.0, 60.0
#: Seconds before a receiver that was away is asked again.
_PAUSE = 5.0

#: What gives the dates of a schedule after one moment and up to another.
Dates = Callable[[datetime, datetime], Sequence[datetime]]


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
        late: seconds after which a run that is due counts as missed.
    """

    def __init__(self, paths: Paths, schedule: str, dates: Dates, late: float = _LATE) -> None:
        self._paths, self._schedule, self._dates = paths, schedule, dates
        self._late = timedelta(seconds=late)
        self._written: datetime | None = None
        self._looked = self._before()

    @contextlib.contextmanager
    def going_on(self) -> Iterator[None]:
        """Look every few seconds, within the block and once at its end."""
        stop = threading.Event()
        thread = threading.Thread(target=self._look_again, args=(stop,), name="analognas-watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(timeout=2 * _PAUSE)
            self._write(self._looked)

    def look(self, now: datetime) -> None:
        """Tell what is to be told by now."""
        notices.crashed(self._paths)
        until = now - self._late
        due = self._dates(self._looked, until) if until > self._looked else []
        began = _read(_begun_file(self._paths), "at")
        missed = [date for date in due if began is None or began < date - timedelta(seconds=1)]
        if missed:
            self._tell(missed)
        if until > self._looked:
            self._looked = until
        if missed or self._written is None or now - self._written >= timedelta(seconds=_WRITE):
            self._write(self._looked)
            self._written = now
        notices.resume(self._paths, pause=_PAUSE)

    def _look_again(self, stop: threading.Event) -> None:
        while not stop.is_set():
            # Nothing that goes wrong here is a reason for the runs to end.
            with contextlib.suppress(Exception):
                self.look(datetime.now(UTC))
            stop.wait(_LOOK)

    def _tell(self, missed: Sequence[datetime]) -> None:
        first, number = missed[0], len(missed)
        when = f"{first:%Y-%m-%d %H:%M} UTC"
        what = f"The retraining of {self._paths.root} that was due at {when} did not begin"
        if number > 1:
            what += f", nor did the {number - 1} after it until {missed[-1]:%Y-%m-%d %H:%M} UTC"
        text = f"{what}: see to it that `analognas serve`, Prefect's server and this machine are there at the time."
        notices.tell(self._paths, "missed", first.isoformat(), text, due=[date.isoformat() for date in missed[:100]])

    def _before(self) -> datetime:
        """Return up to when somebody has looked for this schedule; now, if nobody has."""
        now = datetime.now(UTC)
        try:
            content = read_sealed(_looked_file(self._paths), remedy="")
        except AnalogNASError:
            return now - self._late
        looked = _read(_looked_file(self._paths), "looked")
        return looked if looked is not None and content.get("schedule") == self._schedule else now - self._late

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
