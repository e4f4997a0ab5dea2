"""The commands of deploy/compose.yaml, with their settings and checks of health, on this machine and at free ports.

No Docker is needed, and none is tried: what is started is what the containers would run. PostgreSQL is as installed.
"""

from __future__ import annotations

import base64
import re
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from analognas.orchestration.deployments import Place
from analognas.setup.template import source
from analognas.workspace import Paths
from team.clocks import until
from team.servers import PASSWORD, Database, Server, surroundings

COMPOSE: dict[str, Any] = YAML(typ="safe").load(source() / "deploy" / "compose.yaml")
#: Where the servers listen within the containers, and what says that they are there.
LISTENING = {"mlflow": ("5000", "/health"), "prefect": ("4200", "/api/health")}
SECRETS = {
    "MLFLOW_ADMIN_PASSWORD": "of-an-administrator", "MLFLOW_SECRET_KEY": "of-a-form", "PREFECT_PASSWORD": "of-a-team",
    "RETRAIN_PASSWORD": "of-a-retraining", "NOTIFY": "",
}  # fmt: skip

pytestmark = [pytest.mark.team, pytest.mark.timeout(1800)]


class Containers:
    """The services of the file as processes."""

    def __init__(self, folder: Path) -> None:
        self.root, self._secrets = folder / "root", SECRETS | {"DATABASE_PASSWORD": PASSWORD}
        own = surroundings(folder)
        self.database = Database(folder, own)
        self._environments: dict[str, dict[str, str]] = {name: {} for name in (*LISTENING, "retrain")}
        self.servers = {
            name: Server(folder, name, _command(name), health, self._environments[name])
            for name, (_, health) in LISTENING.items()
        }
        for name, environment in self._environments.items():
            wanted = COMPOSE["services"][name]["environment"]
            environment |= own | {key: self.natively(value) for key, value in wanted.items()}
            self.folder(name).mkdir(parents=True)
        file = self.root / "etc" / "analognas" / "mlflow-auth.ini"
        file.parent.mkdir(parents=True)
        file.write_text(self.natively(COMPOSE["configs"]["mlflow-auth"]["content"]))

    def natively(self, text: str) -> str:
        """Return what stands in the file as it is on this machine."""
        text = re.sub(r"(?<!\$)\$\{([A-Z_]+)(?::[^}]*)?\}", lambda found: self._secrets[found[1]], text)
        text = text.replace("$$", "$").replace("postgresql:5432", f"127.0.0.1:{self.database.port}")
        for name, (port, _) in LISTENING.items():
            text = re.sub(rf"\b({name}|127\.0\.0\.1|localhost):{port}\b", f"127.0.0.1:{self.servers[name].port}", text)
        return re.sub(r"(?<![\w.])/(var|etc|srv)/", rf"{self.root}/\1/", text)

    def folder(self, name: str) -> Path:
        """Return where a service runs."""
        return Path(self.natively(COMPOSE["services"][name]["working_dir"]))

    def environment(self, name: str) -> dict[str, str]:
        """Return the settings of a service."""
        return self._environments[name]

    def healthy(self, name: str) -> bool:
        """Do the check of health of a service."""
        kind, *test = COMPOSE["services"][name]["healthcheck"]["test"]
        command = ["/bin/sh", "-c", test[0]] if kind == "CMD-SHELL" else test
        command = [self.natively(sys.executable if word == "python" else word) for word in command]
        done = subprocess.run(
            command, cwd=self.folder(name), env=self._environments[name], check=False, capture_output=True
        )
        return done.returncode == 0

    def close(self) -> None:
        for server in self.servers.values():
            server.kill()
        self.database.close()


def _command(name: str) -> list[str]:
    words = COMPOSE["services"][name]["command"]
    for option in ("--host", "--port"):  # those of this machine are given instead
        place = words.index(option)
        words = [*words[:place], *words[place + 2 :]]
    return ["-m", *words]


@pytest.fixture(scope="module")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    if not (shutil.which("initdb") or list(Path("/usr/lib/postgresql").glob("*/bin/initdb"))):
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    made = Containers(tmp_path_factory.mktemp("compose"))
    try:
        made.database.start()
        yield made
    finally:
        made.close()


def asks(url: str, account: str | None = None) -> int:
    """Return with which status an address answers."""
    request = urllib.request.Request(url)
    if account is not None:
        request.add_header("Authorization", f"Basic {base64.b64encode(account.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_mlflow_asks_for_a_password(containers: Containers):
    missing = [name for name in ("psycopg2", "flask_wtf") if find_spec(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)}: pip install --no-deps -r deploy/requirements-server.txt")
    assert not containers.healthy("mlflow")
    mlflow = containers.servers["mlflow"]
    mlflow.start()
    assert containers.healthy("mlflow")
    experiments = f"{mlflow.url}/api/2.0/mlflow/experiments/search?max_results=5"
    assert asks(experiments) == 401
    assert asks(experiments, "admin:password1234") == 401  # MLflow's own, in its documentation
    assert asks(experiments, f"admin:{SECRETS['MLFLOW_ADMIN_PASSWORD']}") == 200
    # What docs/team.md types into the container.
    account = (
        "import os; from mlflow.server import get_app_client; "
        f"get_app_client('basic-auth', tracking_uri='{mlflow.url}')"
        f".create_user(username='retrain', password='{SECRETS['RETRAIN_PASSWORD']}')"
    )
    administrator = {
        "MLFLOW_TRACKING_USERNAME": "admin", "MLFLOW_TRACKING_PASSWORD": SECRETS["MLFLOW_ADMIN_PASSWORD"]
    }  # fmt: skip
    subprocess.run([sys.executable, "-c", account], env=containers.environment("mlflow") | administrator, check=True)
    assert asks(experiments, f"retrain:{SECRETS['RETRAIN_PASSWORD']}") == 200
    mlflow.kill()
    assert not containers.healthy("mlflow")


def test_the_schedule_is_on_prefects_server_which_asks_for_a_password(containers: Containers):
    prefect, environment = containers.servers["prefect"], containers.environment("retrain")
    prefect.start()
    assert containers.healthy("prefect")
    version = f"{prefect.url}/api/admin/version"
    assert (asks(version), asks(version, "team:wrong")) == (401, 401)
    assert asks(version, f"team:{SECRETS['PREFECT_PASSWORD']}") == 200
    assert list((containers.root / "var/lib/analognas-prefect/ui").rglob("index.html"))
    pages = urllib.request.urlopen(f"{prefect.url}/ui-settings", timeout=60).read().decode()
    assert f"{prefect.url}/api" in pages  # what the interface calls

    folder, log = containers.folder("retrain"), containers.root / "serve.txt"
    program = [sys.executable, "-m", "analognas"]
    subprocess.run([*program, "init", str(folder)], env=environment, check=True, stdout=subprocess.DEVNULL)
    assert not containers.healthy("retrain")
    service = COMPOSE["services"]["retrain"]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*program, *service["command"][1:]], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
            stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    try:
        until(lambda: "polling for scheduled runs" in log.read_text() or process.poll() is not None, "it")
        until(lambda: containers.healthy("retrain"), log.read_text())
        name = f"{prefect.url}/api/deployments/name/retrain/{Place.of(Paths(folder)).name}"
        assert asks(name, f"team:{SECRETS['PREFECT_PASSWORD']}") == 200
        process.send_signal(signal.Signals[service["stop_signal"]])
        process.wait(float(service["stop_grace_period"].removesuffix("s")))
    finally:
        process.kill()
        process.wait()
