from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from analognas.errors import CorruptFileError
from analognas.versioning import git, history


def commit(root: Path, message: str) -> None:
    for arguments in (("add", "--all"), ("-c", "user.name=me", "-c", "user.email=m@e.org", "commit", "-qm", message)):
        subprocess.run(["git", *arguments], cwd=root, check=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a workspace in a folder of a repository, with two runs and a commit of something else."""
    root = tmp_path / "repository" / "work"
    (root / "data" / "metrics").mkdir(parents=True)
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=tmp_path / "repository", check=True)
    for number in ("first", "second"):
        (root / "dvc.lock").write_bytes(f"{number}\r\n".encode())
        (root / "data" / "metrics" / "train.json").write_text(number)
        (root / "params.yaml").write_text(number)
        commit(root, number)
    (root / "params.yaml").write_text("edited")
    commit(root, "no run")
    return root


def test_commits_that_changed_a_run_are_listed_newest_first(root: Path, tmp_path: Path):
    assert [entry.subject for entry in history.commits(root, 5)] == ["second", "first"]
    assert [entry.subject for entry in history.commits(root, 1)] == ["second"]
    assert history.commits(tmp_path, 5) == []


def test_branches_and_experiments_of_dvc_are_looked_at(root: Path):
    for name, place in (("other", "refs/heads/other"), ("trial", "refs/exps/ab/cdef/main/trial")):
        (root / "dvc.lock").write_text(name)
        commit(root, name)
        subprocess.run(["git", "update-ref", place, "HEAD"], cwd=root, check=True)
        subprocess.run(["git", "reset", "-q", "--hard", "HEAD~1"], cwd=root, check=True)
    assert {entry.subject for entry in history.commits(root, 9)} == {"first", "second", "other", "trial"}


def test_a_commit_is_known_by_all_its_names(root: Path):
    (sha,) = [entry.sha for entry in history.commits(root, 1)]
    names = (sha, sha[:7], "HEAD~1", "main~1")
    assert {named.sha for name in names if (named := history.named(root, name))} == {sha}
    assert [history.named(root, name) for name in ("nowhere", "--all", "HEAD:params.yaml", "")] == [None] * 4


def test_files_come_as_the_commit_holds_them(root: Path, tmp_path: Path):
    first = history.commits(root, 2)[1].sha
    history.extract(root, first, to := tmp_path / "to", ("params.yaml", "dvc.lock", "data/metrics", "data/rounds"))
    told = {path.relative_to(to).as_posix(): path.read_bytes() for path in to.rglob("*") if path.is_file()}
    assert told == {"params.yaml": b"first", "dvc.lock": b"first\r\n", "data/metrics/train.json": b"first"}


def test_what_git_has_lost_is_told(root: Path, tmp_path: Path):
    (told,) = subprocess.run(
        ["git", "rev-parse", "HEAD:./dvc.lock"], cwd=root, check=True, capture_output=True, text=True
    ).stdout.split()
    (root.parent / ".git" / "objects" / told[:2] / told[2:]).unlink()
    history.extract(root, "HEAD", tmp_path / "to", ("params.yaml",))
    with pytest.raises(CorruptFileError, match=r"git cannot give dvc\.lock of the commit"):
        history.extract(root, "HEAD", tmp_path / "again", ("params.yaml", "dvc.lock"))


def test_without_git_nothing_is_given(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    ask = git.ask_bytes
    monkeypatch.setattr(
        git, "ask_bytes", lambda root, *words, **given: None if "cat-file" in words else ask(root, *words, **given)
    )
    with pytest.raises(CorruptFileError, match=r"git cannot give params\.yaml of the commit"):
        history.extract(root, "HEAD", tmp_path / "to", ("params.yaml",))
