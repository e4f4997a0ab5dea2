from __future__ import annotations

import ast
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from analognas.tracking import connection, failures
from analognas.tracking.failures import AwayError, Place, explain, reach, reach_store


@pytest.fixture
def answering() -> Iterator[Callable[[int, str], str]]:
    """Return a function that starts a server which gives everybody the same answer, but is well by its own account."""
    with contextlib.ExitStack() as stack:

        def start(status: int, text: str) -> str:
            class Handler(BaseHTTPRequestHandler):
                def do_GET(self) -> None:
                    well = self.path.endswith("/health")
                    content = b"OK" if well else text.encode()
                    self.send_response(200 if well else status)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)

                def do_POST(self) -> None:
                    self.do_GET()

                def log_message(self, *_: Any) -> None:
                    pass

            server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_port}"

        yield start


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of what takes connections and never says anything."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"127.0.0.1:{server.getsockname()[1]}"


def raised(uri: str) -> Exception:
    """Return what MLflow raises when it is asked for a model there."""
    connection.configure()
    from mlflow import MlflowClient

    try:
        MlflowClient(tracking_uri=uri, registry_uri=uri).get_registered_model("x")
    except Exception as error:
        return error
    raise AssertionError


@pytest.mark.parametrize("scheme", ["http", "postgresql+psycopg2"])
def test_a_server_that_is_not_there_is_noticed_at_once(scheme: str):
    with pytest.raises(AwayError, match=r"^refuses connections$"):
        reach(f"{scheme}://127.0.0.1:9/db")


