"""A workspace: the folder with ``params.yaml``, ``dvc.yaml``, ``prefect.yaml``, ``flows/`` and ``data/``."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from analognas.errors import BusyError, WorkspaceError
from analognas.files import digest, remove_leftovers, told, workspace_root, write_text

#: Rounds are numbered one after the other; what follows tells those apart that two people made at the same time.
_MARKS = 1_000_000
_ROUND = re.compile(r"(\d{3,})(?:-(\d{6}))?")


def round_number(sequence: int, content: Any) -> int:
    """Return the number of a new round: its place in the sequence, and a mark that follows from what it holds.

    Two people who each make the next round have two numbers, unless they are the same round; the order of numbers is
    that of the sequence.
    """
    return sequence * _MARKS + int(digest(content), 16) % _MARKS


def round_name(number: int) -> str:
    """Return what a round is called, for instance ``002-417305``; ``000`` (the sample alone) has no mark."""
    sequence, mark = divmod(number, _MARKS)
    return f"{sequence:03d}-{mark:06d}" if sequence else f"{number:03d}"


def round_sequence(number: int) -> int:
    """Return the place of a round in the sequence."""
    return number // _MARKS or number


@dataclass(frozen=True)
class Paths:
    """Where everything in a workspace is."""

    root: Path

    @classmethod
    def find(cls, start: Path | None = None) -> Paths:
        """Return the workspace that ``start`` (default: the current folder) stands in.

        Raises:
            WorkspaceError: if there is none.
        """
        start = (start or Path.cwd()).resolve()
        root = workspace_root(start)
        if root is not None:
            return cls(root)
        raise WorkspaceError(
            f"{start} is not in a workspace (no params.yaml with dvc.yaml): make one with `analognas init NAME`."
        )

    @property
    def params(self) -> Path:
        """The parameters."""
        return self.root / "params.yaml"

    @property
    def data(self) -> Path:
        """Everything that stages write."""
        return self.root / "data"

    @property
    def environment(self) -> Path:
        """The versions that results depend on."""
        return self.data / "environment.json"

    @property
    def dataset(self) -> Path:
        """What the dataset is: shape, classes, digests."""
        return self.data / "dataset.json"

    @property
    def rounds(self) -> Path:
        """The architectures that were added after the sample, and why."""
        return self.data / "rounds"

    @property
    def architectures(self) -> Path:
        """What ``sample`` writes."""
        return self.data / "architectures.parquet"

    @property
    def surrogate(self) -> Path:
        """What ``characterize`` writes: one row per architecture."""
        return self.data / "surrogate.parquet"

    @property
    def evaluator(self) -> Path:
        """What ``fit`` writes."""
        return self.data / "evaluator"

    @property
    def search(self) -> Path:
        """What ``search`` writes."""
        return self.data / "search"

    @property
    def winner(self) -> Path:
        """What ``train`` writes."""
        return self.data / "winner"

    @property
    def measured(self) -> Path:
        """Networks of the user's own that were measured; no stage's output, git ignores it."""
        return self.data / "measured"

    @property
    def home(self) -> Path:
        """Where the workspace is of which this one is DVC's temporary copy for an experiment; else its own root."""
        copy = next((folder for folder in (self.root, *self.root.parents) if (folder / ".git").exists()), self.root)
        for folder in copy.parents:
            if folder.parts[-3:] == (".dvc", "tmp", "exps"):
                # DVC's root may lie below git's; it keeps its copies there, each of the whole repository.
                within = [place for place in (self.root, *self.root.parents) if place.is_relative_to(copy)]
                versioned = next((place for place in within if (place / ".dvc").is_dir()), copy)
                return folder.parents[2] / self.root.relative_to(versioned)
        return self.root

    @property
    def page(self) -> Path:
        """The report as a page; no stage's output, git ignores it."""
        return self.data / "report.html"

    def round(self, number: int) -> Path:
        """Return the file of a round; its note has the same name and ends in ``.md``."""
        return self.rounds / f"{round_name(number)}.json"

    def round_files(self) -> dict[int, Path]:
        """Return the files of all rounds by their numbers, in order."""
        files = {}
        for path in self.rounds.glob("*.json"):
            if (match := _ROUND.fullmatch(path.stem)) is not None:
                files[int(match[1]) * (_MARKS if match[2] else 1) + int(match[2] or 0)] = path
        return dict(sorted(files.items()))

    def metrics(self, stage: str) -> Path:
        """Return the metrics file of a stage."""
        return self.data / "metrics" / f"{stage}.json"

    def plot(self, name: str) -> Path:
        """Return a plot or the table behind it."""
        return self.data / "plots" / name

    def private(self) -> Path:
        """Return the folder for what the drivers remember; git does not see it."""
        folder = self.root / ".analognas"
        ignore = folder / ".gitignore"
        if not ignore.exists():
            write_text(ignore, "*\n")
        return folder

    @property
    def challenger(self) -> Paths:
        """Where a challenger is fitted, with all that ``fit`` writes: in the ignored folder, never in ``data/``."""
        return Paths(self.private() / "challenger")

    def clean(self) -> None:
        """Remove what killed writers left behind.

        Raises:
            WorkspaceError: if a folder cannot be written.
        """
        try:
            self.data.mkdir(exist_ok=True)
            for folder in (self.root, self.data, self.data / "metrics", self.data / "plots", self.rounds):
                if folder.exists() and not os.access(folder, os.W_OK):
                    raise WorkspaceError(f"Cannot write {folder}: make the folder writable.")
                remove_leftovers(folder)
        except OSError as error:
            raise WorkspaceError(f"Cannot write {self.data}: {told(error)}; make the folder writable.") from error


# A context variable: what a run calls may hold the lock again, in the threads of its tasks, too; nothing else may.
_held: ContextVar[frozenset[Path]] = ContextVar("analognas_held", default=frozenset())


@contextlib.contextmanager
def alone(paths: Paths) -> Iterator[None]:
    """Hold the lock of a workspace; within a block that holds it that is nothing.

    Raises:
        BusyError: if another run holds it.
        WorkspaceError: if it cannot be written.
    """
    if paths.root in _held.get():
        yield
        return
    path = paths.private() / "run.lock"
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise BusyError(f"Another run works in {paths.root}: wait for its end, then run again.") from None
    except OSError as error:
        raise WorkspaceError(f"Cannot write {path}: {told(error)}; make the folder writable.") from error
    token = _held.set(_held.get() | {paths.root})
    try:
        yield
    finally:
        _held.reset(token)
        lock.release()
