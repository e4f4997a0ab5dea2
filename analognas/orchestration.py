"""What a flow needs besides Prefect: what is up to date, worker processes, records, Prefect's settings.

``flows/pipeline.py`` of a workspace is the user's; what must live in the installed package is here. Prefect is
loaded when a flow runs, not before: ``analognas run`` asks :class:`Freshness` first.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from analognas import tracking
from analognas.errors import StageError, WorkspaceError
from analognas.params import Params
from analognas.stages import STAGES, run_stage
from analognas.versioning import Versioning, certainly_stale
from analognas.workspace import Paths

#: Called with the stage, what was done, what there is to do, and one line about it.
Progress = Callable[[str, float, float, str], None]

_SETTINGS = {
    # The first start on a machine makes Prefect's database: half a minute where the default is 20 s.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "300",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}
# Only the terminal is silenced: the command line tells progress and errors itself; the log is with the flow run.
_QUIET = {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL", "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL"}


@dataclass(frozen=True)
class Freshness:
    """What of a workspace is up to date: one call of DVC, and neither Prefect nor MLflow is loaded.

    Attributes:
        stale: why each stage must run; a stage that is up to date has no reasons.
        untracked: stages that are up to date but not in MLflow yet.
        unversioned: why DVC can tell nothing, so that every stage runs; None if it can.
    """

    stale: dict[str, list[str]]
    untracked: tuple[str, ...] = ()
    unversioned: str | None = None

    @classmethod
    def of(cls, paths: Paths, params: Params | None = None) -> Freshness:
        """Return what is up to date in a workspace.

        Raises:
            StageError: if DVC fails.
        """
        problem = Versioning.problem(paths.root)
        if problem:
            return cls({stage: ["nothing is versioned"] for stage in STAGES}, unversioned=problem)
        versioning = Versioning(paths.root)
        stale = versioning.status(STAGES)
        untracked = tracking.untracked(paths, params or Params.load(paths.params), versioning)
        return cls(stale, tuple(stage for stage in untracked if not stale[stage]))

    @property
    def done(self) -> bool:
        """Whether there is nothing to run and nothing to log."""
        return not self.untracked and not any(self.stale.values())


@dataclass(frozen=True)
class RunReport:
    """What a run did.

    Attributes:
        ran: stages that ran.
        skipped: stages that were up to date.
        logged: stages that were logged to MLflow.
        notes: what the user should know, one sentence each.
    """

    ran: tuple[str, ...]
    skipped: tuple[str, ...]
    logged: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass
class Session:
    """One run of the pipeline in one workspace."""

    paths: Paths
    params: Params
    freshness: Freshness
    progress: Progress
    versioning: Versioning | None = None
    ran: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    logged: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    _answers: dict[tuple[str, int], list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.versioning = Versioning.find(self.paths.root)
        if self.freshness.unversioned:
            self.notes.append(f"Nothing is versioned, so every stage runs. {self.freshness.unversioned}.")

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

    def run(self, stage: str) -> dict[str, Any] | None:
        """Run a stage and record what it wrote, unless it is up to date.

        Returns:
            The stage's summary, or None if it is up to date.
        """
        if not self.reasons(stage):
            self.skipped.append(stage)
            self.progress(stage, 1, 1, "up to date")
            return None
        with self.timed(stage):
            summary = run_stage(
                stage, self.params, self.paths, lambda done, total, text: self.progress(stage, done, total, text)
            )
        self.ran.append(stage)
        if self.versioning is not None:
            self.versioning.commit(stage)
        tracking.note_duration(self.paths, stage, self.versioning, self.seconds[stage])
        return summary

    def sync(self) -> None:
        """Log to MLflow what is not logged yet."""
        report = tracking.sync(self.paths, self.params, self.versioning)
        self.logged = report.logged
        if report.warning:
            self.notes.append(report.warning)

    @property
    def report(self) -> RunReport:
        """What has been done so far."""
        return RunReport(tuple(self.ran), tuple(self.skipped), self.logged, tuple(self.notes))


# Context variables, because Prefect copies the context into the threads in which tasks run.
_session: ContextVar[Session | None] = ContextVar("analognas_session", default=None)
_prepared: ContextVar[Session | None] = ContextVar("analognas_prepared_session", default=None)


@contextlib.contextmanager
def session(workspace: str | Path = ".") -> Iterator[Session]:
    """Open a run of the pipeline in a workspace; when it ends, also with an error, it is logged to MLflow.

    Raises:
        WorkspaceError: if another run works there.
    """
    paths = Paths.find(Path(workspace))
    with alone(paths):
        here = _prepared.get()
        by_itself = here is None or here.paths != paths
        if here is None or by_itself:
            here = _prepare(paths)
        token = _session.set(here)
        try:
            yield here
        except Exception:
            here.sync()
            raise
        else:
            here.sync()
        finally:
            _session.reset(token)
            for note in here.notes if by_itself else ():  # nobody else tells them
                logging.getLogger(__name__).warning(note)


def current() -> Session:
    """Return the run that is going on.

    Raises:
        StageError: outside of :func:`session`.
    """
    here = _session.get()
    if here is None:
        raise StageError("No pipeline is running: call the stages' tasks within `orchestration.session(workspace)`.")
    return here


def stage(name: str) -> Any:
    """Run a stage of the pipeline that is going on, unless it is up to date: the body of a Prefect task.

    Returns:
        The stage's summary, or Prefect's state ``Cached``.
    """
    from prefect.states import Completed

    summary = current().run(name)
    return Completed(name="Cached", message="DVC: up to date", data=None) if summary is None else summary


def configure_prefect(*, verbose: bool = False) -> None:
    """Set what Prefect reads when it is first imported; what the user has set stays."""
    settings = _SETTINGS if verbose else _SETTINGS | _QUIET
    for name, value in settings.items():
        os.environ.setdefault(name, value)


def run_pipeline(
    workspace: Paths | Path | str,
    params: Params,
    *,
    freshness: Freshness | None = None,
    progress: Progress = lambda *_: None,
    verbose: bool = False,
) -> RunReport:
    """Run the flow ``pipeline`` of a workspace, with Prefect's ephemeral server unless ``PREFECT_API_URL`` is set.

    Args:
        workspace: the folder.
        params: its parameters.
        freshness: what is up to date, if it has just been asked.
        progress: called as the stages get on.
        verbose: show Prefect's log on the terminal.

    Raises:
        AnalogNASError: what a stage raises comes through as it is; what ran before it is recorded.
        WorkspaceError: if the flow cannot be loaded, or another run works in the workspace.
        StageError: if Prefect's server cannot be reached.
    """
    paths = workspace if isinstance(workspace, Paths) else Paths.find(Path(workspace))
    # Read when numerical libraries load: float sums depend on the number of threads.
    os.environ.setdefault("OMP_NUM_THREADS", str(params.base.threads))
    here = Session(paths, params, freshness or Freshness.of(paths, params), progress)
    if not any(here.freshness.stale.values()):  # `dvc repro` ran everything: there is only something to log
        with alone(paths):
            here.skipped += STAGES
            here.sync()
        return here.report
    run_flow(here, "pipeline", verbose=verbose)
    return here.report


def run_flow(here: Session, name: str, *arguments: Any, verbose: bool = False) -> None:
    """Run the flow ``name`` of ``flows/NAME.py`` for a session that was prepared; see :func:`run_pipeline`."""
    configure_prefect(verbose=verbose)
    flow = getattr(_load(here.paths.root / "flows" / f"{name}.py"), name)
    token = _prepared.set(here)
    try:
        with _server():
            flow(str(here.paths.root), *arguments)
    finally:
        _prepared.reset(token)


def _prepare(paths: Paths) -> Session:
    """Do what ``analognas run`` does first, for a flow that Prefect started."""
    from analognas.environment import prepare

    params = prepare(paths)
    return Session(paths, params, Freshness.of(paths, params), lambda *_: None)


def _load(path: Path) -> ModuleType:
    """Load a workspace's own module; it is no part of the package and of no import path."""
    name = f"analognas_workspace_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise WorkspaceError(f"{path} is missing: restore it from git, or copy it from a new `analognas init`.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (SyntaxError, ImportError, NameError) as error:
        raise WorkspaceError(f"{path} cannot be loaded ({error}): mend it, or restore it from git.") from error
    if not hasattr(module, path.stem):
        raise WorkspaceError(f"{path} defines no flow named {path.stem}: mend it, or restore it from git.")
    return module


