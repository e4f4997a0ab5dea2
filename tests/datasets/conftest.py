"""Fixtures of the dataset tests."""

import contextlib
import http.server
import os
import threading
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch):
    """Keep the tests away from the user's cache."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("ANALOGNAS_DATA", str(folder))
    return folder


@pytest.fixture(scope="session")
def real_data():
    """Return a function that gives a file of the folder ANALOGNAS_TEST_DATA; the test is skipped without it."""

    def find(name):
        folder = os.environ.get("ANALOGNAS_TEST_DATA")
        if not folder or not (Path(folder) / name).is_file():
            pytest.skip(f"ANALOGNAS_TEST_DATA names no folder with {name}")
        return Path(folder) / name

    return find


@pytest.fixture
def serve():
    """Return a context that serves a folder on this machine: plainly, or in ranges and breaking off when told.

    ``requests`` collects path and range of what came in; ``break_after`` bytes the next answer breaks off.
    """

    class Handler(http.server.SimpleHTTPRequestHandler):
        folder = ""
        requests: list = []  # noqa: RUF012
        break_after: list = []  # noqa: RUF012
        ranges = True

        def __init__(self, *args):
            super().__init__(*args, directory=self.folder)

        def log_message(self, *args):
            pass

        def do_GET(self):
            self.requests.append((self.path, self.headers.get("Range")))
            file = Path(self.translate_path(self.path))
            if not file.is_file():
                self.send_error(404)
                return
            content = file.read_bytes()
            start = 0
            if self.ranges and self.headers.get("Range"):
                start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
                if start >= len(content):
                    self.send_error(416)
                    return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            until = start + self.break_after.pop(0) if self.break_after else len(content)
            self.wfile.write(content[start:until])

    @contextlib.contextmanager
    def run(folder, break_after=(), ranges=True):
        folder.mkdir(parents=True, exist_ok=True)
        own = type(
            "Own", (Handler,),
            {"folder": str(folder), "requests": [], "break_after": list(break_after), "ranges": ranges},
        )  # fmt: skip
        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), own) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            run.requests = own.requests
            try:
                yield f"http://127.0.0.1:{server.server_port}"
            finally:
                server.shutdown()
                thread.join()

    return run
