import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from analognas import retraining
from analognas.errors import StageError
from analognas.files import file_digest
from analognas.orchestration import prefect_inside
from analognas.orchestration import server as prefect_server
from analognas.orchestration.deployments import Place
from analognas.params import Params
from analognas.params.file import override
from analognas.stages import characterize
from analognas.workspace import Paths, alone, round_sequence


def test_settings_are_made_before_prefect_is_loaded_and_respect_the_users(monkeypatch: pytest.MonkeyPatch):
    every = (*prefect_server._SETTINGS, *prefect_server._QUIET, *prefect_server._OF_A_SERVER)
    for name in every:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "7")
    prefect_server.configure_prefect(verbose=True)
    assert os.environ["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] == "7"
    assert os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL" not in os.environ
    prefect_server.configure_prefect()
    assert os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] == "CRITICAL"
    assert "PREFECT_API_REQUEST_TIMEOUT" not in os.environ  # one's own server may be slow
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    prefect_server.configure_prefect()
    assert float(os.environ["PREFECT_API_REQUEST_TIMEOUT"]) + prefect_inside._PROBE < 15
    for name in every:
        monkeypatch.delenv(name, raising=False)


def test_a_damaged_database_is_named_at_once(tmp_path: Path):
    prefect_server.configure_prefect()
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

    database = tmp_path / "prefect.db"
    database.write_bytes(b"no database " * 1000)
    with (
        temporary_settings({PREFECT_HOME: tmp_path}, restore_defaults={PREFECT_API_URL}),
        pytest.raises(StageError, match=rf"database {database} is damaged: move {database} away"),
        prefect_server.server(),
    ):
        pass


class Stub:
    """What stands in for Prefect's server: processes that sleep, and answers that a test gives."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []
        self.codes = ["import time; time.sleep(300)"]
        self.answers: Iterator[int | httpx.TransportError] = iter([200])
        self.masks: list[set[Any]] = []  # while it is asked
        self.drains: list[float] = []

    def start(self, *_: Any) -> subprocess.Popen[bytes]:
        code = self.codes[min(len(self.processes), len(self.codes) - 1)]
        self.processes.append(subprocess.Popen([sys.executable, "-S", "-c", code]))
        return self.processes[-1]

    def answer(self, *_: Any) -> httpx.Response:
        self.masks.append(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        if isinstance(answer := next(self.answers), int):
            return httpx.Response(answer, request=httpx.Request("GET", "http://127.0.0.1"))
        time.sleep(0.05)
        raise answer


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    prefect_server.configure_prefect()
    from prefect.server.api.server import SubprocessASGIServer
    from prefect.settings import (
        PREFECT_API_URL,
        PREFECT_HOME,
        PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
        temporary_settings,
    )

    stub = Stub()
    monkeypatch.setattr(SubprocessASGIServer, "_instances", {})  # other tests may have a server in this process
    monkeypatch.setattr(SubprocessASGIServer, "_run_uvicorn_command", stub.start)
    monkeypatch.setattr(httpx.Client, "get", stub.answer)
    monkeypatch.setattr(prefect_server, "drain", stub.drains.append)
    settings = {PREFECT_HOME: tmp_path, PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: 30}
    with temporary_settings(settings, restore_defaults={PREFECT_API_URL}):
        yield stub
    left = [process for process in stub.processes if process.poll() is None]
    for process in left:
        process.kill()
        process.wait()
    assert not left


def test_a_server_that_answers_late_is_asked_again(stub: Stub):
    stub.answers = iter([httpx.ReadTimeout("timed out"), httpx.RemoteProtocolError("closed"), 200])
    with prefect_server.server():
        assert [process.poll() for process in stub.processes] == [None]
    assert len(stub.masks) == 3


def test_a_server_that_never_answers_is_stopped(stub: Stub):
    stub.answers = itertools.repeat(httpx.ReadTimeout("timed out"))
    from prefect.settings import PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS, temporary_settings

    with (
        temporary_settings({PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: 1}),
        pytest.raises(StageError, match=r"did not start in 1 s: run again"),
        prefect_server.server(),
    ):
        pass
    assert [process.poll() is None for process in stub.processes] == [False]


def test_ctrl_c_is_kept_from_the_server_and_not_from_the_wait_for_it(stub: Stub):
    with prefect_server.server():
        status = Path(f"/proc/{stub.processes[0].pid}/status").read_text()
    blocked = int(re.findall(r"SigBlk:\s*(\w+)", status)[0], 16)
    assert blocked >> (signal.SIGINT - 1) & 1
    assert not any(signal.SIGINT in mask for mask in stub.masks)


def test_a_server_that_is_started_again_has_a_guard_of_its_own(stub: Stub):
    stub.codes.insert(0, "raise SystemExit(3)")  # its port was taken

    def refuse() -> Iterator[int | httpx.TransportError]:
        while len(stub.processes) < 2:
            yield httpx.ConnectError("refused")
        yield 200

    stub.answers = refuse()
    with prefect_server.server():
        # A busy machine may list processes a moment before the guard is among them.
        until = time.monotonic() + 10
        while [len(guards) for guards in _guards(stub)] != [0, 1]:
            assert time.monotonic() < until
            time.sleep(0.05)
    assert _guards(stub) == [[], []]


def _guards(stub: Stub) -> list[list[int]]:
    """Return the processes that wait to end each of the stub's."""
    found: list[list[int]] = [[] for _ in stub.processes]
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (place / "cmdline").read_bytes().split(b"\0")
            for guards, process in zip(found, stub.processes, strict=True):
                if f"read _; kill {process.pid}".encode() in words:
                    guards.append(int(place.name))
    return found


