"""The flow ``retrain`` by a schedule."""

from __future__ import annotations

import os

from analognas.errors import InputError
from analognas.orchestration import flows
from analognas.orchestration.prefect_inside import one_at_a_time, valid_cron
from analognas.orchestration.server import configure_prefect, reachable
from analognas.workspace import Paths


def serve(paths: Paths, *, cron: str | None = None, interval_hours: float | None = None) -> None:
    """Serve the flow ``retrain`` of a workspace by a schedule until it is stopped, with Prefect's own runner.

    Schedules are kept and started by a Prefect server, which the ephemeral one does not do.

    Raises:
        InputError: if there is no schedule or two, the schedule is not valid, or no server is named.
        StageError: if the server cannot be reached.
    """
    if (cron is None) == (interval_hours is None):
        raise InputError("Give a schedule: either --cron '0 3 * * 1' or --interval-hours 24.")
    configure_prefect(verbose=True)
    from prefect.settings import get_current_settings

    url = get_current_settings().api.url
    if not url:
        raise InputError(
            "A schedule needs a Prefect server that stays: start one with `prefect server start`, then set "
            "PREFECT_API_URL=http://127.0.0.1:4200/api and serve again."
        )
    if cron is not None and not valid_cron(cron):
        raise InputError(f"--cron {cron!r} is no schedule: write five fields, e.g. '0 3 * * 1'.")
    reachable(url)
    os.chdir(paths.root)  # the entrypoint of a deployment is relative to where it was made
    flow = flows.load_flow(paths.root / "flows" / "retrain.py").retrain
    flow.serve(
        name="retrain",
        cron=cron,
        interval=None if interval_hours is None else 3_600 * interval_hours,
        parameters={"workspace": str(paths.root)},
        global_limit=one_at_a_time(),
        limit=1,
        tags=["analognas"],
    )
