"""The run of a pipeline that is going on: what is up to date, what ran, what is recorded and logged.

``flows/pipeline.py`` of a workspace is the user's; what must live in the installed package is here. Prefect is
loaded when a flow runs, not before: ``analognas run`` asks :class:`~freshness.Freshness` first.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar
from uuid import uuid4

from analognas import notices, tracking
from analognas.causes import wrong
from analognas.errors import OtherEvaluatorError, StageError
from analognas.orchestration import artifacts, flow_run
from analognas.orchestration.freshness import Freshness
from analognas.orchestration.prefect_inside import outlive_the_runner
from analognas.params import Params
from analognas.progress import RunProgress
from analognas.stages import run_stage
from analognas.stages.protocols import RECORD
from analognas.stages.recorded import one_look
from analognas.tracking import state
from analognas.versioning import Versioning, certainly_stale, git
from analognas.versioning.pipeline import is_declared
from analognas.workspace import Paths, alone, round_name

if TYPE_CHECKING:
    from analognas.stages.rounds import Round
    from analognas.stages.summaries import Summary


@dataclass(frozen=True)
class RunReport:
    """What a run did: stages that ran, were up to date, were logged to MLflow; notes for the user, a sentence each.

    ``page`` is the address of its page on a Prefect server that stays, None without one; ``tracked`` is that of its run
    below the address of MLflow's pages, None if nothing was logged.
    """

    ran: tuple[str, ...]
    skipped: tuple[str, ...]
    logged: tuple[str, ...]
    notes: tuple[str, ...]
    page: str | None = None
    tracked: str | None = None


class Chunks(Protocol):
    """Characterizations that are going on, in chunks."""

    def measure(self, number: int) -> int:
        """Characterize the architectures of one chunk and return how many they were."""


@dataclass
class Session:
    """One run in one workspace, and everything that its tasks share.

    Attributes:
        notes: what the user should know when it has ended, a sentence each.
        warned: what the library warned of.
        going_on: whether it is in the middle of its work; before that it is prepared.
        page: the address of its page on a Prefect server that stays.
        identity: what tells it from all other runs.
        chunks: the characterizations that are going on, if any are.
    """

    paths: Paths
    params: Params
    freshness: Freshness
    progress: RunProgress
    versioning: Versioning | None = field(init=False)
    ran: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    logged: tuple[str, ...] = ()
    tracked: str | None = None
    notes: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)
    going_on: bool = False
    page: str | None = None
    identity: str = field(default_factory=lambda: uuid4().hex)
    chunks: Chunks | None = None
    _answers: dict[tuple[str, int], list[str]] = field(default_factory=dict)

    @classmethod
    def what(cls) -> str:
        """Return what such a run is called, at the beginning of a sentence."""
        return "A run of the pipeline"

    def __post_init__(self) -> None:
        self.versioning = Versioning.find(self.paths.root)
        self.notes += git.lost(self.paths.root)

    def reasons(self, stage: str) -> list[str]:
        """Return why a stage must run, empty if it is up to date now."""
        known = self.freshness.stale[stage]
        if self.versioning is None or not self.ran or certainly_stale(known):
            return known
        # A stage before it ran since DVC was asked, so its inputs may be other ones now, or the same again.
        asked = (stage, len(self.ran))
        if asked not in self._answers:
            self._answers[asked] = self.versioning.status([stage])[stage]
        return self._answers[asked]

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Count the time of a block as the stage's."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.monotonic() - start

    def run(self, stage: str, expected: str | None = None) -> Summary | None:
        """Run a stage and record what it wrote, unless it is up to date.

        Args:
            stage: its name.
            expected: of ``fit``: digest of the only evaluator that it may write; None: that of a round which was
                accepted and whose evaluator is not here yet, else any.

        Returns:
            The stage's summary, or None if it is up to date.

        Raises:
            OtherEvaluatorError: if ``fit`` gives another evaluator than the expected one.
            StageError: if that was the one of an accepted round, which waits for its decision again then.
        """
        if not self.reasons(stage):
            self.skipped.append(stage)
            self.progress(stage, 1, 1, "up to date")
            return None
        with self.timed(stage):
            summary = self._fit() if stage == "fit" and expected is None else self._run(stage, expected)
        self.ran.append(stage)
        if self.versioning is not None:
            # What `record` writes was written when the run was prepared.
            record(self.paths, self.params, self.versioning, stage, first=len(self.ran) == 1)
        state.note_duration(self.paths, stage, self.versioning, self.seconds[stage])
        return summary

    def _run(self, stage: str, expected: str | None = None) -> Summary:
        def show(done: float, total: float, text: str) -> None:
            self.progress(stage, done, total, text)

        return run_stage(stage, self.params, self.paths, show, expected=expected)

    def _fit(self) -> Summary:
        """Fit; in the champion's place comes only what was compared with it, byte for byte."""
        from analognas import retraining

        promised = self._promised()
        if promised is None:
            return self._run("fit")
        try:
            return self._run("fit", promised.record["challenger"]["digest"])
        except OtherEvaluatorError as error:
            why = "its challenger cannot be made again, because parameters, versions or results are others now"
            retraining.reopen(self.paths, promised, why)
            raise StageError(
                f"{error} Round {round_name(promised.number)} waits for its decision again: `analognas retrain` "
                "compares anew."
            ) from error

    def _promised(self) -> Round | None:
        """Return the accepted round whose challenger is what ``fit`` has to give, if there is one."""
        from analognas import retraining
        from analognas.stages import inputs

        return retraining.promised(self.paths, inputs.space(self.params, self.paths))

    def decided_since(self) -> float | None:
        """Return since when a retraining worked on what it has decided, in seconds since the epoch; else None."""
        return None

    def sync(self, *, failed: bool = False) -> None:
        """Log to MLflow what is not logged yet, and whether the run ended with an error."""
        report = tracking.sync(self.paths, self.params, self.versioning, self.page, failed, self.decided_since())
        self.logged, self.tracked = report.logged, report.page
        if self.page is not None:
            artifacts.logged(self.tracked)
        if report.warning:
            notices.tell(self.paths, "tracking", self.identity, report.warning, run=self.page)
        # Where MLflow cannot be written it is not asked.
        note = report.warning or tracking.standing.sentence(self.paths)
        if note:
            self.notes.append(note)

    @property
    def report(self) -> RunReport:
        """What has been done so far."""
        return RunReport(tuple(self.ran), tuple(self.skipped), self.logged, tuple(self.notes), self.page, self.tracked)