def test_a_server_that_hangs_is_waited_for_some_seconds(silent: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(failures, "PATIENCE", 0.2)
    start = time.monotonic()
    with pytest.raises(AwayError, match=r"^does not answer$"):
        reach(f"http://{silent}")
    assert time.monotonic() - start < 3  # by itself MLflow waits for 8 times 120 s


def test_a_host_that_nobody_knows_is_said():
    with pytest.raises(AwayError, match=r"^has a host name that nobody knows$"):
        reach("http://nowhere.invalid:5000")


@pytest.mark.parametrize("uri", ["sqlite:////tmp/nothing.db", "file:///tmp", "gopher://x", "", "databricks"])
def test_where_there_is_no_server_nobody_is_asked(uri: str, monkeypatch: pytest.MonkeyPatch):
    asked: list[Any] = []
    monkeypatch.setattr(socket, "create_connection", lambda *place, **_: asked.append(place))
    reach(uri)
    assert asked == []


@pytest.mark.parametrize("variable", ["MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])
def test_a_store_that_mlflow_itself_writes_to_is_asked_first(variable: str, monkeypatch: pytest.MonkeyPatch):
    for name in ("MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    reach_store("s3://team/artifacts")  # Amazon's, perhaps by a proxy
    monkeypatch.setenv(variable, "http://name:secret@127.0.0.1:9")
    reach_store("mlflow-artifacts:/1")  # the server's own business
    reach_store("file:///srv/artifacts")
    with pytest.raises(AwayError) as caught:
        reach_store("s3://team/artifacts")
    failure = explain(caught.value, "http://127.0.0.1:5000")
    assert failure.what.startswith("MLflow at http://127.0.0.1:5000 keeps files in s3://team/artifacts, and http://")
    assert failure.what.endswith("@127.0.0.1:9 refuses connections")
    assert "secret" not in failure.what
    assert not failure.lasting


@pytest.mark.parametrize(
    ("status", "text", "what", "remedy", "lasting"),
    [
        (401, "You are not authenticated.", "takes no one without a valid name", "MLFLOW_TRACKING_USERNAME", True),
        (404, "<html>not here</html>", "is no MLflow server (status 404)", "mend the address", True),
        (500, "Traceback (most recent call last): File x.py", "fails at what it is asked (status 500)", "log", False),
        (503, "busy", "fails at what it is asked (status 503)", "look into its log", False),
        (400, '{"error_code": "INVALID_PARAMETER_VALUE", "message": "The name is bad"}', "refuses what it is asked: it "
         'says "INVALID_PARAMETER_VALUE: The name is bad"', "look into its log", True),
    ],
)  # fmt: skip
def test_what_a_server_answers_is_said_in_our_words(answering, status, text, what, remedy, lasting):
    uri = answering(status, text)
    reach(uri)
    failure = explain(raised(uri), uri)
    assert what in failure.what
    assert remedy in failure.remedy
    assert failure.lasting is lasting
    assert not {"API request", "Traceback", "<html>", "MlflowException"} & set(failure.what.split("'"))


def test_a_fault_of_ours_is_not_blamed_on_the_database():
    failure = explain(KeyError("card.md"), "sqlite:////tmp/mlflow.db")
    assert failure.what.startswith(
        "analognas itself failed when it wrote to MLflow at sqlite:////tmp/mlflow.db (KeyError"
    )
    assert "database" not in failure.what + failure.remedy
    assert failure.lasting


def test_what_a_person_may_not_do_is_said_with_the_call_that_grants_it(answering, monkeypatch: pytest.MonkeyPatch):
    uri = answering(403, "Permission denied")
    error = raised(uri)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "anna")
    failure = explain(error, uri, Place("experiment", "team", "7"))
    assert failure.what == f"MLflow at {uri} does not let 'anna' write the experiment 'team'"
    assert failure.remedy == (
        f'whoever manages the experiment grants that by `mlflow.server.get_app_client("basic-auth", "{uri}")'
        '.grant_user_permission("anna", "experiment", "7", "EDIT")`, or set ANALOGNAS_RUN_EXPERIMENT to a name of your '
        "own"
    )
    assert failure.lasting
    assert "the model 'm'" in explain(error, uri, Place("registered_model", "m", "m")).what


def test_the_call_that_grants_is_one_of_the_version_at_hand():
    import mlflow  # its server's modules warn when they are imported

    source = ast.parse((Path(mlflow.__file__).parent / "server" / "auth" / "client.py").read_text())
    methods = {node.name: node for node in ast.walk(source) if isinstance(node, ast.FunctionDef)}
    names = [argument.arg for argument in methods["grant_user_permission"].args.args]
    assert names == ["self", "username", "resource_type", "resource_id", "permission"]


@pytest.mark.parametrize(
    ("error", "uri", "what"),
    [
        (ValueError("unsupported URI"), "gopher://x", "MLFLOW_TRACKING_URI is 'gopher://x', which MLflow knows no way"),
        (ValueError("Invalid IPv6"), "http://[::1", "MLFLOW_TRACKING_URI is 'http://[::1', where MLflow keeps no runs"),
        (RuntimeError("maintenance mode"), "no address", "MLFLOW_TRACKING_URI is 'no address', where MLflow keeps no"),
        (RuntimeError("(sqlite3.OperationalError) database is locked"), "sqlite:///x", "written by somebody else"),
        (RuntimeError("attempt to write a readonly database"), "sqlite:///x", "cannot be opened or written"),
        (RuntimeError("Detected out-of-date database schema (found version x)"), "sqlite:///x", "another version of"),
        (
            RuntimeError("(sqlite3.OperationalError) no such\n[SQL: SELECT]"),
            "sqlite:///x",
            'the database says "no such"',
        ),
        (OSError(28, "No space left on device", "/data/x"), "sqlite:///x", "/data/x: no space left on device"),
    ],
)
def test_what_a_database_or_the_disk_says(error: Exception, uri: str, what: str):
    assert what in explain(error, uri).what
    assert "\n" not in explain(error, uri).what


def test_a_server_that_ends_in_the_middle_costs_seconds(silent: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for name in connection._SETTINGS:
        monkeypatch.setenv(name, "")  # so that it is as before afterwards
        monkeypatch.delenv(name)
    connection.configure()
    import os

    tries = 1 + int(os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"])
    waits = tries * int(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]) + failures.PATIENCE
    assert waits < 15  # the request that hangs, then the look whether the server is still there
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    start = time.monotonic()
    failure = explain(raised(f"http://{silent}"), f"http://{silent}")
    assert time.monotonic() - start < 20
    assert failure.what == f"MLflow at http://{silent} does not answer"
    assert not failure.lasting
