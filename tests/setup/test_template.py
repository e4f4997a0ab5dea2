import shutil
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from analognas.errors import DatasetError, ParamsError, WorkspaceError
from analognas.params import Params
from analognas.params.overrides import parse
from analognas.setup import template
from analognas.versioning import Versioning
from analognas.workspace import Paths


def test_a_new_workspace_is_whole_versioned_and_as_asked_for(tmp_path: Path):
    paths = template.create(tmp_path / "demo", parse(["space.max_params=50k"]))
    assert Paths.find(paths.root) == paths
    assert Params.load(paths.params).space.max_params == 50_000
    assert (paths.root / "flows" / "pipeline.py").exists()
    assert (paths.rounds / "000.json").exists()
    assert paths.environment.exists()
    assert paths.dataset.exists()
    assert Versioning.find(paths.root) is not None
    assert "analytics = false" in (paths.root / ".dvc" / "config").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_inside_a_repository_dvc_gets_a_folder_of_its_own(tmp_path: Path):
    template.create(tmp_path / "outer", {})
    inner = template.create(tmp_path / "outer" / "inner", {})
    assert (inner.root / ".dvc").is_dir()
    assert not (inner.root / ".git").exists()


def test_what_dvc_keeps_is_ignored_by_git_from_the_start_and_what_git_keeps_is_not(tmp_path: Path):
    pipeline = YAML(typ="safe").load((template.source() / "dvc.yaml").read_text())
    kept, versioned = [], []
    for stage in pipeline["stages"].values():
        for output in [*stage.get("outs", []), *stage.get("metrics", [])]:
            name, options = next(iter(output.items())) if isinstance(output, dict) else (output, {})
            (versioned if options.get("cache") is False else kept).append(name)
    shutil.copyfile(template.source() / ".gitignore", tmp_path / ".gitignore")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)

    def ignored(names: list[str]) -> list[str]:
        asked = subprocess.run(
            ["git", "check-ignore", "--stdin"], cwd=tmp_path, input="\n".join(names), capture_output=True, text=True
        )
        return asked.stdout.split()

    assert len(kept) > 10
    folders = {"data/evaluator", "data/search", "data/winner"}
    assert ignored([f"{name}/file" if name in folders else name for name in kept]) == [
        f"{name}/file" if name in folders else name for name in kept
    ]
    assert ignored([*versioned, "data/rounds/001.json", "params.yaml", "dvc.lock", "data/photos.dvc"]) == []
    never = ["data/results/ab/abc.json", "dvc_plots/index.html", "mlflow.db", "mlflow.db-wal", "data/timings.json"]
    assert ignored(never) == never


@pytest.mark.parametrize(
    ("assignments", "error"),
    [
        (["search.nothing=1"], ParamsError),
        (["dataset.name=nothing"], DatasetError),
        (["dataset.name=image-folder", "dataset.path=/nowhere"], DatasetError),
    ],
)
def test_bad_input_leaves_nothing_behind(tmp_path: Path, assignments: list[str], error: type[Exception]):
    with pytest.raises(error):
        template.create(tmp_path / "demo", parse(assignments))
    assert not list(tmp_path.iterdir())


def test_a_folder_in_use_is_left_alone(tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(WorkspaceError, match="not empty"):
        template.create(tmp_path, {})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
