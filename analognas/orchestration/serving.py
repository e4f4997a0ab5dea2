"""The flow ``retrain`` by a schedule."""

from __future__ import annotations

import contextlib
import os
import zoneinfo
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from filelock import FileLock, Timeout

from analognas import notices
from analognas.errors import BusyError, InputError, StageError, WorkspaceError
from analognas.files import told
from analognas.orchestration import flows
from analognas.orchestration.deployments import Place, existing
from analognas.orchestration.prefect_inside import due_dates, next_date
from analognas.orchestration.server import configure_prefect, reachable
from analognas.orchestration.watching import Watch
from analognas.redaction import redact
from analognas.workspace import Paths, alone

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun
    from prefect.client.schemas.responses import DeploymentResponse
    from prefect.schedules import Schedule

#: What Prefect is told unless the user has set it. A server may be away while it is started again: requests are tried
#: for two minutes, also when its database is away. The runner asks every two seconds what is due: with Prefect's own
#: ten, those whom a missed run concerns would wait for half a minute.
_SETTINGS = {
    "PREFECT_CLIENT_MAX_RETRIES": "6",
    "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",
    "PREFECT_RUNNER_POLL_FREQUENCY": "2",
}
#: One retrains; the other one finds it at work and says so, instead of waiting for its turn.
_SLOTS = 2
#: In which the server has to say which runs were due.
_SECONDS = 5.0
#: The tag of a run that goes on with one whose process was killed.
_AGAIN = "taken-up"


def serve(
    paths: Paths, *, cron: str | None = None, interval_hours: float | None = None, timezone: str | None = None
) -> None:
    """Serve the flow ``retrain`` of a workspace by a schedule until it is stopped, with Prefect's own runner.

    Schedules are kept and started by a Prefect server, which the ephemeral one does not do. The deployment is named
    after the workspace and its machine. No limit of Prefect keeps two retrainings from running at once, but the lock of
    the workspace: a limit's slots are leased from the server, and lost when that is started again.

    Args:
        paths: the workspace.
        cron: five fields.
        interval_hours: hours from one retraining to the next, counted from the first time that it was served.
        timezone: whose clock ``cron`` goes by; None: UTC.

    Raises:
        InputError: if there is no schedule or two, the schedule is not valid, no server is named, or the workspace is
            served already, here or by somebody else.
        StageError: if the server cannot be reached, or is away for minutes.
    """
    if (cron is None) == (interval_hours is None):
        raise InputError("Give a schedule: either --cron '0 3 * * 1' or --interval-hours 24.")
    if timezone is not None and cron is None:
        raise InputError("--timezone says whose clock --cron goes by: give --cron too, or leave it out.")
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    configure_prefect(verbose=True)
    if cron is not None:
        check_cron(cron, timezone or "UTC")
    import prefect
    from prefect.settings import get_current_settings

    url = get_current_settings().api.url
    if not url:
        raise InputError(
            "A schedule needs a Prefect server that stays: start one with `prefect server start`, then set "
            "PREFECT_API_URL=http://127.0.0.1:4200/api and serve again."
        )
    reachable(url)
    with _serving(paths):
        place = Place.of(paths)
        deployed = existing(place, "retrain")
        if deployed is not None:
            take_up(paths, deployed)
        os.chdir(paths.root)  # the entrypoint of a deployment is relative to where it was made
        flow = flows.load_flow(paths.root / "flows" / "retrain.py").retrain
        schedule = _schedule(cron, timezone or "UTC", interval_hours, deployed)
        poll = get_current_settings().runner.poll_frequency
        taken = 2 * poll + 2  # it asks that often; a second time, if it was about to
        watch = Watch(paths, _written(schedule), partial(due_dates, schedule), partial(due_runs, place), taken)
        # Not `flow.serve`: that would send each run the flow as it is now, and what else stands in the file not at all.
        deployment = flow.to_deployment(
            name=place.name,
            schedule=schedule,
            paused=False,
            parameters={"workspace": place.root},
            tags=place.tags,
        )
        # Set, not left out: it may have been deployed for a work pool.
        deployment.work_pool_name = deployment.work_queue_name = None
        try:
            with watch.going_on():
                prefect.serve(deployment, limit=_SLOTS)
        except Exception as error:
            if not went_away(error):
                raise
            text = (
                f"Prefect's server at {redact(url)} was away for minutes: what was finished is "
                "kept. Serve again when it is back; a retraining that was cut off is then taken up."
            )
            notices.tell(paths, "failed", uuid4().hex, f"The schedule of {paths.root} is not served any more: {text}")
            raise StageError(text) from error


def check_cron(cron: str, timezone: str) -> None:
    """Refuse what Prefect would take for a schedule and never start, or start when nobody expects it.

    Raises:
        InputError: if ``cron`` has not five fields, or names no date that comes, or the zone is unknown.
    """
    if timezone not in zoneinfo.available_timezones():
        raise InputError(
            f"--timezone {timezone!r} is unknown: write a name such as Europe/Berlin, or leave it out (UTC)."
        )
    if len(cron.split()) != 5:
        raise InputError(
            f"--cron {cron!r} is no schedule: write five fields (minute, hour, day, month, day of the week), "
            "e.g. '0 3 * * 1'."
        )
    try:
        date = next_date(cron, timezone)
    except ValueError:
        raise InputError(
            f"--cron {cron!r} is no schedule: the five fields are minute (0-59), hour (0-23), day (1-31), month (1-12) "
            "and day of the week (0-6, 0 is Sunday), e.g. '0 3 * * 1'."
        ) from None
    if date is None:
        raise InputError(f"--cron {cron!r} names a date that never comes: mend its day or its month.")


