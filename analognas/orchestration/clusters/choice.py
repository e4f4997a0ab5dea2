"""Which engine ``run.runner`` names, whether it is there, and the way to its workers."""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from analognas.errors import ParamsError
from analognas.orchestration.clusters.base import CONNECT_SECONDS, Cluster, unreachable
from analognas.orchestration.clusters.dask_cluster import DaskCluster
from analognas.orchestration.clusters.ray_cluster import RayCluster

if TYPE_CHECKING:
    from analognas.params import Params
    from analognas.stages.characterize import Job


#: The values of ``run.runner`` that are engines of their own, and what each needs.
RUNNERS = {"dask": ("distributed", "prefect_dask"), "ray": ("ray", "prefect_ray")}


_PROBED = ("", "tcp", "tls", "ws", "wss", "ray")


def check_runner(params: Params) -> None:
    """Refuse a runner that is not installed and an address where nobody answers, before anything else is begun.

    Raises:
        ParamsError: naming the extra that is missing.
        StageError: if nobody listens at the address.
    """
    run = params.run
    if run.runner not in RUNNERS or params.characterize.source != "training":  # what is looked up needs no workers
        return
    if any(importlib.util.find_spec(module) is None for module in RUNNERS[run.runner]):
        raise ParamsError(
            f"run.runner {run.runner} is not installed: pip install 'analognas[{run.runner}]', or set run.runner to "
            "processes."
        )
    address = urlsplit(run.address if "//" in (run.address or "") else f"//{run.address}")
    if run.address in (None, "auto") or address.scheme not in _PROBED:
        return
    try:
        with socket.create_connection((address.hostname, address.port), timeout=CONNECT_SECONDS) as line:
            if run.runner == "dask" and address.scheme in ("", "tcp"):
                _greeted(line)
    except OSError as error:
        raise unreachable(run, error) from error


def connect(params: Params, jobs: Sequence[Job]) -> Cluster:
    """Start the workers of ``run.runner``, or connect to ``run.address``; see ``check_runner`` and ``refuse``."""
    check_runner(params)
    return DaskCluster(params.run, jobs) if params.run.runner == "dask" else RayCluster(params.run, jobs)


def _greeted(line: socket.socket) -> None:
    """Raise OSError unless a Dask server answers: it speaks first, and its client would wait for that for ever."""
    try:
        size = line.recv(8)
    except TimeoutError:
        size = b""
    if len(size) < 8 or not 0 < int.from_bytes(size, "little") < 1 << 20:  # of a greeting, which is short
        raise ConnectionError("what listens there is no Dask scheduler")
