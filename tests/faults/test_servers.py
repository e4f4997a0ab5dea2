"""Prefect's and MLflow's servers end in the middle of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analognas.stages import STAGES
from analognas.workspace import Paths

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]


def test_a_run_goes_on_without_prefects_server_and_says_so(faults: Any, versioned: Paths):
    with faults.prefect() as (url, kill):
        run = faults.run(versioned, PREFECT_API_URL=url)
        run.until("fit")
        kill()
        code, said = run.finish()
    assert code == 0, said
    assert "Traceback" not in said, said
    assert "Prefect's server went away while the flow pipeline ran" in said, said
    assert not run.left()
    faults.complete(versioned)
    code, said = faults.run(versioned, PREFECT_API_URL=url).finish()
    assert (code, said) == (0, "Every stage is up to date and tracked: nothing to do.\n")


def test_mlflows_server_is_away_and_the_results_are_logged_when_it_is_back(
    faults: Any, versioned: Paths, tmp_path: Path
):
    port = faults.free_port()
    database = tmp_path / "server.db"
    uri = f"http://127.0.0.1:{port}"
    command = [
        "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{database}", "--artifacts-destination", str(tmp_path / "artifacts"),
    ]  # fmt: skip
    with faults.server(command, "/health", port) as kill:
        run = faults.run(versioned, MLFLOW_TRACKING_URI=uri)
        run.until("fit")
        kill()
        code, said = run.finish()
    assert code == 0, said
    assert f"MLflow at {uri} refuses connections, so" in said
    assert "the next `analognas run` logs them" in said
    faults.same(versioned, *STAGES)
    before = {path: path.stat().st_mtime_ns for path in versioned.data.rglob("*") if path.is_file()}
    with faults.server(command, "/health", port):
        code, said = faults.run(versioned, MLFLOW_TRACKING_URI=uri).finish()
    assert code == 0, said
    assert {path: path.stat().st_mtime_ns for path in versioned.data.rglob("*") if path.is_file()} == before
    faults.complete(versioned, database)
