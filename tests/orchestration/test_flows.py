from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from analognas import orchestration, tracking
from analognas.errors import StageError, WorkspaceError
from analognas.orchestration import Freshness, flows, sessions
from analognas.orchestration.server import configure_prefect
from analognas.orchestration.sessions import Session
from analognas.params import Params
from analognas.stages import STAGES
from analognas.workspace import Paths

FRESH: dict[str, list[str]] = {stage: [] for stage in STAGES}


STALE = {stage: ["it has not run yet"] for stage in STAGES}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "is missing"),
        ("def broken(:", "cannot be loaded"),
        ("import no_such_module_here", "cannot be loaded"),
        ("something = 1", "defines no flow named pipeline"),
    ],
)
def test_a_flow_that_cannot_be_loaded_is_named(workspace: Paths, text: str | None, message: str):
    path = workspace.root / "flows" / "pipeline.py"
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(WorkspaceError, match=message):
        orchestration.run_pipeline(workspace, Params.load(workspace.params), freshness=Freshness(STALE))


def test_a_server_that_is_away_is_named_before_anything_runs(workspace: Paths):
    configure_prefect()
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}), pytest.raises(StageError) as caught:
        orchestration.run_pipeline(workspace, Params.load(workspace.params), freshness=Freshness(STALE))
    assert "The Prefect server at http://127.0.0.1:9/api refuses connections" in str(caught.value)
    assert "unset PREFECT_API_URL" in str(caught.value)


@pytest.mark.parametrize(("ran", "ends"), [(STAGES[:2], False), (STAGES, True)])
def test_a_server_that_goes_away_is_named_and_costs_nothing(
    workspace: Paths, monkeypatch: pytest.MonkeyPatch, ran: tuple[str, ...], ends: bool
):  # fmt: skip
    import httpx

    def flow(_: str) -> None:
        here.ran += ran
        raise httpx.ConnectError("All connection attempts failed")

    here = Session(workspace, Params.load(workspace.params), Freshness.of(workspace), lambda *_: None)
    monkeypatch.setattr(flows, "load_flow", lambda _: SimpleNamespace(pipeline=flow))
    monkeypatch.setattr(flows, "server", nullcontext)
    gone = "Prefect's server went away while the flow pipeline ran (it is not reached)"
    if ends:
        flows.run_flow(here, "pipeline")
        assert here.report.notes[-1].startswith(f"{gone}. Everything was done and is kept")
    else:
        with pytest.raises(StageError) as caught:
            flows.run_flow(here, "pipeline")
        assert str(caught.value).startswith(f"{gone}: what was finished is kept. Start it")


def test_the_error_of_a_stage_is_not_lost_with_the_server(workspace: Paths, monkeypatch: pytest.MonkeyPatch):
    import httpx

    def flow(_: str) -> None:
        try:
            raise StageError("no memory.")
        except StageError:
            raise httpx.ReadError("Prefect cannot be told")  # noqa: B904  # as Prefect raises it

    here = Session(workspace, Params.load(workspace.params), Freshness.of(workspace), lambda *_: None)
    monkeypatch.setattr(flows, "load_flow", lambda _: SimpleNamespace(pipeline=flow))
    monkeypatch.setattr(flows, "server", nullcontext)
    with pytest.raises(StageError, match=r"^no memory\.$"):
        flows.run_flow(here, "pipeline")


def test_what_dvc_ran_is_logged_without_prefect(workspace: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tracking, "sync", lambda *_: tracking.SyncReport(logged=("fit",), warning="A note."))
    monkeypatch.setattr(flows, "server", None)
    params = Params.load(workspace.params)
    report = orchestration.run_pipeline(workspace, params, freshness=Freshness(FRESH, untracked=("fit",)))
    assert report == sessions.RunReport(ran=(), skipped=STAGES, logged=("fit",), notes=("A note.",))
