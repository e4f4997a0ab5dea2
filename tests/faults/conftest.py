"""What the fault tests share: an undisturbed workspace to compare with, and a driver that kills what it started.

``python -m pytest -m faults tests/faults`` (``make test-faults``) runs the whole suite. FAULTS_SEED chooses the
moments; every failure names it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from analognas.files import file_digest
from analognas.results import ResultStore
from analognas.setup.template import source
from analognas.stages import STAGES
from analognas.versioning import Versioning
from analognas.workspace import Paths

SEED = int(os.environ.get("FAULTS_SEED", "0"))
HERE = Path(__file__).parent
DVC = YAML(typ="safe").load((source() / "dvc.yaml").read_text())["stages"]


@dataclass(frozen=True)
class Attempt:
    """What became of a command that the driver ran; see ``driver.attempt``."""

    code: int
    seconds: float
    writes: int | None
    killed: float | None
    left: list[str]
    said: str


class Run:
    """``analognas run`` in a process of its own."""

    def __init__(self, paths: Paths, environment: dict[str, str], arguments: tuple[str, ...]) -> None:
        self._mark = f"FAULTS_RUN={uuid.uuid4().hex}"
        name, _, value = self._mark.partition("=")
        self._log = paths.root.parent / f"{value}.txt"
        self.start = time.monotonic()
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "analognas", "run", *arguments],
                cwd=paths.root, env=environment | {name: value},
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, start_new_session=True,
            )  # fmt: skip

    @property
    def said(self) -> str:
        return self._log.read_text()

    def until(self, stage: str, seconds: float = 900) -> None:
        """Wait until the stage before ``stage`` is done, or the run."""
        if stage == STAGES[0]:
            return
        # Lines with a percentage tell how far a stage is, the one without that it is done.
        done = re.compile(rf"^{STAGES[STAGES.index(stage) - 1]}: (?!.*\(\d+ %)", re.MULTILINE)
        while not done.search(self.said) and self.process.poll() is None:
            assert time.monotonic() - self.start < seconds, self.said
            time.sleep(0.05)

    def finish(self, seconds: float = 1500) -> tuple[int, str]:
        """Wait for its end and return its exit code and what it said."""
        try:
            return self.process.wait(seconds), self.said
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()

    def kill(self) -> float | None:
        """End it with SIGKILL and return when, on the monotonic clock; None if it had ended."""
        if self.process.poll() is not None:
            return None
        self.process.kill()
        self.process.wait()
        return time.monotonic()

    def left(self, seconds: float = 15) -> list[str]:
        """Return which of the processes that it started are still there; they have some time to end."""
        deadline = time.monotonic() + seconds
        while (there := self._descendants()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return there

    def _descendants(self) -> list[str]:
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError, IndexError):
                alive = (path / "stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
                if alive and self._mark.encode() in (path / "environ").read_bytes().split(b"\0"):
                    found.append((path / "cmdline").read_text().replace("\0", " "))
        return found


@dataclass
class Faults:
    """Runs commands that are killed, and compares what is left with an undisturbed workspace."""

    reference: Paths
    folder: Path
    _driver: subprocess.Popen[str] | None = None
    _undisturbed: dict[str, Attempt] = field(default_factory=dict)
    _prefect: str | None = None
    _servers: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    seed: int = SEED

    @property
    def home(self) -> dict[str, str]:
        """What keeps the files of Prefect and of DVC's state apart from a developer's."""
        return {"PREFECT_HOME": str(self.folder / "prefect"), "DVC_SITE_CACHE_DIR": str(self.folder / "dvc")}

    @staticmethod
    def environment(**more: str) -> dict[str, str]:
        """Return the environment of a command that may be injected with faults."""
        path = os.pathsep.join(
            filter(None, [str(HERE / "injected"), str(HERE.parent / "injected"), os.environ.get("PYTHONPATH")])
        )
        return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path} | more

    def attempt(self, paths: Paths, *arguments: str, **options: Any) -> Attempt:
        """Run a command in a workspace, and kill it if ``options`` say so."""
        if self._driver is None:
            self._driver = subprocess.Popen(
                [sys.executable, str(HERE / "driver.py")],
                env=self.environment(), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
            assert self._driver.stdout is not None
            assert self._driver.stdout.readline() == "ready\n"
        log = self.folder / "said.txt"
        request = {"folder": str(paths.root), "arguments": arguments, "log": str(log), "environment": {}} | options
        assert self._driver.stdin is not None
        assert self._driver.stdout is not None
        self._driver.stdin.write(json.dumps(request) + "\n")
        self._driver.stdin.flush()
        return Attempt(**json.loads(self._driver.stdout.readline()), said=log.read_text())

    def close(self) -> None:
        """End the driver and the servers."""
        self._servers.close()
        if self._driver is not None:
            assert self._driver.stdin is not None
            assert self._driver.stdout is not None
            self._driver.stdin.close()
            self._driver.wait(30)
            self._driver.stdout.close()

    def before(self, stage: str, folder: Path, stored: int = 0) -> Paths:
        """Return a copy of the workspace in which the stages before ``stage`` have run.

        Args:
            stage: the first stage that has not run.
            folder: where the copy goes.
            stored: results that are there before they have been characterized.
        """
        paths = Paths(Path(shutil.copytree(self.reference.root, folder)))
        for name in STAGES[STAGES.index(stage) :]:
            for out in self.outputs(paths, name):
                shutil.rmtree(out) if out.is_dir() else out.unlink()
        if stage in STAGES[:2]:
            store = ResultStore.of(paths.root)
            for key in list(store.keys())[stored:]:
                store.path(key).unlink()
            for shelf in store.root.iterdir():
                with contextlib.suppress(OSError):  # it is not empty
                    shelf.rmdir()
        return paths

    @staticmethod
    def outputs(paths: Paths, stage: str) -> list[Path]:
        """Return what ``dvc.yaml`` says that a stage writes."""
        metrics = [path for entry in DVC[stage]["metrics"] for path in entry]
        return [paths.root / name for name in (*DVC[stage]["outs"], *metrics)]

    def undisturbed(self, stage: str) -> Attempt:
        """Return how long a stage takes and how often it writes if nothing happens; its bytes are compared too."""
        if stage not in self._undisturbed:
            paths = self.before(stage, self.folder / f"undisturbed-{stage}")
            done = self.attempt(paths, "stage", stage)
            assert done.code == 0, done.said
            self.same(paths, stage)
            shutil.rmtree(paths.root)
            self._undisturbed[stage] = done
        return self._undisturbed[stage]

    def same(self, paths: Paths, *stages: str) -> None:
        """Hold what stages wrote, and the stored results, against the undisturbed workspace: byte for byte."""
        for stage in stages:
            for out in self.outputs(paths, stage):
                assert out.exists(), out
        self.whole(paths)
        if STAGES[0] not in stages or len(stages) > 1:
            keys = list(ResultStore.of(paths.root).keys())
            assert keys == list(ResultStore.of(self.reference.root).keys())
        for folder in (paths.root, paths.data, paths.data / "metrics", paths.data / "plots"):
            assert not list(folder.glob(".tmp-*")), folder

    def whole(self, paths: Paths) -> None:
        """See that every output and every result that is there is the undisturbed one: nothing is half-written."""
        here = [out for stage in STAGES for out in self.outputs(paths, stage) if out.exists()]
        here += [ResultStore.of(paths.root).path(key) for key in ResultStore.of(paths.root).keys()]  # noqa: SIM118
        for path in here:
            expected = self.reference.root / path.relative_to(paths.root)
            assert file_digest(path) == file_digest(expected), path

    def run(self, paths: Paths, *arguments: str, ephemeral: bool = False, **environment: str) -> Run:
        """Start ``analognas run`` in a workspace that is in git and DVC.

        Args:
            paths: the workspace.
            arguments: of the command.
            ephemeral: let it start a Prefect server of its own, instead of one for all tests.
            environment: what is added to its environment.
        """
        if not ephemeral and "PREFECT_API_URL" not in environment:
            if self._prefect is None:
                self._prefect = self._servers.enter_context(self.prefect())[0]
            environment["PREFECT_API_URL"] = self._prefect
        return Run(paths, self.environment(**self.home | environment), arguments)

    @contextlib.contextmanager
    def prefect(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """Start a Prefect server; gives the address of its API and what ends it with SIGKILL."""
        port = self.free_port()
        command = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
        with self.server(command, "/api/health", port) as kill:
            yield f"http://127.0.0.1:{port}/api", kill

    @contextlib.contextmanager
    def server(self, command: list[str], health: str, port: int) -> Iterator[Callable[[], None]]:
        """Start a server that listens on ``port``; gives what ends it with SIGKILL."""
        lean = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        process = subprocess.Popen(
            [sys.executable, "-m", *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=os.environ | self.home | lean, start_new_session=True,
        )  # fmt: skip

        def kill() -> None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

        try:
            deadline = time.monotonic() + 600  # on a machine that does other things, too
            while not answers(f"http://127.0.0.1:{port}{health}"):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.3)
            yield kill
        finally:
            kill()

    @staticmethod
    def free_port() -> int:
        """Return a port on which nobody listens."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            return int(free.getsockname()[1])

    def complete(self, paths: Paths, database: Path | None = None) -> None:
        """See that all is as after an undisturbed run: bytes, DVC, and every stage in MLflow once."""
        self.same(paths, *STAGES)
        versioning = Versioning(paths.root)
        assert versioning.status(STAGES) == {stage: [] for stage in STAGES}
        hashes = {stage: versioning.stage_hash(stage) for stage in STAGES}
        assert logged(database or paths.root / "mlflow.db") == sorted(hashes.items())


def answers(url: str) -> bool:
    """Return whether somebody answers well at an address."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def logged(database: Path) -> list[tuple[str, str]]:
    """Return stage and hash of every stage's run that MLflow has as finished."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(
            "select s.value, h.value from runs r join tags s on s.run_uuid = r.run_uuid and s.key = 'analognas.stage' "
            "join tags h on h.run_uuid = r.run_uuid and h.key = 'analognas.stage_hash' where r.status = 'FINISHED'"
        )
        return sorted(rows.fetchall())


@pytest.fixture(scope="session")
def faults(finished: Paths, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faults]:
    """Return what kills and compares."""
    made = Faults(finished, tmp_path_factory.mktemp("faults"))
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def versioned(faults: Faults, tmp_path: Path) -> Paths:
    """Return a workspace in git and DVC in which nothing has run."""
    paths = faults.before(STAGES[0], tmp_path / "workspace")
    assert Versioning.init(paths.root) is not None
    return paths
