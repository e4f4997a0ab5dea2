import os
from pathlib import Path

import pytest

from analognas.errors import WorkspaceError
from analognas.workspace import Paths


def test_it_is_found_from_below(workspace: Paths):
    assert Paths.find(workspace.rounds) == workspace


def test_outside_of_one_the_remedy_is_named(tmp_path: Path):
    with pytest.raises(WorkspaceError, match="analognas init"):
        Paths.find(tmp_path)


def test_leftovers_of_killed_writers_are_removed(workspace: Paths):
    (workspace.data / ".tmp-search-1").mkdir()
    (workspace.data / ".tmp-search-1" / "best.json").write_text("half")
    (workspace.rounds / ".tmp-001.json-1").write_text("half")
    workspace.clean()
    assert not list(workspace.data.rglob(".tmp*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="another file system error than for root")
def test_an_unusable_data_folder_is_named(tmp_path: Path):
    (tmp_path / "data").write_text("no folder")
    with pytest.raises(WorkspaceError, match=r"Cannot write .*data"):
        Paths(tmp_path).clean()


@pytest.mark.parametrize("folder", ["data", "data/metrics"])
def test_a_read_only_folder_is_named_before_anything_is_written(
    tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch
):
    read_only = tmp_path / folder
    read_only.mkdir(parents=True)
    # Root may write wherever the file system lets her, so the file system is asked.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != read_only)
    with pytest.raises(WorkspaceError, match=f"Cannot write {read_only}: make the folder writable"):
        Paths(tmp_path).clean()
