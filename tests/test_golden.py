"""The outputs of every stage, held against what they were when the protocol versions were last raised.

Whoever changes what a stage writes raises its number in ``analognas.stages.PROTOCOLS`` and writes the file anew:

    ANALOGNAS_WRITE_GOLDEN=1 python -m pytest tests/test_golden.py
"""

import json
import os
import platform
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analognas.environment import current_environment
from analognas.files import file_digest, write_json
from analognas.stages import PROTOCOLS, STAGES
from analognas.workspace import Paths

GOLDEN = Path(__file__).parent / "golden.json"


def machine() -> dict[str, Any]:
    """Return what floats depend on: kind of processor and versions."""
    import torch

    lines = Path("/proc/cpuinfo").read_text().splitlines() if platform.system() == "Linux" else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    versions = {name: value for name, value in current_environment().items() if name != "protocol"}
    return {"processor": model, "capability": torch.backends.cpu.get_cpu_capability(), **versions}


@pytest.fixture(scope="module")
def outputs(finished: Paths) -> dict[str, Any]:
    """Return a digest of what every stage wrote; of the sample, which has no floats, the ids."""
    written = {
        "characterize": finished.surrogate,
        "fit": finished.evaluator,
        "search": finished.search / "best.json",
        "train": finished.winner,
    }
    ids = pd.read_parquet(finished.architectures)["id"].tolist()
    return {"sample": ids} | {stage: file_digest(path) for stage, path in written.items()}


@pytest.fixture(scope="module")
def golden(outputs: dict[str, Any]) -> dict[str, Any]:
    if os.environ.get("ANALOGNAS_WRITE_GOLDEN"):
        write_json(GOLDEN, {"protocol": PROTOCOLS, "machine": machine(), "outputs": outputs})
    content: dict[str, Any] = json.loads(GOLDEN.read_text())
    return content


def test_it_was_written_for_these_protocols(golden: dict[str, Any]):
    assert golden["protocol"] == PROTOCOLS


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_writes_what_it_wrote(stage: str, golden: dict[str, Any], outputs: dict[str, Any]):
    if stage != "sample" and golden["machine"] != machine():
        pytest.skip("written on another kind of processor or with other versions: floats differ")
    assert outputs[stage] == golden["outputs"][stage], (
        f"the outputs of {stage} changed: raise its number in analognas.stages.PROTOCOLS and write the file anew"
    )
