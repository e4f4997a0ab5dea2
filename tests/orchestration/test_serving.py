from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import pytest
from filelock import FileLock

from analognas.errors import InputError, StageError
from analognas.orchestration import serving
from analognas.orchestration.deployments import Place
from analognas.orchestration.server import configure_prefect
from analognas.workspace import Paths


@pytest.mark.parametrize("schedule", [{}, {"cron": "0 3 * * 1", "interval_hours": 24.0}])
def test_one_schedule_is_needed(retrained: Paths, schedule: dict[str, Any]):
    with pytest.raises(InputError, match="Give a schedule"):
        serving.serve(retrained, **schedule)


def test_a_schedule_needs_a_server_that_stays(retrained: Paths):
    configure_prefect()
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with (
        temporary_settings(restore_defaults={PREFECT_API_URL}),
        pytest.raises(InputError, match="`prefect server start`"),
    ):
        serving.serve(retrained, cron="0 3 * * 1")
    with (
        temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}),
        pytest.raises(StageError, match="refuses connections"),
    ):
        serving.serve(retrained, cron="0 3 * * 1")


class Server:
    """What stands for a Prefect server: what it was asked to serve, and the runs that it has."""

    def __init__(self) -> None:
        self.served: list[dict[str, Any]] = []
        self.deployed: Any = None
        self.runs: list[Any] = []
        self.states: list[tuple[str, str]] = []
        self.created: list[Any] = []
        self.error: Exception | None = None

    def to_deployment(self, **how: Any) -> Any:
        return SimpleNamespace(how=how)

    def serve(self, deployment: Any, **how: Any) -> None:
        assert deployment.work_pool_name is deployment.work_queue_name is None
        self.served.append({"folder": Path.cwd(), **deployment.how, **how})
        if self.error is not None:
            raise self.error

    def read_flow_runs(self, flow_run_filter: Any, sort: Any) -> list[Any]:
        assert sort.value == "EXPECTED_START_TIME_DESC"
        assert flow_run_filter.deployment_id.any_ == [self.deployed.id]
        begun = flow_run_filter.state.type.any_
        return [run for run in self.runs if run.state_type in begun]

    def set_flow_run_state(self, run: str, state: Any, *, force: bool) -> None:
        assert force
        self.states.append((run, state.type.value))

    def create_flow_run_from_deployment(self, deployment: Any, *, parameters: Any, tags: list[str]) -> None:
        assert deployment == self.deployed.id
        assert parameters == {"force": True}  # those of the run that was cut off
        self.created.append(tags)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Let a server be there."""
    for name in serving._SETTINGS:
        monkeypatch.setenv(name, "0")
    configure_prefect()
    from prefect.settings import PREFECT_API_URL, temporary_settings

    made = Server()

    @contextlib.contextmanager
    def get_client(*, sync_client: bool) -> Iterator[Server]:
        assert sync_client
        yield made

    monkeypatch.chdir(tmp_path)  # serving goes into the workspace
    monkeypatch.setattr("prefect.client.orchestration.get_client", get_client)
    monkeypatch.setattr(serving, "reachable", lambda url: None)
    monkeypatch.setattr(serving, "existing", lambda place, flow: made.deployed)
    monkeypatch.setattr(serving.flows, "load_flow", lambda path: SimpleNamespace(retrain=made))
    monkeypatch.setattr("prefect.serve", made.serve)
    with temporary_settings({PREFECT_API_URL: "http://anna:secret@127.0.0.1:9/api"}):
        yield made


@pytest.fixture
def place(tmp_path: Path) -> Paths:
    folder = (tmp_path / "workspace").resolve()
    folder.mkdir()
    return Paths(folder)


def deployed(**more: Any) -> Any:
    return SimpleNamespace(id=uuid4(), schedules=[], tags=["analognas"], **more)


def run(name: str, state: str, *tags: str) -> Any:
    from prefect.client.schemas.objects import StateType

    return SimpleNamespace(id=name, state_type=StateType(state), parameters={"force": True}, tags=["analognas", *tags])


def test_who_waits_for_a_run_that_nobody_takes_waits_for_two_questions_of_the_runner(
    place: Paths, server: Server, monkeypatch: pytest.MonkeyPatch
):
    name = "PREFECT_RUNNER_POLL_FREQUENCY"
    monkeypatch.delenv(name)
    given: list[float] = []

    class Watched(serving.Watch):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            given.append(args[-1])

    monkeypatch.setattr(serving, "Watch", Watched)
    from prefect.settings import PREFECT_API_URL, PREFECT_RUNNER_POLL_FREQUENCY, temporary_settings

    for poll in (int(serving._SETTINGS[name]), 10):
        with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api", PREFECT_RUNNER_POLL_FREQUENCY: poll}):
            serving.serve(place, cron="0 3 * * 1")
    assert given == [6, 22]
    assert os.environ[name] == "2"  # for what has not loaded Prefect yet: the command line


def test_a_schedule_starts_the_flow_in_its_workspace(place: Paths, server: Server):
    serving.serve(place, cron="0 3 * * 1")
    serving.serve(place, cron="0 3 * * 1", timezone="Europe/Berlin")
    serving.serve(place, interval_hours=0.5)
    berlin = [(one["schedule"].cron, one["schedule"].timezone) for one in server.served[:2]]
    assert berlin == [("0 3 * * 1", "UTC"), ("0 3 * * 1", "Europe/Berlin")]
    assert server.served[2]["schedule"].interval == timedelta(minutes=30)
    for one in server.served:
        assert one["folder"] == place.root
        assert one["parameters"] == {"workspace": str(place.root)}
        assert (one["name"], one["tags"]) == (Place.of(place).name, Place.of(place).tags)
        assert one["paused"] is False  # it was when it was stopped
        # A limit of Prefect's would lease its slot from the server; one run more is started to say that it is left out.
        assert "global_limit" not in one
        assert one["limit"] == 2


def test_an_interval_goes_on_where_it_was_when_the_runner_starts_again(place: Paths, server: Server):
    first = datetime(2026, 1, 1, 12, tzinfo=UTC)
    kept = SimpleNamespace(interval=timedelta(hours=24), anchor_date=first)
    server.deployed = deployed()
    server.deployed.schedules = [SimpleNamespace(schedule=kept)]
    serving.serve(place, interval_hours=24)
    serving.serve(place, interval_hours=12)
    assert [one["schedule"].anchor_date == first for one in server.served] == [True, False]


@pytest.mark.parametrize(
    ("cron", "said"),
    [
        ("every monday", "is no schedule: write five fields"),
        ("0 0 3 * * 1", "is no schedule: write five fields"),
        ("0 25 * * *", "is no schedule: the five fields are minute"),
        ("0 0 31 2 *", "names a date that never comes"),
        ("0 0 31 4,6,9,11 *", "names a date that never comes"),
    ],
)
def test_what_is_no_schedule_is_not_served(place: Paths, server: Server, cron: str, said: str):
    with pytest.raises(InputError, match=said):
        serving.serve(place, cron=cron)
    assert server.served == []


def test_a_zone_is_known_and_goes_with_fields(place: Paths, server: Server):
    with pytest.raises(InputError, match="--timezone 'Berlin' is unknown: write a name such as Europe/Berlin"):
        serving.serve(place, cron="0 3 * * 1", timezone="Berlin")
    with pytest.raises(InputError, match="give --cron too"):
        serving.serve(place, interval_hours=24, timezone="Europe/Berlin")
    assert server.served == []


def test_a_workspace_has_one_runner(place: Paths, server: Server):
    with FileLock(place.private() / "serve.lock"), pytest.raises(InputError, match="is served already: stop that"):
        serving.serve(place, cron="0 3 * * 1")
    assert server.served == []
    serving.serve(place, cron="0 3 * * 1")
    assert len(server.served) == 1


def test_runs_whose_process_was_killed_are_ended_and_gone_on_with_once(
    place: Paths, server: Server, another_run: Callable[[Paths], Any]
):
    server.deployed = deployed()
    server.runs = [
        run("pending", "PENDING"), run("running", "RUNNING"), run("due", "SCHEDULED"), run("done", "COMPLETED"),
        run("stopping", "CANCELLING"),
    ]  # fmt: skip
    with another_run(place):  # one of them lives, though its runner was killed
        serving.serve(place, cron="0 3 * * 1")
    assert (server.states, server.created) == ([], [])
    serving.serve(place, cron="0 3 * * 1")
    assert server.states == [(name, "CRASHED") for name in ("pending", "running", "stopping")]
    assert server.created == [[serving._AGAIN]]


def test_who_is_killed_again_waits_for_the_next_date(place: Paths, server: Server):
    server.deployed = deployed()
    server.runs = [run("again", "RUNNING", serving._AGAIN)]
    serving.serve(place, cron="0 3 * * 1")
    assert server.states == [("again", "CRASHED")]
    assert server.created == []


@pytest.mark.parametrize(("last", "times"), [("CRASHED", 1), ("CANCELLING", 0), ("COMPLETED", 0), ("FAILED", 0)])
def test_only_what_was_cut_off_last_is_gone_on_with(place: Paths, server: Server, last: str, times: int):
    server.deployed = deployed()
    server.runs = [run("last", last), run("before", "CRASHED")]
    serving.serve(place, cron="0 3 * * 1")
    assert server.created == [[serving._AGAIN]] * times
    assert server.states == ([("last", "CRASHED")] if last == "CANCELLING" else [])


def test_a_server_that_is_away_for_good_is_one_sentence(place: Paths, server: Server):
    gone = [RuntimeError("Service exceeded error threshold."), httpx.ConnectError("All connection attempts failed")]
    for error in (*gone, ExceptionGroup("of Prefect's runner", gone)):
        server.error = error
        with pytest.raises(StageError, match=r"Prefect's server at http://\*\*\*@127.0.0.1:9/api was away for minutes"):
            serving.serve(place, cron="0 3 * * 1")
    for error in (RuntimeError("something else"), ExceptionGroup("mixed", [gone[0], ValueError("something else")])):
        server.error = error
        with pytest.raises(type(error)):
            serving.serve(place, cron="0 3 * * 1")