def record(paths: Paths, params: Params, versioning: Versioning, stage: str, *, first: bool = True) -> None:
    """Record in ``dvc.lock`` a stage that has just run, and before the first one of a run what ``record`` wrote.

    Raises:
        StageError: if DVC fails, or the stage did not have the parameters that DVC would take down: those that the file
            says now.
    """
    now, then = (told.model_dump(exclude={"run", "retrain"}) for told in (Params.load(paths.params), params))
    if now != then:
        raise StageError(
            f"{paths.params} was changed while {stage} ran with what it said before: run again. "
            "What was characterized is kept."
        )
    before = [RECORD] if first and is_declared(paths.root, RECORD) else []
    versioning.commit(*dict.fromkeys([*before, stage]))


_Kind = TypeVar("_Kind", bound=Session)

# A context variable, because Prefect copies the context into the threads in which tasks run.
_run: ContextVar[Session | None] = ContextVar("analognas_run", default=None)


@contextlib.contextmanager
def prepared(run: Session) -> Iterator[None]:
    """Let the flow that is called within this block be this run, instead of one of its own."""
    token = _run.set(run)
    try:
        yield
    finally:
        _run.reset(token)


@contextlib.contextmanager
def session(workspace: str | Path = ".") -> Iterator[Session]:
    """Open a run of the pipeline in a workspace; when it ends, also with an error, it is logged to MLflow."""
    with opened(workspace, Session) as run:
        yield run


