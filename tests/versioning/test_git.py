import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from analognas.errors import WorkspaceError
from analognas.versioning import git

pytestmark = pytest.mark.usefixtures("git_knows_anna")

Git = Callable[..., str]


@pytest.fixture
def outer(tmp_path: Path) -> Path:
    """Return a repository with a workspace in it."""
    (tmp_path / "outer" / "space" / "data").mkdir(parents=True)
    for name in ("dvc.yaml", "params.yaml", "data/dataset.json"):
        (tmp_path / "outer" / "space" / name).write_text("x: 1\n")
    call(tmp_path / "outer", "init", "--quiet")
    return tmp_path / "outer"


def call(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def test_a_rule_above_is_named_with_its_file_and_line(outer: Path):
    assert git.ignored(outer / "space") == []
    (outer / ".gitignore").write_text("# what is large\ndata/\n")
    said = git.lost(outer / "space")
    assert len(said) == 1
    assert "data/metrics/*.json and data/rounds/*.json" in said[0]
    assert f"by the rule 'data/' in line 2 of {outer / '.gitignore'}" in said[0]
    assert "dvc.lock" not in said[0]
    git.refuse_ignored(outer / "space")  # DVC can work


@pytest.mark.parametrize(
    ("rule", "again"), [("data/", "!/data/"), ("rounds", "!/data/rounds/"), ("*.json", "!/data/rounds/*.json"),
                        ("*.lock", "!/dvc.lock")]
)  # fmt: skip
def test_the_remedy_that_is_named_helps(outer: Path, rule: str, again: str):
    (outer / ".gitignore").write_text(f"{rule}\n")
    (said,) = git.lost(outer / "space")
    assert again in said
    remedies = said.partition("or add ")[2].partition(" at the end")[0].split(" and ")
    (outer / "space" / ".gitignore").write_text("\n".join(remedies) + "\n")
    assert git.lost(outer / "space") == []


def test_a_folder_that_git_ignores_is_refused_before_it_is_there(outer: Path):
    (outer / ".gitignore").write_text("/scratch/\n")
    with pytest.raises(WorkspaceError, match=r"git ignores .*/scratch/new, by the rule '/scratch/' in line 1 of "):
        git.refuse_ignored(outer / "scratch" / "new")
    (outer / ".gitignore").write_text("*.lock\n")
    with pytest.raises(WorkspaceError, match=r"git ignores .*/new/dvc\.lock, by the rule '\*\.lock'"):
        git.refuse_ignored(outer / "new")
    assert not (outer / "new").exists()


def test_the_rules_of_a_person_and_of_a_repository_count(outer: Path, tmp_path: Path):
    (tmp_path / "mine").write_text("*.lock\n")
    call(outer, "config", "core.excludesFile", str(tmp_path / "mine"))
    assert [(entry.name, entry.file) for entry in git.ignored(outer / "space")] == [("dvc.lock", tmp_path / "mine")]
    (outer / ".git" / "info").mkdir(exist_ok=True)
    (outer / ".git" / "info" / "exclude").write_text("flows\n")
    assert {entry.name: entry.file for entry in git.ignored(outer / "space")}["flows/any.py"] == (
        outer / ".git" / "info" / "exclude"
    )


def test_outside_of_a_repository_nothing_is_ignored_or_committed(tmp_path: Path):
    assert git.lost(tmp_path) == []
    git.first_commit(tmp_path)
    assert git.uncommitted(tmp_path) is None


def test_a_new_workspace_is_committed_and_nothing_else(outer: Path):
    (outer / "mine.txt").write_text("untracked")
    assert "No commit holds" in str(git.uncommitted(outer / "space"))
    git.first_commit(outer / "space")
    assert call(outer, "show", "--name-only", "--format=%s").split("\n")[0] == "A workspace of analognas: space"
    assert call(outer, "ls-files").split() == ["space/data/dataset.json", "space/dvc.yaml", "space/params.yaml"]
    assert git.uncommitted(outer / "space") is None
    git.first_commit(outer / "space")  # once
    assert call(outer, "rev-list", "--count", "HEAD") == "1\n"


def test_what_waits_in_the_index_is_left_there(outer: Path):
    (outer / "mine.txt").write_text("mine")
    call(outer, "add", "mine.txt")
    git.first_commit(outer / "space")
    assert call(outer, "ls-files").split() == ["mine.txt"]
    assert f"git add {outer / 'space'}" in str(git.uncommitted(outer / "space"))


def test_nothing_is_committed_in_the_middle_of_something(outer: Path):
    (outer / ".git" / "MERGE_HEAD").write_text("")
    git.first_commit(outer / "space")
    assert call(outer, "ls-files") == ""


def test_nobody_is_made_up_as_the_author(outer: Path, tmp_path: Path):
    (tmp_path / "gitconfig").write_text("")
    git.first_commit(outer / "space")
    assert call(outer, "ls-files") == ""
    assert "git config --global user.name NAME" in str(git.uncommitted(outer / "space"))


def test_the_commit_of_a_workspace_and_whether_its_files_differ(outer: Path, monkeypatch: pytest.MonkeyPatch):
    space = outer / "space"
    assert git.commit_of(space) is None
    (outer / "other").write_text("1")
    call(outer, "add", "-A")
    call(outer, "commit", "--quiet", "-m", "first")
    sha = call(outer, "rev-parse", "HEAD").strip()
    (outer / "other").write_text("2")  # beside the workspace: not its concern
    (space / "notes").write_text("untracked")
    assert git.commit_of(space) == git.Commit(sha, dirty=False)
    (space / "params.yaml").write_text("x: 2\n")
    changed = git.commit_of(space)
    assert changed == git.Commit(sha, dirty=True)
    assert changed.short == f"{sha[:9]}+"
    monkeypatch.setenv("PATH", "/nowhere")
    assert git.commit_of(space) is None
