"""Characterizations by Dask or Ray, here or on other machines: ``run.runner`` and ``run.address``.

Prefect's task runners start the cluster or connect to it. What goes to its workers is a plain function of the installed
package: a task run there would need Prefect's API, so every worker would have to reach the server, and would start one
of its own where that is the driver's ephemeral one. Task runs stay in the driver, as with processes; there the engine's
futures come back one by one, and each result is stored at once.

Nothing here is loaded before it is asked for but the standard library: workers import ``clusters.worker``.
"""

from __future__ import annotations

from analognas.orchestration.clusters.base import ANOTHER_FAILED, Cluster
from analognas.orchestration.clusters.choice import RUNNERS, check_runner, connect

__all__ = ["ANOTHER_FAILED", "RUNNERS", "Cluster", "check_runner", "connect"]