@contextlib.contextmanager
def opened(
    workspace: str | Path, kind: type[_Kind], before: Callable[[Paths], list[str]] = lambda _: []
) -> Iterator[_Kind]:
    """Open a run of a kind; see ``session``. Raises BusyError if another run works there.

    ``before`` is done before a run that nobody prepared; it returns notes.
    """
    paths = Paths.find(Path(workspace))
    with alone(paths), one_look():
        there = _run.get()
        prepared_before = there if isinstance(there, kind) and there.paths == paths and not there.going_on else None
        identity = uuid4().hex if prepared_before is None else prepared_before.identity
        about = {"id": identity, "what": kind.what(), "page": flow_run.page()}
        # From the first moment to the last: what is done before and after its stages may take minutes, too.
        with notices.going_on(paths, about):
            if prepared_before is None:
                outlive_the_runner()
                with _failure_told(paths, kind, identity, about["page"]):
                    notes = before(paths)
                    run = _prepare(paths, kind)
                run.notes, run.identity = run.notes + notes, identity
            else:
                run = prepared_before
            yield from _gone_through(run, by_itself=prepared_before is None)


def _gone_through(run: _Kind, *, by_itself: bool) -> Iterator[_Kind]:
    """Yield a run that is going on, log it when it ends, and tell its notes."""
    token, run.going_on = _run.set(run), True
    if run.freshness.unversioned:
        run.notes.append(f"Nothing is versioned, so every stage runs. {run.freshness.unversioned}.")
    _show(run)
    try:
        with flow_run.warnings_logged(run.warned), _failure_told(run.paths, type(run), run.identity, run.page):
            yield run
    except Exception:  # not on Ctrl-C: nobody waits for MLflow then, and the next run logs it
        run.sync(failed=True)
        raise
    else:
        run.sync()
    finally:
        run.going_on = False
        _run.reset(token)
        for note in run.notes:
            flow_run.note(note)
            if by_itself:  # nobody else tells them
                logging.getLogger(__name__).warning(note)


@contextlib.contextmanager
def _failure_told(paths: Paths, kind: type[Session], identity: str, page: str | None = None) -> Iterator[None]:
    """Tell whom the user has named of a run that does not come to its end, also if somebody ends it."""
    try:
        yield
    except Exception as error:
        text = f"{kind.what()} in {paths.root} failed: {wrong(error)}."
        notices.tell(paths, "failed", identity, text, run=page)
        raise
    except KeyboardInterrupt:  # whoever pressed it knows
        raise
    except BaseException:
        text = f"{kind.what()} in {paths.root} was ended from outside: what it had finished is kept."
        notices.tell(paths, "ended", identity, text, run=page)
        raise


def _show(run: Session) -> None:
    """Let Prefect show what run it is, and what happens in it."""
    commit = git.commit_of(run.paths.root)
    flow_run.introduce(run.paths, run.params, commit.short if commit else None)
    run.page, run.progress = flow_run.page(), flow_run.Logged(run.progress)


def ended(run: Session, result: Any) -> Any:
    """Return what a flow returns at its end: its result, in a state that says what the user should know."""
    told = list(dict.fromkeys([*run.notes, *run.warned]))
    if not told:
        return result
    from prefect.states import Completed

    return Completed(message=" ".join(told), data=result)


def going_on() -> Session | None:
    """Return the run that is going on, None outside of one."""
    run = _run.get()
    return run if run is not None and run.going_on else None


def current() -> Session:
    """Return the run that is going on; raises StageError outside of :func:`session`."""
    run = going_on()
    if run is None:
        raise StageError("No pipeline is running: call the stages' tasks within `orchestration.session(workspace)`.")
    return run


def stage(name: str, expected: str | None = None) -> Any:
    """Run a stage of the run that is going on: the body of a Prefect task, which returns its summary or ``Cached``.

    ``expected`` is as for ``Session.run``.
    """
    from prefect.states import Completed

    summary = current().run(name, expected)
    return Completed(name="Cached", message="DVC: up to date", data=None) if summary is None else summary


def _prepare(paths: Paths, kind: type[_Kind]) -> _Kind:
    """Do what ``analognas run`` does first, for a flow that Prefect started."""
    from analognas.setup.preparing import prepare

    params = prepare(paths)
    return kind(paths, params, Freshness.of(paths, params), lambda *_: None)
