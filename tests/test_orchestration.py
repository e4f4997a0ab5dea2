import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from analognas import orchestration, tracking
from analognas.errors import StageError, WorkspaceError
from analognas.evaluators import XGBoostEvaluator
from analognas.files import file_digest
from analognas.orchestration import Freshness, Session
from analognas.params import Params
from analognas.stages import STAGES
from analognas.template import source
from analognas.training.winner import load_winner
from analognas.versioning import Versioning
from analognas.workspace import Paths

FRESH: dict[str, list[str]] = {stage: [] for stage in STAGES}
STALE = {stage: ["it has not run yet"] for stage in STAGES}


def test_freshness_needs_neither_prefect_nor_mlflow_nor_torch():
    code = (
        "import sys; from analognas.orchestration import Freshness, run_pipeline; import analognas.characterizing\n"
        "print([name for name in ('prefect', 'mlflow', 'torch', 'dvc') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_run_is_done_when_nothing_is_stale_and_nothing_unlogged():
    assert Freshness(FRESH).done
    assert not Freshness(FRESH, untracked=("fit",)).done
    assert not Freshness(FRESH | {"fit": ["changed command"]}).done


def test_freshness_is_one_question_to_dvc(workspace: Paths, monkeypatch: pytest.MonkeyPatch):
    asked: list[Any] = []

    def status(_: Versioning, stages: tuple[str, ...]) -> dict[str, list[str]]:
        asked.append(stages)
        return FRESH | {"train": ["changed command"]}

    monkeypatch.setattr(Versioning, "problem", lambda root: None)
    monkeypatch.setattr(Versioning, "status", status)
    monkeypatch.setattr(tracking, "untracked", lambda *_: ("fit", "train"))
    freshness = Freshness.of(workspace)
    assert asked == [STAGES]
    assert freshness.untracked == ("fit",)  # train is going to run anyway
    assert freshness.unversioned is None


def test_without_dvc_everything_runs_and_the_run_says_so(workspace: Paths):
    freshness = Freshness.of(workspace)
    assert all(freshness.stale.values())
    session = Session(workspace, Params.load(workspace.params), freshness, lambda *_: None)
    assert session.versioning is None
    assert "every stage runs" in session.report.notes[0]
    assert "dvc init" in session.report.notes[0]


def test_a_task_outside_of_a_run_is_refused():
    with pytest.raises(StageError, match="session"):
        orchestration.stage("fit")


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
    orchestration.configure_prefect()
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}), pytest.raises(StageError) as caught:
        orchestration.run_pipeline(workspace, Params.load(workspace.params), freshness=Freshness(STALE))
    assert "The Prefect server at http://127.0.0.1:9/api cannot be reached" in str(caught.value)
    assert "unset PREFECT_API_URL" in str(caught.value)


def test_settings_are_made_before_prefect_is_loaded_and_respect_the_users(monkeypatch: pytest.MonkeyPatch):
    for name in (*orchestration._SETTINGS, *orchestration._QUIET):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "7")
    orchestration.configure_prefect(verbose=True)
    assert os.environ["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] == "7"
    assert os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL" not in os.environ
    orchestration.configure_prefect()
    assert os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] == "CRITICAL"
    for name in (*orchestration._SETTINGS, *orchestration._QUIET):
        monkeypatch.delenv(name, raising=False)


