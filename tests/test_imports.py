"""What starts quickly has to stay free of what loads slowly."""

import subprocess
import sys

import pytest

_HEAVY = ("torch", "aihwkit", "prefect", "mlflow", "dvc", "xgboost", "matplotlib")


@pytest.mark.parametrize(
    "module",
    [
        "analognas",
        "analognas.cli",
        "analognas.orchestration",
        "analognas.orchestration.clusters.worker",
        "analognas.orchestration.flows",
        "analognas.orchestration.retraining",
        "analognas.params",
        "analognas.report",
        "analognas.results",
        "analognas.retraining",
        "analognas.search_spaces",
        "analognas.search_spaces.nasbench201",
        "analognas.setup.preparing",
        "analognas.hardware",
        "analognas.tracking.champions",
        "analognas.training",
        "analognas.stages",
        "analognas.versioning.sharing",
        "analognas.workspace",
    ],
)
def test_import_is_light(module: str):
    code = f"import sys, {module}; print([name for name in {_HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
