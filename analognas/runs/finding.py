"""Which runs of a workspace came to their end, and which of them somebody means.

A run is a state of the whole pipeline: five stages, each recorded with its parameters, inputs and outputs. The same
state may be kept in several places: the workspace, commits of git (each with ``dvc.lock`` and ``data/metrics/``), and
MLflow. Nothing here changes anything.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from analognas.errors import AnalogNASError, CorruptFileError, InputError, StageError
from analognas.files import file_digest, read_sealed, write_bytes
from analognas.params import Params
from analognas.runs.parameters import recorded
from analognas.runs.sources import Commit, Folder, Source, Tracked
from analognas.stages.protocols import STAGES
from analognas.tracking import history as tracked
from analognas.tracking.state import read_or_empty, run_state, stage_hashes
from analognas.versioning import Versioning, history
from analognas.versioning.branch import WRITTEN
from analognas.versioning.lock import Lock
from analognas.workspace import Paths

if TYPE_CHECKING:
    from analognas.stages.summaries import TrainSummary

#: Digits of a commit or of a run in MLflow by which it is called.
DIGITS = 9
_REMEDY = "take another run, see `analognas runs`"
_HEXADECIMAL = re.compile(r"[0-9a-f]{4,40}")


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        state: what tells it from all others: the digest of what was recorded of its stages.
        when: when it came to its end, or was committed (UTC).
        source: where it is kept.
        train: what the stage ``train`` said of it, see ``stages.summaries``.
        dataset: what was recorded of its data.
        params: the parameters that it ran with, by section, as far as they were recorded.
        environment: what was recorded of versions and chip.
        commit: of git, that holds it; None: none does.
        subject: first line of the message of that commit.
        tracked: its id in MLflow; None: it is not there, or nobody asked.
        folder: the folder that it is in; None: it is in none.
        current: whether it is what the workspace holds now.
    """

    state: str
    when: datetime
    source: Source
    train: TrainSummary
    dataset: dict[str, Any]
    params: dict[str, dict[str, Any]]
    environment: dict[str, Any]
    commit: str | None = None
    subject: str | None = None
    tracked: str | None = None
    folder: Path | None = None
    current: bool = False

    @property
    def name(self) -> str:
        """What it is called: by its commit, by its id in MLflow, or by its folder."""
        known = self.commit or self.tracked
        return known[:DIGITS] if known else str(self.folder)

    @property
    def chip(self) -> str:
        """The name of the chip."""
        simulated = self.train.get("hardware")
        return str((simulated or self.params.get("hardware", {})).get("rpu_config") or "")

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        winner = self.train["winner"]
        return {
            "run": self.name,
            "when": self.when.isoformat(timespec="seconds"),
            "here": self.current,
            "commit": self.commit,
            "subject": self.subject,
            "mlflow": self.tracked,
            "folder": None if self.folder is None else str(self.folder),
            "state": self.state,
            "data": self.dataset.get("name"),
            "chip": self.chip,
            "winner": winner["id"],
            "params": winner["params"],
            "tiles": winner["tiles"],
            "acc_1d": winner["acc_1d"],
            "acc_1d_std": winner.get("acc_1d_std"),
            "avm": winner["avm"],
            "avm_std": winner.get("avm_std"),
            "limits": self.train["limits"]["status"],
        }


@dataclass(frozen=True)
class Listing:
    """The finished runs of a workspace, newest first, and why some may be missing, a sentence each."""

    runs: tuple[Run, ...]
    notes: tuple[str, ...] = ()


def listed(paths: Paths, most: int = 20) -> Listing:
    """Return the finished runs of a workspace.

    Args:
        paths: the workspace.
        most: so many of the newest.

    Raises:
        InputError: if the parameters of the workspace are not valid.
    """
    params = Params.load(paths.params)
    notes: list[str] = []
    known: dict[str, Run] = {}
    with tempfile.TemporaryDirectory() as folder:
        places = (Path(folder) / str(number) for number in range(10**9))
        for each in (
            _told(_here(paths), notes),
            _committed(paths, most, places),
            _tracked(paths, params, places, most=most, notes=notes),
        ):
            for run in each:
                known[run.state] = _same(known[run.state], run) if run.state in known else run
    ordered = sorted(known.values(), key=lambda run: (run.current, run.when), reverse=True)
    return Listing(tuple(ordered[:most]), tuple(notes))


def find(paths: Paths, name: str) -> Run:
    """Return the finished run that somebody calls so.

    Args:
        paths: the workspace.
        name: a folder (``.`` is this workspace), what git calls a commit, or the first digits of a run in MLflow.

    Raises:
        InputError: if there is no such run, or it did not come to its end.
        StageError: if MLflow had to be asked, and cannot be used.
    """
    if Path(name).is_dir() and ("/" in name or name.startswith(".") or history.named(paths.root, name) is None):
        return of_folder(paths, Path(name))
    with tempfile.TemporaryDirectory() as folder:
        commit = history.named(paths.root, name)
        if commit is not None:
            return _of_commit(paths, commit, Path(folder))
        if not _HEXADECIMAL.fullmatch(name):
            raise InputError(
                f"There is no run {name!r}: name a commit, a run of MLflow or a folder, see `analognas runs`."
            )
        params = Params.load(paths.params)
        places = (Path(folder) / str(number) for number in range(10**9))
        runs = list(_tracked(paths, params, places, begins=name))
    if len(runs) != 1:
        what = (
            f"No commit and no run in MLflow begins with {name}" if not runs else f"{len(runs)} runs begin with {name}"
        )
        raise InputError(f"{what}: see `analognas runs`.")
    return runs[0]


