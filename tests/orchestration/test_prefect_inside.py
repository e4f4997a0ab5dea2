from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from ruamel.yaml import YAML

from analognas.orchestration.prefect_inside import drain, guarded_server, one_at_a_time, update_artifact, valid_cron
from analognas.orchestration.server import configure_prefect
from analognas.setup.template import source


@pytest.fixture(autouse=True)
def _configured() -> None:
    configure_prefect()


@pytest.mark.parametrize(
    ("cron", "valid"),
    [("0 3 * * 1", True), ("*/5 * * * *", True), ("every monday", False), ("0 25 * * *", False), ("", False)],
)
def test_a_schedule_is_five_fields(cron: str, valid: bool):
    assert valid_cron(cron) is valid


def test_a_served_flow_has_the_limit_of_a_deployed_one():
    limit = one_at_a_time()
    deployments = YAML(typ="safe").load((source() / "prefect.yaml").read_text())["deployments"]
    deployed = next(one["concurrency_limit"] for one in deployments if one["name"] == "retrain")
    assert limit.limit == deployed["limit"] == 1
    assert limit.collision_strategy.value == deployed["collision_strategy"] == "CANCEL_NEW"


def test_an_artifact_is_shown_with_other_data(monkeypatch: pytest.MonkeyPatch):
    updated: list[Any] = []

    class Client:
        def update_artifact(self, *what: Any) -> None:
            updated.append(what)

    @contextlib.contextmanager
    def get_client(*, sync_client: bool) -> Iterator[Client]:
        assert sync_client
        yield Client()

    monkeypatch.setattr("prefect.client.orchestration.get_client", get_client)
    identity = uuid4()
    update_artifact(identity, 50.0, "half of it")
    ((given, update),) = updated
    assert given == identity
    assert update.model_dump(exclude_unset=True) == {"data": 50.0, "description": "half of it"}


def test_a_server_is_not_started_before_it_is_asked_for(monkeypatch: pytest.MonkeyPatch):
    from prefect.server.api.server import SubprocessASGIServer

    monkeypatch.setattr(SubprocessASGIServer, "_instances", {})  # other tests may have a server in this process
    server = guarded_server()
    assert isinstance(server, SubprocessASGIServer)
    assert server.server_process is None
    server.stop()  # there is no guard to end, either
    assert server.server_process is None


def test_what_prefect_cannot_hand_over_is_dropped():
    configure_prefect()
    from prefect._internal.concurrency.services import QueueService

    handled = []

    class Stuck(QueueService[str]):
        async def _handle(self, item: str) -> None:
            handled.append(item)
            await asyncio.sleep(300)

    service = Stuck.instance()
    for item in ("first", "second"):
        service.send(item)
    began = time.monotonic()
    drain(0.5)
    service._at_exit()  # as Python calls it
    assert 0.5 <= time.monotonic() - began < 10
    assert handled == ["first"]
    assert service._queue.get_nowait() is None
    assert service._queue.empty()