def test_the_run_time_of_a_stage_is_kept_apart_from_its_results(workspace: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(orchestration, "run_stage", lambda *_: {})
    session = Session(workspace, Params.load(workspace.params), Freshness.of(workspace), lambda *_: None)
    with session.timed("sample"):
        pass
    session.run("sample")
    timings = json.loads((workspace.data / "timings.json").read_text())
    assert timings["sample"]["seconds"] >= 0
    assert session.report.ran == ("sample",)


def test_what_dvc_ran_is_logged_without_prefect(workspace: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tracking, "sync", lambda *_: tracking.SyncReport(logged=("fit",), warning="A note."))
    monkeypatch.setattr(orchestration, "_server", None)
    params = Params.load(workspace.params)
    report = orchestration.run_pipeline(workspace, params, freshness=Freshness(FRESH, untracked=("fit",)))
    assert report == orchestration.RunReport(ran=(), skipped=STAGES, logged=("fit",), notes=("A note.",))


@pytest.fixture(scope="module")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of somebody who runs Prefect for the first time."""
    return os.environ | {"PREFECT_HOME": str(tmp_path_factory.mktemp("prefect")), "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_the_ephemeral_server_outlives_ctrl_c_but_not_its_run(end: signal.Signals, prefect_home: dict[str, str]):
    code = (
        "import time; from analognas import orchestration; orchestration.configure_prefect()\n"
        "with orchestration._server():\n"
        "    from prefect.server.api.server import SubprocessASGIServer as Server\n"
        "    print(Server().server_process.pid, flush=True)\n"
        "    try:\n"
        "        time.sleep(300)\n"
        "    finally:\n"
        "        print(Server().server_process.poll(), flush=True)\n"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", code], env=prefect_home, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert run.stdout is not None
    with run.stdout:
        server = int(run.stdout.readline())
        if end == signal.SIGINT:
            os.killpg(run.pid, end)  # as a terminal does it: to everybody
        else:
            run.kill()
        left = run.stdout.read().split()
    run.wait()
    assert left == (["None"] if end == signal.SIGINT else [])  # it was still there to be told of the end
    assert _ends(server, within=5)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_whole_pipeline(finished: Paths, workspace: Paths, tmp_path: Path, prefect_home: dict[str, str]):
    """On a real server: the bytes of the bare stages; then nothing to do; then what one parameter changes."""
    versioning = Versioning.init(workspace.root)
    assert versioning is not None
    with _prefect_server(prefect_home) as url:
        first = _run(workspace, prefect_home | {"PREFECT_API_URL": url})
        assert "up to date" not in first
        assert _flow_runs(url) == [("pipeline", "COMPLETED")]
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


@contextlib.contextmanager
def _prefect_server(environment: dict[str, str]) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
        env=environment | {"PREFECT_SERVER_ANALYTICS_ENABLED": "false"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 120
        while not _answers(f"http://127.0.0.1:{port}/api/health"):
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.3)
        yield f"http://127.0.0.1:{port}/api"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def _all(url: str, kind: str) -> list[dict[str, Any]]:
    request = urllib.request.Request(f"{url}/{kind}/filter", b"{}", {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: list[dict[str, Any]] = json.load(answer)
        return found


def _flow_runs(url: str) -> list[tuple[str, str]]:
    names = {flow["id"]: flow["name"] for flow in _all(url, "flows")}
    return [(names[run["flow_id"]], run["state_type"]) for run in _all(url, "flow_runs")]


def _deploy(workspace: Paths, environment: dict[str, str]) -> None:
    """Deploy as ``prefect.yaml`` says, and see that the file is left as it is."""
    shutil.copyfile(source() / "prefect.yaml", workspace.root / "prefect.yaml")
    for command in (["work-pool", "create", "analognas", "--type", "process"], ["--no-prompt", "deploy", "--all"]):
        subprocess.run(
            [sys.executable, "-m", "prefect", *command], cwd=workspace.root, env=environment, check=False,
            capture_output=True, timeout=120,
        )  # fmt: skip
    deployments = {one["name"]: one for one in _all(environment["PREFECT_API_URL"], "deployments")}
    assert set(deployments) == {"pipeline", "retrain"}
    for name, deployment in deployments.items():
        assert deployment["entrypoint"] == f"flows/{name}.py:{name}"
        assert deployment["work_pool_name"] == "analognas"
        assert not deployment["schedules"]
    assert deployments["retrain"]["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    assert file_digest(workspace.root / "prefect.yaml") == file_digest(source() / "prefect.yaml")


def _ends(pid: int, within: float) -> bool:
    deadline = time.monotonic() + within
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    return not Path(f"/proc/{pid}").exists()