def of_folder(paths: Paths, folder: Path) -> Run:
    """Return the finished run in a folder: a workspace, a folder in one, or what was kept aside of one.

    Raises:
        InputError: if no run came to its end there.
    """
    there = paths if str(folder) == "." else Paths(folder.resolve())
    if not there.metrics("train").is_file():
        raise InputError(f"{there.root} holds no run: name a workspace, a commit or a run of MLflow.")
    for run in _here(there):
        return replace(run, current=there.root == paths.root)
    raise InputError(
        f"In {there.root} no run came to its end with what it holds now: `analognas run`, or name another."
    )


def _here(paths: Paths) -> Iterator[Run]:
    """Yield the run that a folder holds now, if it came to its end and nothing has changed since."""
    if (paths.root / "dvc.yaml").is_file():
        hashes = stage_hashes(paths, Versioning.find(paths.root))
    else:
        hashes = _kept_hashes(paths)
    if not set(STAGES) <= set(hashes):
        return
    when = datetime.fromtimestamp(paths.metrics("train").stat().st_mtime, UTC)
    yield _read(paths.root, run_state(hashes), when, Folder(paths.root), folder=paths.root, current=True)


def _told(runs: Iterator[Run], notes: list[str]) -> Iterator[Run]:
    """Yield runs until one cannot be read, of which a note is made."""
    try:
        yield from runs
    except CorruptFileError as error:
        notes.append(str(error))


def _committed(paths: Paths, most: int, places: Iterator[Path]) -> Iterator[Run]:
    for commit in history.commits(paths.root, most):
        try:
            yield _of_commit(paths, commit, next(places))
        except (InputError, CorruptFileError):  # no run came to its end there, or of a version whose files were others
            continue


def _of_commit(paths: Paths, commit: history.Kept, place: Path) -> Run:
    place.mkdir(exist_ok=True)
    history.extract(paths.root, commit.sha, place, WRITTEN)
    hashes = _kept_hashes(Paths(place))
    if not set(STAGES) <= set(hashes):
        raise InputError(
            f"The commit {commit.sha[:DIGITS]} ({commit.subject}) holds no run that came to its end: {_REMEDY}."
        )
    source = Commit(paths.root, commit.sha)
    return _read(place, run_state(hashes), commit.when, source, commit=commit.sha, subject=commit.subject)


def _tracked(
    paths: Paths, params: Params, places: Iterator[Path], *, most: int = tracked.MOST, begins: str = "",
    notes: list[str] | None = None,
) -> Iterator[Run]:  # fmt: skip
    try:
        logged = tracked.logged(paths, params, most, lambda run: run.info.run_id.startswith(begins))
    except StageError as error:
        if notes is None:
            raise
        notes.append(f"Runs that no commit holds may be missing. {error}")
        return
    for run, files in logged:
        place = next(places)
        for name, content in files.items():
            write_bytes(place / name, content)
        source = Tracked(paths, params, run)
        try:
            yield _read(place, run.state, run.ended, source, tracked=run.run)
        except AnalogNASError:  # its files were deleted, or are another version's
            if notes is not None:
                notes.append(f"The run {run.run[:DIGITS]} in MLflow has lost its files, and is left out.")


def _kept_hashes(paths: Paths) -> dict[str, str]:
    """Return the hashes of the stages of a folder that has but the files that git holds."""
    lock = Lock(paths.root)
    if not (paths.root / "dvc.lock").is_file():
        if not all(paths.metrics(stage).is_file() for stage in STAGES):
            return {}
        return {stage: file_digest(paths.metrics(stage)) for stage in STAGES}
    hashes = {stage: lock.kept_hash(stage) for stage in STAGES if paths.metrics(stage).is_file()}
    return {stage: value for stage, value in hashes.items() if value is not None}


def _read(place: Path, state: str, when: datetime, source: Source, **known: Any) -> Run:
    """Return the run whose small files lie in a folder.

    Raises:
        CorruptFileError: if they are damaged, or of another version.
    """
    paths = Paths(place)
    train = read_sealed(paths.metrics("train"), remedy=_REMEDY)
    params = recorded(place)
    if source.recorded:  # of the stages, and none of them has these
        params.pop("dataset", None)
    run = Run(
        state, when, source, cast("TrainSummary", train), read_or_empty(paths.dataset), params,
        read_or_empty(paths.environment), **known,
    )  # fmt: skip
    try:
        run.to_dict()
    except (KeyError, TypeError, AttributeError):
        raise CorruptFileError(f"The figures of the run {run.name} are of another version: {_REMEDY}.") from None
    return run


def _same(first: Run, other: Run) -> Run:
    """Return one run that is kept in two places: the first of them is where it is taken from."""
    named = {name: getattr(first, name) or getattr(other, name) for name in ("commit", "subject", "tracked", "folder")}
    dated = [run.when for run in (first, other) if run.tracked] or [min(first.when, other.when)]
    return replace(first, when=dated[0], current=first.current or other.current, **named)
