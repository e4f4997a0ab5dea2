"""Where a finished run is kept: in a folder, in a commit of git, or in MLflow."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from analognas.tracking import history as tracked
from analognas.versioning import Versioning, history
from analognas.versioning.branch import WRITTEN
from analognas.versioning.lock import Lock
from analognas.workspace import Paths

if TYPE_CHECKING:
    from analognas.params import Params

#: What stages write of what git does not hold, relative to the workspace.
OUTPUTS = (
    "data/architectures.parquet",
    "data/surrogate.parquet",
    "data/evaluator",
    "data/search",
    "data/winner",
    "data/plots",
)
_WINNER = "data/winner"


class Source(Protocol):
    """Where a run is kept."""

    @property
    def recorded(self) -> bool:
        """Whether its ``params.yaml`` is what was recorded of the stages, and no file that somebody wrote."""

    def fetch(self, to: Path) -> None:
        """Write what is kept of the run below a new folder, as a workspace has it.

        Raises:
            AnalogNASError: if it cannot be had.
        """

    def winner(self, to: Path) -> bool:
        """Write the winner as a new folder; return whether it is kept there, whole.

        Raises:
            AnalogNASError: if DVC or MLflow fail.
        """


@dataclass(frozen=True)
class Folder:
    """A run in a folder that looks like a workspace: this one, another one, or what was kept aside of one."""

    root: Path
    recorded = False

    def fetch(self, to: Path) -> None:
        """See ``Source``."""
        for name in (*WRITTEN, *OUTPUTS):
            copy(self.root / name, to / name)

    def winner(self, to: Path) -> bool:
        """See ``Source``."""
        copy(self.root / _WINNER, to)
        return to.is_dir()


@dataclass(frozen=True)
class Commit:
    """A run in a commit of git, which holds the small files; DVC has the others."""

    root: Path
    sha: str
    recorded = False

    def fetch(self, to: Path) -> None:
        """See ``Source``."""
        history.extract(self.root, self.sha, to, WRITTEN)

    def winner(self, to: Path) -> bool:
        """See ``Source``."""
        with tempfile.TemporaryDirectory() as folder:
            history.extract(self.root, self.sha, Path(folder), ("dvc.lock",))
            md5 = Lock(Path(folder)).data_hash(Path(_WINNER))
        versioning = Versioning.find(self.root)
        return versioning is not None and md5 is not None and versioning.kept(md5, to)


@dataclass(frozen=True)
class Tracked:
    """A run in MLflow."""

    paths: Paths
    params: Params
    run: tracked.Logged

    @property
    def recorded(self) -> bool:
        """See ``Source``: an earlier version did not keep the files of git with a run."""
        return not self.run.whole

    def fetch(self, to: Path) -> None:
        """See ``Source``."""
        tracked.fetch(self.paths, self.params, self.run, to)

    def winner(self, to: Path) -> bool:
        """See ``Source``."""
        with tempfile.TemporaryDirectory() as folder:
            self.fetch(Path(folder))
            copy(Path(folder) / _WINNER, to)
        return to.is_dir()


def copy(path: Path, to: Path) -> None:
    """Copy a file or a folder, if it is there; what is at ``to`` must be gone."""
    to.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, to)
    elif path.is_file():
        shutil.copyfile(path, to)
