import errno
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from analognas.errors import DatasetError, ParamsError, StageError, WorkspaceError
from analognas.params import Params
from analognas.params.overrides import parse
from analognas.setup import preparing, template
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


def test_the_index_of_the_repository_around_it_is_left_alone(tmp_path: Path):
    _git(tmp_path, "init", "--quiet")
    (tmp_path / "mine").write_text("mine")
    _git(tmp_path, "add", "mine")
    paths = template.create(tmp_path / "inner", {})
    assert _git(tmp_path, "status", "--porcelain").splitlines() == ["A  mine", "?? inner/"]
    assert (paths.root / ".dvc" / ".gitignore").read_text() == "/config.local\n/tmp\n/cache\n"
    assert Versioning(paths.root).status(["sample"])["sample"]
    kept = _git(tmp_path, "status", "--porcelain", "--untracked-files=all").splitlines()
    assert not [name for name in kept if "/tmp/" in name or "/cache/" in name]


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout


def test_an_empty_folder_that_is_there_stays_the_same_one(tmp_path: Path):
    before = tmp_path.stat().st_ino
    paths = template.create(tmp_path, {})
    assert tmp_path.stat().st_ino == before
    assert not list(tmp_path.glob(f".{tmp_path.name}-*"))
    assert Paths.find(tmp_path) == paths
    assert Versioning.find(tmp_path) is not None


def _no_space(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _ctrl_c(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def _refuses(*_: Any, **__: Any) -> None:
    raise StageError("DVC refused.")


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize(
    ("place", "failure", "error"),
    [
        ("shutil.copyfile", _no_space, WorkspaceError),
        ("analognas.setup.preparing.prepare", _ctrl_c, KeyboardInterrupt),
        ("analognas.versioning.repository.write_text", _no_space, WorkspaceError),
        ("analognas.versioning.repository.Versioning._dvc", _refuses, StageError),
        ("analognas.versioning.repository.Versioning._dvc", _ctrl_c, KeyboardInterrupt),
        ("pathlib.Path.rename", _no_space, WorkspaceError),
        ("pathlib.Path.rename", _ctrl_c, KeyboardInterrupt),
    ],
)
def test_whatever_goes_wrong_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool, within: bool, place: str, failure: Any, error: Any
):
    if within:
        _git(tmp_path, "init", "--quiet")
    target = tmp_path / "deep" / "demo"
    if there:
        target.mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(preparing, "prepare", lambda paths, values: None)
    monkeypatch.setattr(Versioning, "_dvc", lambda self, *arguments, **_: (self.root / ".dvc").mkdir())
    monkeypatch.setattr(place, failure)
    with pytest.raises(error):
        template.create(target, {})
    monkeypatch.undo()
    assert sorted(tmp_path.rglob("*")) == before


def test_what_was_moved_already_goes_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "building" / "data").mkdir(parents=True)
    for name in ("params.yaml", "dvc.yaml", "data/x"):
        (tmp_path / "building" / name).touch()
    rename = Path.rename

    def fail_at_the_last(self: Path, target: Path) -> Path:
        assert {path.name for path in tmp_path.iterdir()} <= {"building", "data", "dvc.yaml"}
        return _no_space() if self.name == "params.yaml" else rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_at_the_last)
    with pytest.raises(OSError, match="No space"):
        template._move_up(tmp_path / "building")
    assert [path.name for path in tmp_path.iterdir()] == ["building"]


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
