"""The wheel, unpacked in an empty folder far from the repository, is all that a user needs."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder / "site")
    return folder / "site"


def call(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-m", "analognas", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_only_the_package_is_at_the_top_of_the_wheel(installed: Path):
    top = {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")}
    assert top == {"analognas"}
    assert (installed / "analognas" / "py.typed").exists()


def test_a_workspace_made_from_the_wheel_runs_a_stage(installed: Path, tmp_path: Path):
    where = subprocess.run(
        [sys.executable, "-c", "import analognas; print(analognas.__file__)"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(installed)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert where.stdout.startswith(str(installed))
    made = call(installed, tmp_path, "init", "demo", "--max-params", "3k")
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "demo" / ".gitignore").exists()
    ran = call(installed, tmp_path / "demo", "stage", "sample", "--json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["params_max"] <= 3_000


def test_the_workspace_files_are_those_of_the_repository(installed: Path):
    template = installed / "analognas" / "_template"
    names = [path.relative_to(template).as_posix() for path in template.rglob("*") if path.is_file()]
    assert {"params.yaml", "dvc.yaml", "prefect.yaml", "flows/pipeline.py", "data/rounds/000.json"} <= set(names)
    for name in names:
        assert (template / name).read_bytes() == (ROOT / name).read_bytes()
