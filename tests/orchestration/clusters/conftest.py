from __future__ import annotations

import socket

import pytest

from analognas.params import Params
from analognas.stages import characterize, run_stage
from analognas.workspace import Paths


@pytest.fixture
def jobs(workspace: Paths) -> list[characterize.Job]:
    params = Params.load(workspace.params)
    run_stage("sample", params, workspace)
    return characterize.jobs(params, workspace)


@pytest.fixture
def closed_port() -> int:
    """Return a port of 127.0.0.1 where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
