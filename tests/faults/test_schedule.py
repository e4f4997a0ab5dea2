"""The schedule of a workspace, whose processes and server end at any moment, while a run is pending included."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import sqlite3
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

from analognas.orchestration.deployments import Place
from analognas.params import Params
from analognas.params.file import override
from analognas.stages import STAGES, characterize
from analognas.versioning import Versioning
from analognas.workspace import Paths

#: How often something ends: a server takes half a minute to start, a retraining a minute or two.
ENDS = int(os.environ.get("FAULTS_ENDS", "20"))
#: The runner; the process of a run; both, with all that they started; Prefect's server; what the server keeps.
WHAT = ("runner", "run", "all", "server", "database")
_QUICK = ("retrain.sentinel_size=10", "retrain.round_size=2", "retrain.bootstrap=100")
_BEGUN = {"PENDING", "RUNNING", "CANCELLING"}
#: A lock of the test's own in the flow, which is the user's to edit: were there ever two retrainings, one would fail.
_WITNESS = """
import contextlib
import os
from filelock import FileLock, Timeout

@contextlib.contextmanager
def witness():
    try:
        with FileLock(os.environ["FAULTS_WITNESS"], timeout=0):
            yield
    except Timeout:
        with open(os.environ["FAULTS_WITNESS"] + ".txt", "a") as file:
            file.write("two at once\\n")
        raise

