from __future__ import annotations

from pathlib import Path

from analognas.files import file_digest, read_sealed
from analognas.runs.sources import Commit, Folder
from analognas.workspace import Paths


def test_a_folder_gives_all_and_a_commit_what_git_holds(past: Paths, tmp_path: Path):
    Folder(past.root).fetch(tmp_path / "folder")
    there = Paths(tmp_path / "folder")
    assert file_digest(there.winner) == file_digest(past.winner)
    assert there.params.read_bytes() == past.params.read_bytes()
    assert not (there.root / "dvc.yaml").exists()
    assert not (there.data / "results").exists()
    Commit(past.root, "HEAD").fetch(tmp_path / "commit")
    there = Paths(tmp_path / "commit")
    assert read_sealed(there.metrics("train"), remedy="")["winner"]["acc_1d"] == 98.6
    assert not there.winner.exists()
