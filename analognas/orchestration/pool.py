"""Worker processes of this machine as a cluster: several task runs of a flow share them."""

from __future__ import annotations

from concurrent.futures import CancelledError

from analognas.errors import StageError
from analognas.orchestration import clusters
from analognas.stages import processes


class Pool(processes.Pool):
    """The processes, with what clusters have besides."""

    def check(self) -> None:
        """Do nothing: a worker that died is told by its future."""

    def explain(self, error: BaseException) -> BaseException:
        """Return what to raise for an error of a future."""
        return StageError(clusters.ANOTHER_FAILED) if isinstance(error, CancelledError) else error