def test_nobody_waits_for_a_server_that_has_ended(stub: Stub):
    with prefect_server.server():
        pass
    stub.answers = iter([200])
    with prefect_server.server():
        stub.processes[-1].kill()
        stub.processes[-1].wait()
    assert stub.drains == [prefect_server._DRAIN_SECONDS, 0]


def test_a_server_that_is_being_started_does_not_outlive_its_run(prefect_home: dict[str, str]):
    code = (
        "import subprocess, sys; from analognas.orchestration import server; server.configure_prefect()\n"
        "from prefect.server.api.server import SubprocessASGIServer as Server\n"
        "Server._run_uvicorn_command = lambda _: subprocess.Popen(\n"
        "    [sys.executable, '-S', '-c', 'import os, time; print(os.getpid(), flush=True); time.sleep(300)'])\n"
        "with server.server():\n"
        "    pass\n"
    )
    environment = {name: value for name, value in prefect_home.items() if name != "PREFECT_API_URL"}
    run = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert run.stdout is not None
    with run.stdout:
        server = int(run.stdout.readline())
        time.sleep(0.5)  # it asks the server
        run.kill()
    run.wait()
    assert _ends(server, within=5)


def test_a_password_in_an_address_is_not_repeated():
    with pytest.raises(StageError) as caught:
        prefect_server.reachable("http://anna:secret@127.0.0.1:9/api")
    assert "The Prefect server at http://***@127.0.0.1:9/api refuses connections" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["not an address", "gopher://somewhere", "http://[::1"])
def test_what_is_no_address_is_one_sentence(url: str):
    with pytest.raises(StageError, match="which is no address of a server"):
        prefect_server.reachable(url)


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.faults)])
def test_the_ephemeral_server_outlives_ctrl_c_but_not_its_run(end: signal.Signals, prefect_home: dict[str, str]):
    code = (
        "import time; from analognas.orchestration import server; server.configure_prefect()\n"
        "with server.server():\n"
        "    from prefect.server.api.server import SubprocessASGIServer as Server\n"
        "    try:\n"  # before it is told: on a busy machine the signal may come at once
        "        print(Server().server_process.pid, Server().port, flush=True)\n"
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
        server, port = map(int, run.stdout.readline().split())
        assert _listening(port) == {"0100007F"}  # 127.0.0.1 and nothing else
        if end == signal.SIGINT:
            os.killpg(run.pid, end)  # as a terminal does it: to everybody
        else:
            run.kill()
        left = run.stdout.read().split()
    run.wait()
    assert left == (["None"] if end == signal.SIGINT else [])  # it was still there to be told of the end
    assert _ends(server, within=30)  # 1 s on a quiet machine


def _listening(port: int) -> set[str]:
    """Return the addresses at which this machine listens on a port, as the kernel writes them."""
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()]
    places = [words[1].split(":") for words in lines if words[3] == "0A"]
    return {address for address, found in places if int(found, 16) == port}


def _ends(pid: int, within: float) -> bool:
    deadline = time.monotonic() + within
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    return not Path(f"/proc/{pid}").exists()


