from __future__ import annotations

from pathlib import Path

import pytest

from analognas.files import file_digest, read_sealed
from analognas.runs.sources import Commit, Folder
from analognas.versioning import Versioning
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


def test_the_winner_of_a_commit_comes_from_the_cache(past: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []

    def kept(_: Versioning, md5: str, to: Path) -> bool:
        asked.append(md5)
        to.mkdir()
        return True

    monkeypatch.setattr(Versioning, "kept", kept)
    assert Commit(past.root, "HEAD").winner(tmp_path / "winner")
    assert asked == ["0" * 32 + ".dir"]
    assert Folder(past.root).winner(tmp_path / "own")
    assert file_digest(tmp_path / "own") == file_digest(past.winner)
    assert not Folder(tmp_path).winner(tmp_path / "none")
    assert not Commit(past.root, "HEAD~2").winner(tmp_path / "nothing")  # nothing had run then