"""

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200 * (ENDS + 2))]


class Served:
    """A workspace that is served by a schedule, the Prefect server, and what ends either."""

    def __init__(self, faults: Any, paths: Paths, folder: Path) -> None:
        self.faults, self.paths, self.folder = faults, paths, folder
        self.port = faults.free_port()
        self.mark = f"FAULTS_RUN={uuid.uuid4().hex}"
        self.trainings, self.witness = folder / "trainings", folder / "witness"
        self.stack = contextlib.ExitStack()
        self.runner: subprocess.Popen[bytes] | None = None
        self.log = folder / "serve.txt"
        self.name = Place.of(paths).name

    def start_server(self) -> None:
        command = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self.port)]
        self.kill_server = self.stack.enter_context(self.faults.server(command, "/api/health", self.port))

    def serve(self) -> None:
        """Start the runner, as systemd would do it, and wait until it is there."""
        if self.runner is not None:
            self.runner.wait(60)
        name, _, value = self.mark.partition("=")
        environment = self.faults.environment(
            **self.faults.home, FAULTS_TRAININGS=str(self.trainings), FAULTS_WITNESS=str(self.witness),
            PREFECT_API_URL=f"http://127.0.0.1:{self.port}/api", PREFECT_RUNNER_POLL_FREQUENCY="2",
        )  # fmt: skip
        before = self.said.count("polling for scheduled runs")
        with self.log.open("ab") as log:
            self.runner = subprocess.Popen(
                [sys.executable, "-m", "analognas", "serve", "--interval-hours", "1000"],
                cwd=self.paths.root, env=environment | {name: value}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self.until(lambda: self.said.count("polling for scheduled runs") > before, "the runner")

    @property
    def said(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def processes(self) -> dict[int, str]:
        """The living processes that the runner started, itself included: ``serve``, ``run``, or what else it is."""
        living = {}
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, IndexError):
                state = (path / "stat").read_text().rpartition(")")[2].split()[0]
                if state not in ("Z", "X") and self.mark.encode() in (path / "environ").read_bytes().split(b"\0"):
                    command = (path / "cmdline").read_text().replace("\0", " ")
                    kinds = {" serve ": "serve", "prefect.engine": "run"}
                    living[int(path.name)] = next((kind for word, kind in kinds.items() if word in command), "other")
        return living

    def kill(self, *kinds: str) -> None:
        """End processes of these kinds with SIGKILL; without kinds all of them."""
        for process, kind in self.processes().items():
            if not kinds or kind in kinds:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
        if self.runner is not None and (not kinds or "serve" in kinds):
            self.runner.kill()
            self.runner.wait(30)

    def ask(self, path: str, data: Any = None) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/{path}",
            data=None if data is None else json.dumps(data).encode(),
            headers={"Content-Type": "application/json"},
        )
        deadline = time.monotonic() + 600
        while True:
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return json.loads(answer.read())
            except (urllib.error.HTTPError, OSError):  # its database may be away
                assert time.monotonic() < deadline
                time.sleep(1)

    def due(self) -> str:
        """Let a retraining be due now, and return which it is."""
        deployment = self.ask(f"deployments/name/retrain/{self.name}")["id"]
        given = {"parameters": {"workspace": str(self.paths.root), "force": True}, "state": {"type": "SCHEDULED"}}
        return str(self.ask(f"deployments/{deployment}/create_flow_run", given)["id"])

    def state(self, run: str) -> tuple[str, str]:
        """Return type and name of the state of a run."""
        state = self.ask(f"flow_runs/{run}")["state"]
        return state["type"], state["name"]

    def completed(self) -> set[str]:
        """Return the runs that came to their end and were not left out."""
        runs = self.ask("flow_runs/filter", {"limit": 200})
        return {run["id"] for run in runs if (run["state_type"], run["state_name"]) == ("COMPLETED", "Completed")}

    def until(self, done: Callable[[], Any], what: str, seconds: float = 1200) -> None:
        deadline = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < deadline, (what, self.said[-4000:])
            time.sleep(0.3)

    def idle(self) -> bool:
        """Whether nobody retrains."""
        return "run" not in self.processes().values()

    def rounds(self) -> dict[str, str]:
        """Return the decisions of all rounds."""
        files = sorted(self.paths.rounds.glob("[0-9]*.json"))
        return {path.stem: json.loads(path.read_text())["decision"] for path in files if path.stem != "000"}

    def stored(self) -> set[str]:
        return {json.loads(path.read_text())["result"]["id"] for path in (self.paths.data / "results").glob("*/*.json")}

    def begun(self) -> list[tuple[float, str]]:
        """Return when each characterization began, and of what."""
        if not self.trainings.exists():
            return []
        return [(at, name) for at, _, name in map(json.loads, self.trainings.read_text().splitlines())]


@pytest.fixture
def served(faults: Any, finished: Paths, tmp_path: Path) -> Iterator[Served]:
    paths = Paths(Path(shutil.copytree(finished.root, tmp_path / "workspace")))
    override(paths.params, _QUICK)
    flow = paths.root / "flows" / "retrain.py"
    text, times = re.subn(r"(with retraining\.session\(.*\) as going):", r"\1, witness():", flow.read_text())
    assert times == 1
    flow.write_text(text.replace("from prefect import flow, task\n", f"from prefect import flow, task\n{_WITNESS}"))
    versioning = Versioning.init(paths.root)
    assert versioning is not None
    versioning.commit(*STAGES)
    made = Served(faults, paths, tmp_path)
    try:
        made.start_server()
        made.serve()
        yield made
    finally:
        made.kill()
        made.stack.close()


def test_the_next_retraining_runs_whatever_ended_and_whenever(served: Served):
    draw = random.Random(f"{served.faults.seed} schedule")
    kept: dict[str, float] = {}
    story = f"FAULTS_SEED={served.faults.seed}"
    for number in range(ENDS):
        what = WHAT[number % len(WHAT)] if number < len(WHAT) else draw.choice(WHAT)
        pending = draw.random() < 0.3
        after = draw.uniform(0, 45)
        began = time.monotonic()
        before, rounds = served.completed(), len(served.rounds())
        run = served.due()
        if pending:
            served.until(lambda run=run: served.state(run)[0] != "SCHEDULED", "pending")
        else:
            served.until(lambda run=run: served.state(run)[0] not in ("SCHEDULED", "PENDING"), "running")
            time.sleep(after)
        story += f"; {number + 1}: {what}, {served.state(run)[1]}" + ("" if pending else f" after {after:.1f} s")
        _end(served, what, draw)
        again = {name for at, name in served.begun() if at > kept.get(name, float("inf"))}
        assert not again, (story, again)
        kept |= dict.fromkeys(served.stored() - kept.keys(), time.monotonic())

        following = served.due()
        served.until(lambda run=following: served.state(run)[0] not in {*_BEGUN, "SCHEDULED"}, f"{story}: the next one")
        assert served.state(following)[0] == "COMPLETED", (story, served.state(following), served.said[-4000:])
        served.until(served.idle, f"{story}: the end of others")
        assert served.completed() - before, (story, served.said[-4000:])
        assert len(served.rounds()) > rounds, (story, served.rounds())
        assert "pending" not in served.rounds().values(), (story, served.rounds())
        assert not characterize.pending(Params.load(served.paths.params), served.paths), story
        assert not Path(f"{served.witness}.txt").exists(), (story, "two at once")
        sys.stdout.write(f"{story}: {time.monotonic() - began:.0f} s, {served.rounds()}\n")
        sys.stdout.flush()
        story = f"FAULTS_SEED={served.faults.seed}, after {number + 1}"
    again = {name for at, name in served.begun() if at > kept.get(name, float("inf"))}
    assert not again


def _end(served: Served, what: str, draw: random.Random) -> None:
    """End something, and start it again."""
    if what == "runner":
        served.kill("serve")
        served.serve()
    elif what == "run":
        served.kill("run")
    elif what == "all":
        served.kill()
        served.serve()
    elif what == "server":
        served.kill_server()
        time.sleep(draw.uniform(0, 10))
        served.start_server()
    else:  # somebody else writes in the database, for longer than the server waits for that
        database = sqlite3.connect(
            Path(served.faults.home["PREFECT_HOME"]) / "prefect.db", timeout=60, isolation_level=None
        )
        with contextlib.closing(database):
            database.execute("BEGIN EXCLUSIVE")
            time.sleep(draw.uniform(20, 90))
            database.execute("ROLLBACK")
