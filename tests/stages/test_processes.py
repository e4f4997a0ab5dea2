import importlib
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType

import pytest

from analognas.errors import StageError
from analognas.stages import processes

_MODULE = """
import os, pathlib, signal, time

def square(number):
    return number * number

def die_once(marker):
    path = pathlib.Path(marker)
    if not path.exists():
        path.write_text("")
        os.kill(os.getpid(), signal.SIGKILL)
    return 1

def note_or_die_once(item):
    path, number = pathlib.Path(item[0]), item[1]
    if number == 7 and not path.with_name("died").exists():
        path.with_name("died").write_text("")
        time.sleep(0.5)  # the others' results are on their way
        os.kill(os.getpid(), signal.SIGKILL)
    with path.open("a") as file:
        file.write(str(number))
    return number

def die(_):
    os.kill(os.getpid(), signal.SIGKILL)

def process(_):
    return os.getpid()

def fail(number):
    raise ValueError(number)

def is_silent(_):
    from analognas.hardware import silence
    return silence.is_silent()

def sleep(path):
    pathlib.Path(path).write_text(str(os.getpid()))
    time.sleep(60)
"""


@pytest.fixture
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return functions that worker processes can import, as they import the installed package."""
    name = f"tasks_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(_MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module(name)


def test_every_item_comes_back_once(tasks: ModuleType):
    assert dict(processes.each(tasks.square, [1, 2, 3], 2)) == {0: 1, 1: 4, 2: 9}
    assert list(processes.each(tasks.square, [], 2)) == []


def test_a_pool_of_the_callers_stays(tasks: ModuleType):
    pool = processes.Pool(1)
    try:
        ((_, first),) = processes.each(tasks.process, [1], pool)
        ((_, second),) = processes.each(tasks.process, [2], pool)
        assert first == second
    finally:
        pool.close()


def test_workers_do_not_say_what_their_parent_says(tasks: ModuleType):
    assert list(processes.each(tasks.is_silent, [1], 1)) == [(0, True)]
    assert not tasks.is_silent(1)


def test_an_ended_worker_is_replaced(tasks: ModuleType, tmp_path: Path):
    assert list(processes.each(tasks.die_once, [str(tmp_path / "marker")], 1)) == [(0, 1)]


def test_what_was_finished_when_a_worker_ended_is_not_done_again(
    tasks: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):  # fmt: skip
    monkeypatch.setattr(processes, "wait", lambda waiting, return_when: wait(waiting))  # all of them at one moment
    items = [(str(tmp_path / "done"), number) for number in range(8)]
    assert dict(processes.each(tasks.note_or_die_once, items, 1)) == {number: number for number in range(8)}
    assert (tmp_path / "done").read_text() == "01234567"


def test_a_worker_that_keeps_ending_is_reported(tasks: ModuleType):
    with pytest.raises(StageError, match="enough memory"):
        list(processes.each(tasks.die, [1], 1))


def test_an_error_of_the_function_comes_through(tasks: ModuleType):
    with pytest.raises(ValueError, match="7"):
        list(processes.each(tasks.fail, [7], 1))


@pytest.mark.parametrize("seconds", [0.0, 0.5])
def test_whoever_waits_is_told_when_workers_are_ended(monkeypatch: pytest.MonkeyPatch, seconds: float):
    end = BaseProcess.terminate
    # A machine that is busy ends them late.
    monkeypatch.setattr(BaseProcess, "terminate", lambda process: threading.Timer(seconds, end, [process]).start())
    pool = processes.start(2)
    futures = [pool.submit(time.sleep, 60.0) for _ in range(30)]
    assert not wait(futures, timeout=2.0).done
    with ThreadPoolExecutor(1) as threads:
        told = threads.submit(wait, futures, 10.0)  # as the threads of a flow do
        processes.end(pool)
        assert told.result().done == set(futures)  # those that were never begun, too


def test_workers_that_were_writing_a_result_are_ended_too(monkeypatch: pytest.MonkeyPatch):
    receive, begun = Connection._recv, threading.Event()

    def late(connection: Connection, size: int, *how: object) -> object:
        if size > 1_000:  # a machine that is busy: the message is not read while it is written
            begun.set()
            time.sleep(0.3)
        return receive(connection, size, *how)

    monkeypatch.setattr(Connection, "_recv", late)
    pool = processes.start(1)
    future = pool.submit(bytes, 5_000_000)
    assert begun.wait(30.0)
    ended = threading.Thread(target=processes.end, args=(pool,), daemon=True)
    ended.start()
    ended.join(20.0)
    assert not ended.is_alive()
    assert future.done()


def test_workers_that_end_now_and_then_do_not_end_the_whole(tasks: ModuleType, tmp_path: Path):
    items = [str(tmp_path / f"{number}") for number in range(5)]  # each ends its worker once
    assert sorted(index for index, _ in processes.each(tasks.die_once, items, 1)) == [0, 1, 2, 3, 4]


def test_workers_end_with_their_parent(tasks: ModuleType, tmp_path: Path):
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from analognas.stages import processes as workers\n"
        "tasks = __import__(sys.argv[3])\n"
        "if __name__ == '__main__':\n"
        "    list(workers.each(tasks.sleep, [sys.argv[2]], 1))\n"
    )
    (tmp_path / "main.py").write_text(code)
    pid_file = tmp_path / "pid"
    parent = subprocess.Popen([sys.executable, str(tmp_path / "main.py"), str(tmp_path), str(pid_file), tasks.__name__])
    deadline = time.monotonic() + 30
    while not (pid_file.exists() and pid_file.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    worker = int(pid_file.read_text())
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 5
    while Path(f"/proc/{worker}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()