@contextlib.contextmanager
def _server() -> Iterator[None]:
    """Make sure of a Prefect server, and that an ephemeral one ends with this process, however that ends."""
    from prefect.server.api.server import SubprocessASGIServer
    from prefect.settings import get_current_settings

    settings = get_current_settings()
    if settings.api.url:
        _reachable(settings.api.url)
        yield
        return
    server = SubprocessASGIServer()
    # Ctrl-C goes to all processes of a terminal. The server inherits the mask and lives on, because without it
    # Prefect would wait for minutes to report that the run was interrupted.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        server.start(settings.server.ephemeral.startup_timeout_seconds)
    except RuntimeError as error:
        raise StageError(
            f"Prefect's server did not start ({str(error).splitlines()[0]}): run again, "
            "or start one with `prefect server start` and set PREFECT_API_URL."
        ) from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    assert server.server_process is not None
    # `read` ends when this process closes its end of the pipe, also when it is killed.
    guard = subprocess.Popen(
        ["/bin/sh", "-c", f"read _; kill {server.server_process.pid}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for this process to handle
    )
    try:
        yield
    finally:
        _drain()
        guard.kill()
        guard.wait()
        assert guard.stdin is not None
        guard.stdin.close()
        server.stop()


def _drain() -> None:
    """Let Prefect hand over its last log lines and events, which it does in threads of its own."""
    import asyncio

    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    for drain in (lambda: APILogWorker.instance().drain(), EventsWorker.drain_all):
        with contextlib.suppress(RuntimeError):  # it was never started
            waiting = drain()
            if asyncio.iscoroutine(waiting):
                asyncio.run(waiting)


def _reachable(url: str) -> None:
    import httpx

    try:
        httpx.get(f"{url.rstrip('/')}/health", timeout=10).raise_for_status()
    except httpx.HTTPError as error:
        raise StageError(
            f"The Prefect server at {url} cannot be reached ({error}): start it (`prefect server start`), "
            "or unset PREFECT_API_URL to run without one."
        ) from error


@contextlib.contextmanager
def alone(paths: Paths) -> Iterator[None]:
    """Hold the lock of a workspace.

    Raises:
        WorkspaceError: if another run holds it.
    """
    path = tracking.private_folder(paths) / "run.lock"
    try:
        file = path.open("w")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise WorkspaceError(f"Cannot write {path}: {reason}; make the folder writable.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise WorkspaceError(f"Another run works in {paths.root}: wait for its end, then run again.") from None
        yield
