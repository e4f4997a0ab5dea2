from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from benchmarks import pipeline


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pipeline.Place:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    return pipeline.Place(tmp_path)


def test_nothing_of_the_users_is_used(place: pipeline.Place):
    assert not {"PREFECT_API_URL", "MLFLOW_TRACKING_URI", "ANALOGNAS_RESULTS"} & set(place.environment)
    assert Path(place.environment["PREFECT_HOME"]).parent == place.folder


def test_what_fails_is_not_timed(place: pipeline.Place):
    assert place.seconds("-c", "pass") > 0
    with pytest.raises(SystemExit, match="no such thing"):
        place.seconds("-c", "raise SystemExit('no such thing')")


def test_the_share_is_of_what_is_beyond_the_stages_and_an_empty_flow(place: pipeline.Place, monkeypatch: Any):
    monkeypatch.setattr(place, "workspace", lambda name, *given: place.folder / name)
    monkeypatch.setattr(place, "seconds", lambda *command: 30.0 if command[1] == pipeline._EMPTY else 500.0)
    monkeypatch.setattr(place, "run", lambda workspace: 545.0)
    found = pipeline.overhead(place, [], rounds=3)
    assert found["seconds"] == {"orchestrated": 545.0, "bare": 500.0, "empty_flow": 30.0}
    assert (found["beyond_seconds"], found["share_of_ten_minutes"], found["share_of_this_run"]) == (15, 0.025, 0.03)


def test_the_order_of_one_and_two_processes_alternates(place: pipeline.Place, monkeypatch: Any):
    made: list[str] = []
    monkeypatch.setattr(place, "workspace", lambda name, *given: made.append(name) or name)
    monkeypatch.setattr(place, "seconds", lambda *command: 10.0 if command[2].endswith("1") else 5.0)
    assert pipeline.scaling(place, [], rounds=2)["speed_up"] == 2
    assert made == ["scaling-0-1", "scaling-0-2", "scaling-1-2", "scaling-1-1"]


@pytest.mark.slow
def test_a_store_of_made_up_results_is_assembled(place: pipeline.Place):
    found = pipeline.store(place, 20)
    assert found["results"] == 20
    assert (place.folder / "store" / "data" / "surrogate.parquet").exists()
    assert len(list((place.folder / "store" / "data" / "results").glob("*/*.json"))) == 20


class Api(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def api() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Api) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_api_is_asked_and_what_it_does_not_answer_is_counted(api: str):
    for url, failed in ((api, False), ("http://127.0.0.1:9", True)):
        with pipeline._Asked(url) as asked:
            while len(asked._taken) < 3:
                pass
        found = asked.summary()
        assert (found["failed"] > 0) == failed
        assert 0 < found["median_ms"] <= found["p95_ms"] <= found["max_ms"]
