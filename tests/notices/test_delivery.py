from __future__ import annotations

import json
import re
import shutil
import socket
import socketserver
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from analognas.notices.delivery import receives
from analognas.setup.template import source

NOTICE = {"id": "7", "event": "failed", "text": "a run failed: größer."}


@pytest.mark.parametrize(("command", "taken"), [("cat > told.json", True), ("cat > told.json; exit 3", False)])
def test_a_command_takes_a_notice_by_ending_with_0(tmp_path: Path, command: str, taken: bool):
    assert receives(command, NOTICE, tmp_path, 20.0) is taken
    assert json.loads((tmp_path / "told.json").read_text()) == NOTICE


def test_a_command_that_does_not_end_is_ended_with_all_that_it_started(tmp_path: Path):
    began = time.monotonic()
    assert not receives("sleep 30 & sleep 30; touch told.json", NOTICE, tmp_path, 0.3)
    assert time.monotonic() - began < 15
    assert not (tmp_path / "told.json").exists()


@pytest.mark.parametrize(
    "address", ["http://", "https://[", "http://127.0.0.1:99999/", "http://nowhere.invalid/", "http://127.0.0.1:9/"]
)
def test_what_is_no_address_takes_nothing(tmp_path: Path, address: str):
    assert not receives(address, NOTICE, tmp_path, 2.0)


def test_who_takes_the_call_and_hangs_takes_nothing(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert not receives(f"http://127.0.0.1:{port}/", NOTICE, tmp_path, 0.3)


def test_a_folder_that_is_gone_takes_nothing(tmp_path: Path):
    assert not receives("cat", NOTICE, tmp_path / "gone")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("taken", [True, False])
def test_the_pages_command_sends_a_notice_as_a_mail(tmp_path: Path, taken: bool):
    (command,) = re.findall(r"^export ANALOGNAS_NOTIFY='(\s.*?)'$", _team_page(), re.MULTILINE | re.DOTALL)
    lines: list[bytes] = []

    class Mail(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 mail\r\n")
            for line in self.rfile:
                lines.append(line.rstrip(b"\r\n"))
                if line.startswith(b"QUIT"):
                    return
                if line.startswith((b"EHLO", b"MAIL", b"DATA")) or line == b".\r\n":
                    self.wfile.write(b"354 go on\r\n" if line.startswith(b"DATA") else b"250 taken\r\n")
                elif line.startswith(b"RCPT"):
                    self.wfile.write(b"250 taken\r\n" if taken else b"550 nobody\r\n")

    with socketserver.TCPServer(("127.0.0.1", 0), Mail) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        there = command.replace("mail.example.org", f"127.0.0.1:{server.server_address[1]}")
        notice: dict[str, Any] = NOTICE | {"text": "a run failed: " + "it is long. " * 200}
        assert receives(there, notice, tmp_path, 20.0) is taken
        server.shutdown()
    if not taken:
        assert b"DATA" not in lines
        return
    mail = lines[lines.index(b"DATA") + 1 : lines.index(b".")]
    head, body = mail[: mail.index(b"")], mail[mail.index(b"") + 1 :]
    assert b"Subject: analognas" in head
    assert max(map(len, body)) < 100
    assert json.loads(b"".join(body)) == notice


def _team_page() -> str:
    return (source() / "docs" / "team.md").read_text()
