from pathlib import Path

import pytest

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
