import contextlib
import json
import os
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

import pytest

from analognas import prefect_server, retraining
from analognas.errors import StageError
from analognas.files import file_digest
from analognas.params import Params
from analognas.params_file import override
from analognas.stages import characterize
from analognas.workspace import Paths, alone


def test_settings_are_made_before_prefect_is_loaded_and_respect_the_users(monkeypatch: pytest.MonkeyPatch):
    for name in (*prefect_server._SETTINGS, *prefect_server._QUIET):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "7")
    prefect_server.configure_prefect(verbose=True)
    assert os.environ["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] == "7"
    assert os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL" not in os.environ
    prefect_server.configure_prefect()
    assert os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] == "CRITICAL"
    for name in (*prefect_server._SETTINGS, *prefect_server._QUIET):
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


def test_a_password_in_an_address_is_not_repeated():
    with pytest.raises(StageError) as caught:
        prefect_server.reachable("http://anna:secret@127.0.0.1:9/api")
    assert "The Prefect server at http://***@127.0.0.1:9/api cannot be reached" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["not an address", "gopher://somewhere", "http://[::1"])
def test_what_is_no_address_is_one_sentence(url: str):
    with pytest.raises(StageError, match="cannot be reached"):
        prefect_server.reachable(url)


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_the_ephemeral_server_outlives_ctrl_c_but_not_its_run(end: signal.Signals, prefect_home: dict[str, str]):
    code = (
        "import time; from analognas import prefect_server; prefect_server.configure_prefect()\n"
        "with prefect_server.server():\n"
        "    from prefect.server.api.server import SubprocessASGIServer as Server\n"
        "    print(Server().server_process.pid, Server().port, flush=True)\n"
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
        server, port = map(int, run.stdout.readline().split())
        assert _listening(port) == {"0100007F"}  # 127.0.0.1 and nothing else
        if end == signal.SIGINT:
            os.killpg(run.pid, end)  # as a terminal does it: to everybody
        else:
            run.kill()
        left = run.stdout.read().split()
    run.wait()
    assert left == (["None"] if end == signal.SIGINT else [])  # it was still there to be told of the end
    assert _ends(server, within=5)


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
@pytest.mark.timeout(600)
def test_ctrl_c_ends_all_processes_and_the_next_run_goes_on(workspace: Paths, staying: dict[str, str]):
    override(workspace.params, ["sample.size=32", "characterize.epochs=30"])
    run = Started(["run"], workspace, staying)
    run.wait_for_results(1)
    os.killpg(run.process.pid, signal.SIGINT)  # as a terminal does it: to everybody
    run.children_end(within=10)
    assert run.process.wait(60) == 1
    assert run.said().splitlines()[-1].startswith("analognas: interrupted; what was finished is kept, run again")
    kept = run.results()
    assert 1 <= kept < 32
    pending = characterize.pending(Params.load(workspace.params), workspace)
    assert len(pending) == 32 - kept  # every file that is there is whole
    with alone(workspace):
        pass


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_that_is_cancelled_in_prefect_ends_and_can_be_gone_on_with(retrained: Paths, staying: dict[str, str]):
    """As the interface's button does it: the run's state becomes Cancelling, the runner that serves it sees that."""
    before = file_digest(retrained.evaluator)
    serving = Started(["serve", "--interval-hours", "1000"], retrained, staying)
    try:
        ask = Api(staying["PREFECT_API_URL"])
        serving.until(lambda: "polling for scheduled runs" in serving.said(), "the runner")
        deployment = ask("deployments/name/retrain/retrain")["id"]  # other tests have left theirs in the database
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
        need = retraining.look(Params.load(retrained.params), retrained)
    assert need.pending == 1
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
        self, what: Callable[[], Any], name: str, within: float = 200, state: Callable[[], Any] = lambda: ""
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
