from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from analognas.notices import going
from analognas.workspace import Paths

_RUN = """
import sys, time
from pathlib import Path
from analognas.notices import going_on
from analognas.workspace import Paths
with going_on(Paths(Path(sys.argv[1])), {"id": "7", "what": "A retraining", "page": None}):
    print("going", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    made: list[tuple[Any, ...]] = []
    monkeypatch.setattr(going, "tell", lambda paths, *what, **facts: made.append((*what, facts)))
    return made


def start(root: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _RUN, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "going\n"
    return process


def test_who_is_killed_is_told_of_once(tmp_path: Path, told: list[tuple[Any, ...]]):
    paths = Paths(tmp_path)
    process = start(tmp_path)
    assert not going.crashed(paths)  # it goes on
    assert going.alive(paths)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert going.crashed(paths)
    assert not going.crashed(paths)
    assert not going.alive(paths)
    ((event, about, text, facts),) = told
    assert (event, about, facts) == ("crashed", "7", {"run": None})
    assert text.startswith(f"A retraining in {tmp_path} was killed, or the machine went down: ")


def test_who_comes_to_an_end_is_not(tmp_path: Path, told: list[tuple[Any, ...]]):
    process = start(tmp_path)
    process.communicate("end\n")
    assert not going.crashed(Paths(tmp_path))
    assert not going.alive(Paths(tmp_path))
    for error in (ValueError, KeyboardInterrupt, SystemExit):
        with pytest.raises(error), going.going_on(Paths(tmp_path), {"id": "8", "what": "A run"}):
            raise error
    assert not going.crashed(Paths(tmp_path))
    assert told == []


def test_the_next_run_tells_of_the_one_before(tmp_path: Path, told: list[tuple[Any, ...]]):
    process = start(tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    with going.going_on(Paths(tmp_path), {"id": "9", "what": "A run"}):
        assert [about for _, about, *_ in told] == ["7"]
        assert not going.crashed(Paths(tmp_path))


def test_looking_makes_nothing_and_minds_no_damage(tmp_path: Path, told: list[tuple[Any, ...]]):
    assert not going.crashed(Paths(tmp_path))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / ".analognas").mkdir()
    (tmp_path / ".analognas" / "going.json").write_text("{")
    assert not going.crashed(Paths(tmp_path))
    assert told == []
