from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import pytest

from analognas.notices.delivery import receives

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
