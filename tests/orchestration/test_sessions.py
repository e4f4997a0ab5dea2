import json
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from analognas import notices, orchestration, tracking
from analognas.errors import ParamsError, StageError
from analognas.evaluators import XGBoostEvaluator
from analognas.files import file_digest
from analognas.orchestration import Freshness, sessions
from analognas.orchestration.deployments import Place
from analognas.orchestration.sessions import Session, prepared
from analognas.params import Params
from analognas.params.file import override
from analognas.setup.template import source
from analognas.stages import STAGES
from analognas.tracking import state
from analognas.training.winner import load_winner
from analognas.versioning import Versioning
from analognas.workspace import Paths

#: Starts a Prefect server with an environment; gives the address of its API.
Serving = Callable[[dict[str, str]], AbstractContextManager[str]]

FRESH: dict[str, list[str]] = {stage: [] for stage in STAGES}


def test_without_dvc_everything_runs_and_the_run_says_so(workspace: Paths, monkeypatch: pytest.MonkeyPatch):
    freshness = Freshness.of(workspace)
    assert all(freshness.stale.values())
    session = Session(workspace, Params.load(workspace.params), freshness, lambda *_: None)
    assert session.versioning is None
    monkeypatch.setattr(tracking, "sync", lambda *_: tracking.SyncReport())
    with prepared(session), orchestration.session(workspace.root) as run:
        assert run is session
    (note,) = session.report.notes
    assert "every stage runs" in note
    assert "dvc init" in note


def test_a_task_outside_of_a_run_is_refused():
    with pytest.raises(StageError, match="session"):
        orchestration.stage("fit")


def test_the_run_time_of_a_stage_is_kept_apart_from_its_results(workspace: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sessions, "run_stage", lambda *_, **__: {})
    session = Session(workspace, Params.load(workspace.params), Freshness.of(workspace), lambda *_: None)
    with session.timed("sample"):
        pass
    session.run("sample")
    timings = json.loads((workspace.data / "timings.json").read_text())
    assert timings["sample"]["seconds"] >= 0
    assert session.report.ran == ("sample",)


