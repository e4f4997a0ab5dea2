"""A workspace: the folder with ``params.yaml``, ``dvc.yaml``, ``prefect.yaml``, ``flows/`` and ``data/``."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from analognas.errors import WorkspaceError
from analognas.files import remove_leftovers, told, workspace_root, write_text


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
        WorkspaceError: if another run holds it.
    """
    if paths.root in _held.get():
        yield
        return
    path = paths.private() / "run.lock"
    lock = FileLock(path)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise WorkspaceError(f"Another run works in {paths.root}: wait for its end, then run again.") from None
    except OSError as error:
        raise WorkspaceError(f"Cannot write {path}: {told(error)}; make the folder writable.") from error
    token = _held.set(_held.get() | {paths.root})
    try:
        yield
    finally:
        _held.reset(token)
        lock.release()
