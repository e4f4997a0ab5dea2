"""What a run is called and tagged with, so that one finds it among a team's: in MLflow, and in Prefect as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from analognas.files import file_digest
from analognas.tracking.connection import person
from analognas.versioning import git

if TYPE_CHECKING:
    from analognas.params import Params
    from analognas.workspace import Paths

#: MLflow's own tags, which its interface shows in columns of their own.
USER, SOURCE, COMMIT = "mlflow.user", "mlflow.source.name", "mlflow.source.git.commit"
#: Whether tracked files differed from the commit, the digest of ``dvc.lock``, and the run's page in Prefect.
DIRTY, LOCK, PREFECT = "analognas.dirty", "analognas.dvc_lock", "analognas.prefect"


def title(paths: Paths, params: Params) -> str:
    """Return what a run of a workspace is called: by its folder, its data, and how much is looked at."""
    size = f"{params.sample.size} architectures, seed {params.base.seed}"
    return f"{paths.root.name}: {params.dataset.name}, {size}"


def tags(paths: Paths, page: str | None = None) -> dict[str, str]:
    """Return where a run comes from, as MLflow's tags; what is not known is left out.

    Args:
        paths: the workspace.
        page: address of the run's page in Prefect.
    """
    commit, lock = git.commit_of(paths.root), paths.root / "dvc.lock"
    known = {
        USER: person(),
        SOURCE: "analognas",
        COMMIT: commit and commit.sha,
        DIRTY: commit and str(commit.dirty).lower(),
        LOCK: file_digest(lock) if lock.is_file() else None,
        PREFECT: page,
    }
    return {name: value for name, value in known.items() if value}
