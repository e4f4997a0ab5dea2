"""Progress on a terminal: what is running, how far it is, how long it will still take."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column

from analognas.stages import STAGES
from analognas.stages.processes import workers

if TYPE_CHECKING:
    from analognas.params import Params, TrainingParams

# Without a terminal a line is printed now and then instead.
_LINE_EVERY = 15.0


def _effort(training: TrainingParams, layers: str) -> float:
    """Return what one characterization costs, in digital epochs (measured ratios at the digits preset)."""
    slower = 1 if layers == "fast" else 5
    return training.epochs + slower * (2 * training.hwa_epochs + 0.1 * training.repeats * len(training.times))


def efforts(params: Params) -> dict[str, float]:
    """Return what every stage costs in digital epochs: only their proportions are used, to tell the time left."""
    characterization = _effort(params.characterize, params.hardware.layers)
    side_by_side = 1 if params.run.runner == "serial" else workers(params.run.workers)
    return {
        "sample": 0.2 * characterization,
        "characterize": characterization * params.sample.size / side_by_side,
        "fit": characterization,
        "search": characterization,
        "train": 2 * _effort(params.train, params.hardware.layers) / min(2, side_by_side),
    }


class _Shown:
    """A bar on standard error while a block goes on, if that is a terminal.

    Args:
        columns: what stands beside the bar.
        visible: whether to show anything at all.
        transient: whether the bar is gone when the block has ended.
    """

    def __init__(self, *columns: ProgressColumn, visible: bool, transient: bool = False) -> None:
        self._visible = visible
        self._console = Console(stderr=True)
        self._live = visible and self._console.is_terminal
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            *columns,
            # It gives way where the terminal is narrow.
            TextColumn(
                "{task.fields[detail]}",
                style="dim",
                markup=False,
                table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
            ),
            console=self._console,
            expand=True,
            transient=transient,
        )

    def __enter__(self) -> Self:
        if self._live:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._bar.stop()


class PipelineProgress(_Shown):
    """One bar for a whole run, with the time that is left estimated from the effort that is left.

    Args:
        params: what is going to be run.
        visible: whether to show anything at all.
    """

    def __init__(self, params: Params, *, visible: bool = True) -> None:
        left = TextColumn("{task.fields[left]}")
        share = TextColumn("{task.percentage:>3.0f} %")
        super().__init__(share, TimeElapsedColumn(), left, visible=visible, transient=True)
        self._efforts = efforts(params)
        self._said = time.monotonic()
        self._start: float | None = None
        self._begun = 0.0
        self._finished: dict[str, float] = {}
        self._task: TaskID = self._bar.add_task("starting", total=1.0, left="", detail="")

    def update(self, stage: str, done: float, total: float, detail: str) -> None:
        """Take notice of how far a stage is; ``detail`` is one line about it."""
        before = self._finished.get(stage, 0.0)
        fraction = done / total if total else 1.0
        if stage not in self._finished and fraction >= 1.0 and stage in STAGES:
            self._efforts[stage] = 0.0  # it was up to date: nothing was left to do
        self._finished[stage] = max(before, fraction)
        if not self._visible:
            return
        whole = sum(self._efforts.values()) or 1.0
        finished = sum(self._efforts.get(name, 0.0) * part for name, part in self._finished.items()) / whole
        left = self._left(finished)
        if self._live:
            self._bar.update(self._task, description=stage, completed=finished, left=left, detail=detail[:70])
        if fraction >= 1.0 and before < 1.0:
            self._say(f"{stage}: {detail}")
        elif not self._live and time.monotonic() - self._said > _LINE_EVERY:
            self._say(f"{stage}: {detail} ({100 * finished:.0f} %{', ' + left if left else ''})")

    def _left(self, finished: float) -> str:
        """Return how long the rest will take at the pace so far, counted from the first progress that was made."""
        now = time.monotonic()
        if self._start is None:
            self._start, self._begun = now, finished
        gained = finished - self._begun
        return f"about {_duration((now - self._start) * (1 - finished) / gained)} left" if gained > 0.05 else ""

    def _say(self, line: str) -> None:
        self._said = time.monotonic()
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


class StageProgress(_Shown):
    """Progress of a single stage.

    Args:
        stage: its name.
        visible: whether to show anything at all.
    """

    def __init__(self, stage: str, *, visible: bool = True) -> None:
        super().__init__(TextColumn("{task.fields[count]}"), TimeElapsedColumn(), visible=visible)
        self._stage = stage
        self._said = ""
        self._task: TaskID | None = None

    def update(self, done: float, total: float, detail: str) -> None:
        """Take notice of how far the stage is; ``detail`` is one line about it."""
        count = f"{_number(done)}/{_number(total)}"
        if self._live:
            if self._task is None:
                self._task = self._bar.add_task(self._stage, total=total, count=count, detail=detail)
            self._bar.update(self._task, completed=done, total=total, count=count, detail=detail[:70])
        elif self._visible and done and detail != self._said:
            self._said = detail
            print(f"{self._stage} {count}: {detail}", file=sys.stderr, flush=True)  # noqa: T201


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:g}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
