from __future__ import annotations

import pytest

from analognas.params import Params
from analognas.stages import characterize, run_stage
from analognas.workspace import Paths


@pytest.fixture
def jobs(workspace: Paths) -> list[characterize.Job]:
    params = Params.load(workspace.params)
    run_stage("sample", params, workspace)
    return characterize.jobs(params, workspace)
