import subprocess
from pathlib import Path

from analognas.versioning.commits import Commit, commit_of


def git(root: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@localhost")
    return subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True, text=True).stdout


def test_the_commit_of_a_folder_and_whether_its_files_differ(tmp_path: Path):
    assert commit_of(tmp_path) is None
    git(tmp_path, "init")
    assert commit_of(tmp_path) is None
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "params.yaml").write_text("a: 1\n")
    (tmp_path / "other").write_text("1")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-m", "first")
    sha = git(tmp_path, "rev-parse", "HEAD").strip()
    assert commit_of(tmp_path / "inner") == Commit(sha, dirty=False)
    (tmp_path / "other").write_text("2")  # beside the workspace: not its concern
    (tmp_path / "inner" / "notes").write_text("untracked")
    assert commit_of(tmp_path / "inner") == Commit(sha, dirty=False)
    (tmp_path / "inner" / "params.yaml").write_text("a: 2\n")
    changed = commit_of(tmp_path / "inner")
    assert changed == Commit(sha, dirty=True)
    assert changed.short == f"{sha[:9]}+"


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit_of(tmp_path) is None