def went_away(error: BaseException) -> bool:
    """Return whether an error of Prefect's runner is about its server alone, which it has asked again and again."""
    import httpx  # Prefect has loaded it

    if isinstance(error, BaseExceptionGroup):
        return all(map(went_away, error.exceptions))
    return isinstance(error, httpx.TransportError) or "exceeded error threshold" in str(error)


def _schedule(
    cron: str | None, timezone: str, interval_hours: float | None, deployed: DeploymentResponse | None
) -> Schedule:
    from prefect.schedules import Cron, Interval

    if cron is not None:
        return Cron(cron, timezone=timezone)
    interval = timedelta(hours=interval_hours or 0)
    # Otherwise each start of the runner would begin the interval anew, and a long one would never end.
    kept: Iterable[Any] = (given.schedule for given in deployed.schedules) if deployed is not None else ()
    anchor = next((given.anchor_date for given in kept if getattr(given, "interval", None) == interval), None)
    return Interval(interval, anchor_date=anchor or datetime.now(UTC), timezone="UTC")


def _written(schedule: Schedule) -> str:
    return f"{schedule.cron} {schedule.timezone}" if schedule.cron is not None else f"every {schedule.interval}"


@contextlib.contextmanager
def _serving(paths: Paths) -> Iterator[None]:
    """Be the only runner of a workspace.

    Raises:
        InputError: if it has one.
        WorkspaceError: if it cannot be written.
    """
    path = paths.private() / "serve.lock"
    try:
        lock = FileLock(path)
        lock.acquire(blocking=False)
    except Timeout:
        raise InputError(f"{paths.root} is served already: stop that `analognas serve` first.") from None
    except OSError as error:
        raise WorkspaceError(f"Cannot write {path}: {told(error)}; make the folder writable.") from error
    try:
        yield
    finally:
        lock.release()


def due_runs(place: Place, first: datetime, last: datetime) -> dict[datetime, tuple[str, str]]:
    """Return type and name of the states of a workspace's retrainings that were due within some time, by when.

    The server is asked once, and has seconds to answer.

    Raises:
        httpx.HTTPError: if it does not.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas import filters
    from prefect.settings import PREFECT_API_REQUEST_TIMEOUT, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    # Its own class of times has another name on another Python; it takes any.
    between = filters.FlowRunFilterExpectedStartTime.model_validate({"after_": first, "before_": last})
    impatient = {PREFECT_API_REQUEST_TIMEOUT: _SECONDS, PREFECT_CLIENT_MAX_RETRIES: 0}
    with temporary_settings(impatient), get_client(sync_client=True) as client:
        runs = client.read_flow_runs(
            flow_filter=filters.FlowFilter(name=filters.FlowFilterName(any_=["retrain"])),
            deployment_filter=filters.DeploymentFilter(name=filters.DeploymentFilterName(any_=[place.name])),
            flow_run_filter=filters.FlowRunFilter(expected_start_time=between),
        )
    return {
        run.expected_start_time: (run.state.type.value, run.state.name or "")
        for run in runs
        if run.expected_start_time is not None and run.state is not None
    }


def take_up(paths: Paths, deployed: DeploymentResponse) -> None:
    """Let a new run go on at once with one that was cut off, and tell Prefect of those whose process was killed.

    Prefect would show them as running for ever. A run that went on with another one is not gone on with again: who is
    killed twice, may be so every time.
    """
    from prefect.client.schemas.objects import StateType

    try:
        with alone(paths):
            runs = _begun(deployed)
            for run in runs:
                if run.state_type in (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING):
                    _crash(run)
            last = runs[0] if runs else None
            cut_off = (StateType.PENDING, StateType.RUNNING, StateType.CRASHED)
            if last is not None and last.state_type in cut_off and _AGAIN not in last.tags:
                _again(deployed, last)
    except BusyError:  # one of them is alive: its runner was killed, and it goes on
        return


def _begun(deployed: DeploymentResponse) -> list[FlowRun]:
    """Return the runs that are not to come, newest first."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas import filters
    from prefect.client.schemas.objects import StateType
    from prefect.client.schemas.sorting import FlowRunSort

    begun: list[Any] = [state for state in StateType if state not in (StateType.SCHEDULED, StateType.PAUSED)]
    with get_client(sync_client=True) as client:
        return client.read_flow_runs(
            flow_run_filter=filters.FlowRunFilter(
                deployment_id=filters.FlowRunFilterDeploymentId(any_=[deployed.id]),
                state=filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=begun)),
            ),
            sort=FlowRunSort.EXPECTED_START_TIME_DESC,
        )


def _crash(run: FlowRun) -> None:
    from prefect.client.orchestration import get_client
    from prefect.states import Crashed

    with get_client(sync_client=True) as client:
        client.set_flow_run_state(
            run.id, Crashed(message="Its process was killed; what it finished is kept."), force=True
        )


def _again(deployed: DeploymentResponse, run: FlowRun) -> None:
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        client.create_flow_run_from_deployment(deployed.id, parameters=run.parameters, tags=[_AGAIN])
