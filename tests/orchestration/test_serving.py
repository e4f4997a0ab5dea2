from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from analognas.errors import InputError, StageError
from analognas.orchestration import serving
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


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """Let a server be there, and tell what it was asked to serve."""
    configure_prefect()
    from prefect.settings import PREFECT_API_URL, temporary_settings

    asked: list[dict[str, Any]] = []
    flow = SimpleNamespace(serve=lambda **how: asked.append({"folder": Path.cwd(), **how}))
    monkeypatch.chdir(tmp_path)  # serving goes into the workspace
    monkeypatch.setattr(serving, "reachable", lambda url: None)
    monkeypatch.setattr(serving.flows, "load_flow", lambda path: SimpleNamespace(retrain=flow))
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        yield asked


def test_a_schedule_starts_the_flow_in_its_workspace_one_run_at_a_time(tmp_path: Path, served: list[dict[str, Any]]):
    workspace = Paths((tmp_path / "workspace").resolve())
    workspace.root.mkdir()
    serving.serve(workspace, cron="0 3 * * 1")
    serving.serve(workspace, interval_hours=0.5)
    assert [(one["cron"], one["interval"]) for one in served] == [("0 3 * * 1", None), (None, 1800.0)]
    for one in served:
        assert one["folder"] == workspace.root
        assert one["parameters"] == {"workspace": str(workspace.root)}
        assert (one["name"], one["limit"], one["global_limit"].limit) == ("retrain", 1, 1)


def test_what_is_no_schedule_is_not_served(tmp_path: Path, served: list[dict[str, Any]]):
    with pytest.raises(InputError, match="--cron 'every monday' is no schedule: write five fields"):
        serving.serve(Paths(tmp_path), cron="every monday")
    assert served == []
