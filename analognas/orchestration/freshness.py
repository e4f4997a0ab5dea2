"""What of a workspace is up to date: asked of DVC before Prefect and MLflow are loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from analognas.errors import CorruptFileError
from analognas.files import read_sealed
from analognas.params import Params
from analognas.stages import STAGES
from analognas.tracking import state
from analognas.versioning import Versioning, git
from analognas.workspace import Paths


@dataclass(frozen=True)
class Freshness:
    """What of a workspace is up to date: one call of DVC, and neither Prefect nor MLflow is loaded.

    Attributes:
        stale: why each stage must run; a stage that is up to date has no reasons.
        untracked: stages that are up to date but not in MLflow yet.
        decisions: rounds whose decision is not in MLflow yet.
        unversioned: why DVC can tell nothing, so that every stage runs; None if it can.
    """

    stale: dict[str, list[str]]
    untracked: tuple[str, ...] = ()
    decisions: tuple[int, ...] = ()
    unversioned: str | None = None

    @classmethod
    def of(cls, paths: Paths, params: Params | None = None) -> Freshness:
        """Return what is up to date in a workspace.

        Raises:
            StageError: if DVC fails.
            WorkspaceError: if git ignores what DVC writes.
        """
        problem = Versioning.problem(paths.root)
        if problem:
            return cls({stage: ["nothing is versioned"] for stage in STAGES}, unversioned=problem)
        git.refuse_ignored(paths.root)
        versioning = Versioning(paths.root)
        stale = versioning.status(STAGES)
        for stage in STAGES:  # DVC holds files against its record alone, whatever version wrote both
            if not stale[stage] and not _readable(paths.metrics(stage)):
                stale[stage] = [f"{paths.metrics(stage)} is of another version"]
        params = params or Params.load(paths.params)
        untracked = state.untracked(paths, params, versioning)
        decisions = state.unlogged_decisions(paths, params)
        return cls(stale, tuple(stage for stage in untracked if not stale[stage]), decisions)

    @property
    def done(self) -> bool:
        """Whether there is nothing to run and nothing to log."""
        return not self.untracked and not self.decisions and not any(self.stale.values())


def _readable(file: Path) -> bool:
    try:
        read_sealed(file, remedy="")
    except CorruptFileError:
        return not file.exists()
    return True