@pytest.fixture(scope="module")
def staying(prefect_home: dict[str, str], serving_prefect: Any) -> Iterator[dict[str, str]]:
    """The environment of a Prefect server that stays."""
    with serving_prefect(prefect_home) as url:
        yield prefect_home | {"PREFECT_API_URL": url, "PREFECT_RUNNER_POLL_FREQUENCY": "1"}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_ctrl_c_ends_all_processes_and_the_next_run_goes_on(workspace: Paths, staying: dict[str, str]):
    override(workspace.params, ["sample.size=32", "characterize.epochs=30"])
    run = Started(["run"], workspace, staying)
    try:
        run.wait_for_results(1)
        os.killpg(run.process.pid, signal.SIGINT)  # as a terminal does it: to everybody
        run.children_end(within=10)
        assert run.process.wait(60) == 1
    finally:
        run.process.kill()
        run.process.wait()
    assert run.said().splitlines()[-1].startswith("analognas: interrupted; what was finished is kept, run again")
    kept = run.results()
    assert 1 <= kept < 32
    pending = characterize.pending(Params.load(workspace.params), workspace)
    assert len(pending) == 32 - kept  # every file that is there is whole
    with alone(workspace):
        pass


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_a_run_that_is_cancelled_in_prefect_ends_and_can_be_gone_on_with(retrained: Paths, staying: dict[str, str]):
    """As the interface's button does it: the run's state becomes Cancelling, the runner that serves it sees that."""
    before = file_digest(retrained.evaluator)
    serving = Started(["serve", "--interval-hours", "1000"], retrained, staying)
    try:
        ask = Api(staying["PREFECT_API_URL"])
        serving.until(lambda: "polling for scheduled runs" in serving.said(), "the runner")
        deployment = ask(f"deployments/name/retrain/{Place.of(retrained).name}")["id"]
        first = serving.results()
        given = {"parameters": {"workspace": str(retrained.root), "force": True}, "state": {"type": "SCHEDULED"}}
        flow_run = ask(f"deployments/{deployment}/create_flow_run", given)["id"]
        serving.wait_for_results(first + 1, lambda: ask(f"flow_runs/{flow_run}")["state"])
        its = {"artifacts": {"flow_run_id": {"any_": [flow_run]}}}
        serving.until(lambda: "1 of 54 architectures" in str(ask("artifacts/filter", its)), "the progress")
        shown = {one["type"] for one in ask("artifacts/filter", its)}
        assert shown == {"progress", "table"}
        ask(f"flow_runs/{flow_run}/set_state", {"state": {"type": "CANCELLING"}})
        serving.children_end(within=10)
        serving.until(lambda: ask(f"flow_runs/{flow_run}")["state_type"] == "CANCELLED", "the end")
        assert serving.process.poll() is None
    finally:
        os.killpg(serving.process.pid, signal.SIGINT)
        serving.process.wait(60)
    assert file_digest(retrained.evaluator) == before
    with alone(retrained):
        need = retraining.assess(retraining.Workbench(Params.load(retrained.params), retrained))
    assert need.pending is not None
    assert round_sequence(need.pending) == 1
    kept = serving.results() - first
    assert 1 <= kept < 54
    assert len(characterize.pending(Params.load(retrained.params), retrained)) == 54 - kept


class Started:
    """The command line in a process group of its own, and all that it starts."""

    def __init__(self, arguments: list[str], paths: Paths, environment: dict[str, str]) -> None:
        self.paths, self._mark = paths, f"ANALOGNAS_TEST={uuid.uuid4()}"
        name, _, value = self._mark.partition("=")
        self._log = paths.root.with_name(f"{value}.log")
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "analognas", *arguments], cwd=paths.root, env=environment | {name: value},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def results(self) -> int:
        return len(list(self.paths.data.glob("results/*/*.json")))

    def said(self) -> str:
        return self._log.read_text().strip()

    def until(
        self, what: Callable[[], Any], name: str, within: float = 400, state: Callable[[], Any] = lambda: ""
    ) -> Any:
        deadline = time.monotonic() + within
        while not (found := what()):
            assert time.monotonic() < deadline, f"{name} did not come: {self.said()}\n{state()}"
            time.sleep(0.1)
        return found

    def wait_for_results(self, count: int, state: Callable[[], Any] = lambda: "") -> None:
        self.until(lambda: self.process.poll() is not None or self.results() >= count, "a result", state=state)
        assert self.process.poll() is None, self.said()
        assert self._children()

    def children_end(self, *, within: float) -> None:
        """Wait until the processes that characterize are gone."""
        self.until(lambda: not self._children(), "the end of the processes that characterize", within)

    def _children(self) -> list[int]:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                mine = self._mark.encode() in (folder / "environ").read_bytes().split(b"\0")
                if mine and b"spawn_main" in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
        return found


class Api:
    """Prefect's, as its interface uses it."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __call__(self, path: str, content: dict[str, Any] | None = None) -> Any:
        data = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(f"{self._url}/{path}", data, {"Content-Type": "application/json"})
        for _ in range(60):
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                if error.code != 503:  # its SQLite is busy
                    raise
                time.sleep(1)
        raise AssertionError(f"{path} stays unavailable")
