from __future__ import annotations

import importlib
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from analognas.errors import ParamsError, StageError
from analognas.orchestration import clusters
from analognas.orchestration.clusters import choice
from analognas.params import Params


def with_run(**run: Any) -> Params:
    return Params.validated({"run": run})


def test_an_extra_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for runner in clusters.RUNNERS:
        with pytest.raises(ParamsError, match=re.escape(f"pip install 'analognas[{runner}]'")):
            clusters.check_runner(with_run(runner=runner))


def test_an_address_where_nobody_listens_is_refused_at_once(monkeypatch: pytest.MonkeyPatch, closed_port: int):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    address = f"tcp://127.0.0.1:{closed_port}"
    start = time.monotonic()
    with pytest.raises(StageError, match=f"No Dask cluster can be reached at run.address {address} "):
        clusters.check_runner(with_run(runner="dask", address=address))
    assert time.monotonic() - start < 2


def test_what_needs_no_cluster_is_not_looked_after(closed_port: int):
    nobody = {"runner": "dask", "address": f"127.0.0.1:{closed_port}"}
    clusters.check_runner(with_run(**nobody | {"runner": "processes"}))
    clusters.check_runner(Params.validated({"run": nobody, "characterize": {"source": "analognas-bench"}}))
    with pytest.raises(StageError, match="No Dask cluster can be reached"):
        clusters.check_runner(with_run(**nobody))


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"\x10\x00"])
def test_something_else_at_the_address_is_named(greeting: bytes, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(choice, "CONNECT_SECONDS", 0.2)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    lines: list[socket.socket] = []

    def greet(server: socket.socket) -> None:
        lines.append(server.accept()[0])
        lines[0].sendall(greeting)

    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        answered = pool.submit(greet, server)
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(StageError, match="what listens there is no Dask scheduler"):
            clusters.check_runner(with_run(runner="dask", address=address))
        answered.result()
        lines[0].close()
