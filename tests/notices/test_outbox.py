"""Notices to a real receiver on loopback, which is away, fails, hangs, and comes back."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from analognas import notices
from analognas.errors import ParamsError
from analognas.notices import outbox
from analognas.params import Params
from analognas.params.personal import FILE
from analognas.workspace import Paths


class Receiver:
    """A webhook; ``answer`` is its status, None: it takes the request and never answers."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.answer: int | None = 200
        self.asked = 0
        self.let_go = threading.Event()
        self.server: ThreadingHTTPServer | None = None
        self.port = 0

    def start(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = receiver.answer
                receiver.asked += 1
                if answer is None:
                    receiver.let_go.wait(30)
                    return
                if answer == 200:
                    receiver.taken.append(body)
                    receiver.keys.append(self.headers["Idempotency-Key"])
                self.send_response(answer)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self.let_go.set()
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    @property
    def address(self) -> str:
        return f"http://user:hunter2@127.0.0.1:{self.port}/hook?token=abc"

    @property
    def events(self) -> list[str]:
        return [notice["event"] for notice in self.taken]


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    made = Receiver()
    made.start()
    monkeypatch.setenv("ANALOGNAS_NOTIFY", made.address)
    monkeypatch.setattr(outbox, "PATIENCE", 10.0)  # a busy machine is no receiver that hangs
    monkeypatch.setattr(outbox, "_AT_ONCE", 0.0)
    yield made
    made.stop()


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "space").mkdir()
    (tmp_path / "space" / "params.yaml").write_text("base: {seed: 0}\n")
    return Paths(tmp_path / "space")


def resume(paths: Paths) -> int:
    return notices.resume(paths, patience=outbox.PATIENCE, pause=0.0)


def test_nothing_is_written_or_sent_unless_it_is_configured(paths: Paths):
    assert not notices.tell(paths, "failed", "1", "a run failed.")
    assert notices.resume(paths) == notices.waiting(paths) == 0
    assert not (paths.root / ".analognas").exists()


def test_a_notice_says_what_where_and_when_once(paths: Paths, receiver: Receiver):
    assert notices.tell(paths, "failed", "1", "a run failed.", run="http://127.0.0.1/run", why=["a", {"b": 1}])
    assert not notices.tell(paths, "failed", "1", "a run failed.")
    assert notices.tell(paths, "failed", "2", "another one failed.")
    first, second = receiver.taken
    assert receiver.keys == [first["id"], second["id"]]
    assert first["id"] != second["id"]
    assert {name: first[name] for name in ("event", "text", "workspace", "run", "why")} == {
        "event": "failed", "text": "a run failed.", "workspace": "space", "run": "http://127.0.0.1/run",
        "why": ["a", {"b": 1}],
    }  # fmt: skip
    assert first["time"].endswith("+00:00")
    assert first["host"]
    assert notices.waiting(paths) == 0


@pytest.mark.parametrize("how", ["away", "fails", "hangs", "is not there any more", "moves"])
def test_what_a_receiver_does_not_take_waits_and_comes_in_order(
    paths: Paths, receiver: Receiver, how: str, monkeypatch: pytest.MonkeyPatch
):
    if how == "hangs":
        monkeypatch.setattr(outbox, "PATIENCE", 0.3)
    receiver.answer = {"fails": 500, "hangs": None, "is not there any more": 404, "moves": 302}.get(how, 200)
    if how == "away":
        receiver.stop()
    for number in range(4):
        assert notices.tell(paths, f"event{number}", "1", "something happened.")
        assert not notices.tell(paths, f"event{number}", "1", "something happened.")
    assert resume(paths) == 4
    assert receiver.taken == []
    receiver.answer = 200
    monkeypatch.setattr(outbox, "PATIENCE", 10.0)
    if how == "away":
        receiver.start()
    assert resume(paths) == 0
    assert receiver.events == ["event0", "event1", "event2", "event3"]
    assert not notices.tell(paths, "event1", "1", "something happened.")
    assert len(receiver.taken) == 4


def test_a_receiver_that_is_away_is_not_asked_by_every_command(paths: Paths, receiver: Receiver):
    receiver.answer = 500
    notices.tell(paths, "failed", "1", "a run failed.")
    asked = receiver.asked
    for _ in range(5):
        assert notices.resume(paths) == 1
    assert receiver.asked == asked
    receiver.answer = 200
    assert resume(paths) == 0


