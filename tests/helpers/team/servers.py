"""Real servers on loopback that can be killed and started again, and somebody's webhook."""

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
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from team.clocks import until

HERE = Path(__file__).parent
#: PostgreSQL's only user.
PASSWORD = "fifteen-letters"


def surroundings(folder: Path) -> dict[str, str]:
    """Return this process's environment without what is a developer's own, and with what the tools keep in a folder."""
    foreign = ("ANALOGNAS_", "PREFECT_", "MLFLOW_", "TEAM_", "GIT_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)} | {
        "OMP_NUM_THREADS": "1", "PREFECT_HOME": str(folder / "prefect"), "DVC_SITE_CACHE_DIR": str(folder / "dvc"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }  # fmt: skip


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
