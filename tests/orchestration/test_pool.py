import importlib
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import ModuleType

import pytest

from analognas.errors import StageError
from analognas.orchestration.pool import Pool

_MODULE = """
import os, signal, time

def square(number):
    if number < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number

def sleep(seconds):
    time.sleep(seconds)
"""


@pytest.fixture
def functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Functions that worker processes can import, as they import the installed package."""
    name = f"functions_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(_MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module(name)


def test_a_pool_starts_new_workers_when_one_was_killed_and_refuses_work_when_closed(functions: ModuleType):
    pool = Pool(1)
    try:
        assert pool.submit(functions.square, 3).result() == 9
        with pytest.raises(BrokenProcessPool):
            pool.submit(functions.square, -1).result()
        assert pool.submit(functions.square, 4).result() == 16
        pool.submit(functions.sleep, 60)
    finally:
        start = time.monotonic()
        pool.close()
    assert time.monotonic() - start < 5  # nobody waits for what is in flight
    with pytest.raises(StageError, match="have been ended"):
        pool.submit(functions.square, 1)
    pool.close()