def test_many_who_send_at_once_send_each_notice_once(paths: Paths, receiver: Receiver):
    receiver.answer = 500
    for number in range(20):
        notices.tell(paths, f"event{number:02d}", "1", "something happened.")
    receiver.answer = 200
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: notices.resume(paths, patience=5, pause=0.0), range(8)))
        list(pool.map(lambda _: notices.tell(paths, "again", "1", "something happened."), range(8)))
    resume(paths)
    assert receiver.events == [*(f"event{number:02d}" for number in range(20)), "again"]


def test_who_is_killed_after_sending_sends_under_the_same_id(
    paths: Paths, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
):
    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as dies:
        dies.setattr(outbox, "write_sealed", killed)
        with pytest.raises(KeyboardInterrupt):
            notices.tell(paths, "failed", "1", "a run failed.")  # before it was written
    assert notices.tell(paths, "failed", "1", "a run failed.")
    assert len(receiver.taken) == 1
    receiver.answer = 500
    notices.tell(paths, "failed", "2", "a run failed.")
    receiver.answer = 200
    with monkeypatch.context() as dies:
        dies.setattr(outbox, "write_sealed", killed)
        with pytest.raises(KeyboardInterrupt):
            resume(paths)
    assert resume(paths) == 0
    assert receiver.keys[1] == receiver.keys[2] != receiver.keys[0]


def test_a_damaged_notice_keeps_no_other_one(paths: Paths, receiver: Receiver):
    receiver.answer = 500
    notices.tell(paths, "first", "1", "something happened.")
    notices.tell(paths, "second", "1", "something happened.")
    first, _ = sorted((paths.root / ".analognas" / "notices").glob("*-*.json"))
    first.write_text(first.read_text()[:40])
    receiver.answer = 200
    assert resume(paths) == 0
    assert receiver.events == ["second"]
    assert len(list(first.parent.glob("*.damaged"))) == 1


def test_no_secret_is_in_a_notice_or_on_the_disk(paths: Paths, receiver: Receiver):
    receiver.answer = 500
    text = "MLflow at http://anna:hunter2@host:5000 refuses password=hunter2, token: hunter2."
    notices.tell(paths, "tracking", "1", text, why={"said": [text]}, run="http://anna:hunter2@host/run")
    for file in (paths.root / ".analognas").rglob("*.*"):
        assert not file.is_file() or b"hunter2" not in file.read_bytes()
    receiver.answer = 200
    resume(paths)
    assert "hunter2" not in json.dumps(receiver.taken)
    assert "http://***@host:5000" in receiver.taken[0]["text"]


def test_a_command_gets_it_on_its_standard_input(paths: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(outbox, "_AT_ONCE", 0.0)
    monkeypatch.setattr(outbox, "PATIENCE", 2.0)
    (paths.root / FILE).write_text("run: {notify: 'test ! -e away && cat >> told.txt'}\n")
    (paths.root / "away").touch()
    assert notices.tell(paths, "failed", "1", "a run failed.")
    assert notices.waiting(paths) == 1
    (paths.root / "away").unlink()
    assert notices.tell(paths, "failed", "2", "another one failed.")
    told = [json.loads(line)["text"] for line in (paths.root / "told.txt").read_text().splitlines()]
    assert told == ["a run failed.", "another one failed."]
    monkeypatch.setenv("ANALOGNAS_NOTIFY", "sleep 30 && touch told.txt")  # it wins over the file
    began = time.monotonic()
    assert notices.tell(paths, "failed", "3", "a third one failed.")
    assert time.monotonic() - began < 10
    assert notices.waiting(paths) == 1
    monkeypatch.setenv("ANALOGNAS_NOTIFY", "exit 0  # which reads nothing")
    assert notices.resume(paths, pause=0.0) == 0


def test_whom_to_tell_is_in_no_file_that_git_shares(paths: Paths):
    paths.params.write_text("run: {notify: 'http://127.0.0.1/'}\n")
    with pytest.raises(ParamsError, match=r"run.notify is nobody's but yours: write it into params.local.yaml.*NOTIFY"):
        Params.load(paths.params)
    assert not notices.tell(paths, "failed", "1", "a run failed.")
    paths.params.write_text("run: {workers: 1}\n")
    (paths.root / FILE).write_text("run: {notify: 3, workers: 2}\n")
    assert not notices.tell(paths, "failed", "1", "a run failed.")  # whoever runs is told what is wrong with it


def test_a_folder_that_cannot_be_written_costs_only_the_notice(paths: Paths, receiver: Receiver):
    (paths.root / ".analognas").write_text("a file, where a folder has to be")
    assert not notices.tell(paths, "failed", "1", "a run failed.")
    assert notices.waiting(paths) == 0