def test_a_stage_is_not_recorded_with_parameters_that_it_did_not_have(
    workspace: Paths, monkeypatch: pytest.MonkeyPatch
):  # fmt: skip
    committed: list[str] = []
    monkeypatch.setattr(Versioning, "commit", lambda _, *stages: committed.extend(stages))
    monkeypatch.setattr(state, "note_duration", lambda *_: None)
    params = Params.load(workspace.params)
    session = Session(workspace, params, Freshness.of(workspace), lambda *_: None)
    session.versioning = Versioning(workspace.root)
    said = ["run.workers=7", "search.k=0.125"]  # the first decides nothing
    monkeypatch.setattr(sessions, "run_stage", lambda *_, **__: override(workspace.params, [said.pop(0)]))
    session.run("sample")
    assert committed == ["record", "sample"]
    with pytest.raises(StageError, match=r"params\.yaml was changed while search ran.*run again"):
        session.run("search")
    assert committed == ["record", "sample"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_whole_pipeline(
    finished: Paths, workspace: Paths, tmp_path: Path, prefect_home: dict[str, str], serving_prefect: Serving
):
    """On a real server: the bytes of the bare stages; then nothing to do; then what one parameter changes."""
    # A home of its own: other tests leave flow runs in the shared one. Serial: the stages ran in two processes.
    prefect_home = prefect_home | {"PREFECT_HOME": str(tmp_path / "prefect"), "ANALOGNAS_RUN_RUNNER": "serial"}
    versioning = Versioning.init(workspace.root)
    assert versioning is not None
    with serving_prefect(prefect_home) as url:
        first = _run(workspace, prefect_home | {"PREFECT_API_URL": url})
        assert "up to date" not in first
        assert _flow_runs(url) == [("pipeline", "COMPLETED")]
        _shown(url)
        _deploy(workspace, prefect_home | {"PREFECT_API_URL": url})
    assert _digests(workspace) == _digests(finished)
    assert versioning.status(STAGES) == FRESH
    evaluator, winner = (
        tracking.download(workspace, name, "champion", tmp_path) for name in ("analognas-evaluator", "analognas-winner")
    )
    assert XGBoostEvaluator.load(evaluator).context_ == XGBoostEvaluator.load(finished.evaluator).context_
    assert load_winner(winner).row == load_winner(finished.winner).row

    # The server is gone, so this shows that none is asked.
    again = _run(workspace, prefect_home | {"PREFECT_API_URL": url})
    assert "nothing to do" in again

    changed = _run(workspace, prefect_home, "--set", "search.k=0.5")
    assert [stage for stage in STAGES if f"{stage}: up to date" in changed] == ["sample", "characterize", "fit"]
    assert versioning.status(STAGES) == FRESH


def _run(workspace: Paths, environment: dict[str, str], *arguments: str) -> str:
    """Run the command line in a workspace and return what it says while it runs."""
    done = subprocess.run(
        [sys.executable, "-m", "analognas", "run", *arguments],
        cwd=workspace.root,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "winner" in done.stdout
    return done.stderr


def _digests(paths: Paths) -> dict[str, str]:
    folders = ("evaluator", "search", "winner", "metrics", "plots")
    files = [path for folder in folders for path in (paths.data / folder).rglob("*") if path.name != ".gitignore"]
    files += [paths.architectures, paths.surrogate]
    return {path.relative_to(paths.root).as_posix(): file_digest(path) for path in files if path.is_file()}


def _all(url: str, kind: str) -> list[dict[str, Any]]:
    request = urllib.request.Request(f"{url}/{kind}/filter", b"{}", {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: list[dict[str, Any]] = json.load(answer)
        return found


def _flow_runs(url: str) -> list[tuple[str, str]]:
    names = {flow["id"]: flow["name"] for flow in _all(url, "flows")}
    return [(names[run["flow_id"]], run["state_type"]) for run in _all(url, "flow_runs")]


def _shown(url: str) -> None:
    """See that the interface has what there is to show: the newest of each artifact."""
    shown = {one["key"]: one for one in _all(url, "artifacts/latest")}
    assert set(shown) == {"characterize-progress", "characterized", "drift", "pipeline-summary", "report"}
    assert shown["characterize-progress"]["data"] == 100.0
    assert shown["characterize-progress"]["description"] == "10 of 10 architectures characterized"
    tables = [one for one in _all(url, "artifacts") if one["key"] == "characterized"]  # while it ran, and after it
    assert [len(json.loads(one["data"])) for one in tables] == [10, 10]
    assert "(data:image/png;base64," in shown["drift"]["data"]
    assert "| after programming | winner |" in shown["drift"]["data"]


def _deploy(workspace: Paths, environment: dict[str, str]) -> None:
    """Deploy as ``prefect.yaml`` says, and see that the file is left as it is."""
    shutil.copyfile(source() / "prefect.yaml", workspace.root / "prefect.yaml")
    for command in (["work-pool", "create", "analognas", "--type", "process"], ["--no-prompt", "deploy", "--all"]):
        subprocess.run(
            [sys.executable, "-m", "prefect", *command], cwd=workspace.root, env=environment, check=False,
            capture_output=True, timeout=120,
        )  # fmt: skip
    place = Place.of(workspace)
    there = [one for one in _all(environment["PREFECT_API_URL"], "deployments") if one["name"] == place.name]
    entrypoints = sorted(one["entrypoint"] for one in there)
    assert entrypoints == ["flows/pipeline.py:pipeline", "flows/retrain.py:retrain"]
    for deployment in there:
        assert deployment["tags"] == place.tags
        assert deployment["global_concurrency_limit"] is None
        assert deployment["work_pool_name"] == "analognas"
        assert not deployment["schedules"]
    assert file_digest(workspace.root / "prefect.yaml") == file_digest(source() / "prefect.yaml")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    made: list[tuple[str, str]] = []
    monkeypatch.setattr(sessions.notices, "tell", lambda _, event, about, text, **more: made.append((event, text)))
    monkeypatch.setattr(sessions.tracking, "sync", lambda *_: sessions.tracking.SyncReport())
    return made


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (StageError("the disk is full."), ("failed", "failed: the disk is full.")),
        (RuntimeError("token=abc of /x/site-packages/y.py"), ("failed", 'failed: "token=*** of a file of its own".')),
        (SystemExit(1), ("ended", "was ended from outside: what it had finished is kept.")),
        (KeyboardInterrupt(), None),
        (None, None),
    ],
)
def test_how_a_run_ends_is_told(
    workspace: Paths, told: list[tuple[str, str]], error: BaseException | None, expected: tuple[str, str] | None
):
    def run() -> None:
        with sessions.session(workspace.root):
            if error is not None:
                raise error

    if error is None:
        run()
    else:
        with pytest.raises(type(error)):
            run()
    assert told == (
        [] if expected is None else [(expected[0], f"A run of the pipeline in {workspace.root} {expected[1]}")]
    )
    assert not (workspace.root / ".analognas" / "going.json").exists()


def test_a_run_that_cannot_even_begin_is_told(workspace: Paths, told: list[tuple[str, str]]):
    workspace.params.write_text(workspace.params.read_text() + "unknown: {}\n")
    with pytest.raises(ParamsError), sessions.session(workspace.root):
        pass
    ((event, text),) = told
    assert event == "failed"
    assert "unknown key unknown" in text


def test_mlflow_that_is_away_is_told(workspace: Paths, told: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch):
    away = sessions.tracking.SyncReport(warning="MLflow at http://127.0.0.1:9 refuses connections.")
    monkeypatch.setattr(sessions.tracking, "sync", lambda *_: away)
    with sessions.session(workspace.root) as run:
        pass
    assert told == [("tracking", away.warning)]
    state = sessions.ended(run, {"ran": []})
    assert state.type.value == "COMPLETED"
    assert away.warning in state.message
    run.notes.clear()
    assert sessions.ended(run, {"ran": []}) == {"ran": []}


def test_others_see_a_run_from_before_it_takes_what_the_team_has(tmp_path: Path):
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).touch()
    paths, seen = Paths(tmp_path), list[bool]()

    def taken(there: Paths) -> list[str]:
        seen.append(notices.alive(there))  # who is killed while it pulls is missed as well
        raise StageError("the remote is away")

    with pytest.raises(StageError, match="away"), sessions.opened(tmp_path, Session, taken):
        pass
    assert (seen, notices.alive(paths)) == ([True], False)
