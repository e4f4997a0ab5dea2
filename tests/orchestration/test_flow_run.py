from __future__ import annotations

import contextlib
import warnings
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.context import FlowRunContext

from analognas.errors import AnalogNASWarning
from analognas.orchestration import flow_run
from analognas.params import Params
from analognas.workspace import Paths


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is logged with the flow run."""
    lines: list[tuple[str, str]] = []
    logger = SimpleNamespace(
        info=lambda text: lines.append(("info", text)), warning=lambda text: lines.append(("warning", text))
    )
    monkeypatch.setattr("prefect.logging.get_run_logger", lambda: logger)
    return lines


def test_name_and_tags_say_workspace_data_user_and_commit(workspace: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("getpass.getuser", lambda: "anna")
    params = Params.load(workspace.params)
    name, tags = flow_run.labels(workspace, params, "0123456+")
    assert name == f"{workspace.root.name}: digits, {params.sample.size} architectures, seed {params.base.seed}"
    assert tags == [
        "analognas", f"workspace: {workspace.root.name}", "data: digits", "user: anna", "commit: 0123456+",
    ]  # fmt: skip


def test_what_is_not_known_is_no_tag(workspace: Paths):
    _, tags = flow_run.labels(workspace, Params.load(workspace.params), None)
    assert [tag.partition(":")[0] for tag in tags] == ["analognas", "workspace", "data", "user"]


def test_a_flow_run_is_introduced_and_keeps_its_own_words_and_tags(workspace: Paths, monkeypatch: pytest.MonkeyPatch):
    told: list[dict[str, Any]] = []
    client = SimpleNamespace(update_flow_run=lambda identity, **what: told.append({"id": identity, **what}))
    monkeypatch.setattr("prefect.client.orchestration.get_client", lambda sync_client: contextlib.nullcontext(client))
    going = SimpleNamespace(flow_run=SimpleNamespace(id=7, name="quick-fox", tags=["mine"]))
    monkeypatch.setattr(FlowRunContext, "get", lambda: going)
    flow_run.introduce(workspace, Params.load(workspace.params), None)
    (update,) = told
    assert update["id"] == 7
    assert update["name"].startswith(f"{workspace.root.name}: digits, ")
    assert update["name"].endswith(", quick-fox")
    assert {"mine", "analognas", "data: digits"} <= set(update["tags"])


def test_outside_of_a_flow_nobody_is_asked_and_nothing_fails(workspace: Paths):
    flow_run.introduce(workspace, Params.load(workspace.params), None)
    assert flow_run.page() is None
    flow_run.note("Nobody hears it.")


def test_progress_is_passed_on_and_logged_not_too_often(log: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch):
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    passed: list[Any] = []
    progress = flow_run.Logged(lambda *what: passed.append(what))
    for number in range(30):
        clock[0] += 1
        progress("characterize", number, 30, f"{number} done")
    progress("fit", 0, 1, "learning")
    progress("characterize", 30, 30, "30 done")
    progress("characterize", 30, 30, "30 done")
    assert len(passed) == 33
    assert log == [("info", line) for line in (
        "characterize: 0 done", "characterize: 10 done", "characterize: 20 done", "fit: learning",
        "characterize: 30 done",
    )]  # fmt: skip


def test_own_warnings_are_logged_and_shown_others_only_shown(
    log: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
):
    shown: list[str] = []
    monkeypatch.setattr(warnings, "showwarning", lambda message, *_: shown.append(str(message)))
    before, kept = warnings.showwarning, []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        with flow_run.warnings_logged(kept):
            warnings.warn("A result is damaged: 100 % of it.", AnalogNASWarning, stacklevel=1)
            warnings.warn("old", DeprecationWarning, stacklevel=1)
        assert warnings.showwarning is not None
    assert log == [("warning", "A result is damaged: 100 % of it.")]
    assert kept == ["A result is damaged: 100 % of it."]
    assert shown == ["A result is damaged: 100 % of it.", "old"]
    assert before is warnings.showwarning


@pytest.mark.parametrize(("deployment", "scheduled"), [("7", True), (None, False)])
def test_a_run_of_a_deployment_is_one_by_a_schedule(
    monkeypatch: pytest.MonkeyPatch, deployment: str | None, scheduled: bool
):
    context = SimpleNamespace(flow_run=SimpleNamespace(deployment_id=deployment))
    assert not flow_run.by_a_schedule()
    monkeypatch.setattr("prefect.context.FlowRunContext.get", lambda: context)
    assert flow_run.by_a_schedule() is scheduled
