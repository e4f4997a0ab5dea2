from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from analognas.files import write_json
from analognas.setup.template import source
from analognas.versioning import branch
from analognas.versioning.branch import BehindError, GitError

pytestmark = pytest.mark.usefixtures("git_knows_anna")


def git(folder: Path, *arguments: str, check: bool = True) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, check=check, capture_output=True, text=True)
    return done.stdout.strip()


class Clone:
    """A clone of the team's repository, with what a workspace has of text."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, name: str, text: str) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text)

    def round(self, name: str) -> None:
        """Do as a retraining does."""
        write_json(self.root / f"data/rounds/{name}.json", {"architectures": [{"id": name}], "decision": "accepted"})
        self.write("dvc.lock", f"round: {name}\n")
        self.write("data/metrics/fit.json", f'{{"round": "{name}"}}\n')

    def commit(self, message: str) -> str:
        git(self.root, "add", "--all", ".")
        git(self.root, "commit", "--quiet", "--message", message)
        git(self.root, "push", "--quiet")
        return self.head

    def search(self, name: str) -> str:
        """Do as a member does who searches and shares it."""
        self.round(name)
        return self.commit(name)

    @property
    def head(self) -> str:
        return git(self.root, "rev-parse", "HEAD")

    @property
    def names(self) -> set[str]:
        return {path.stem for path in (self.root / "data" / "rounds").glob("*.json")}

    @property
    def dirty(self) -> str:
        return git(self.root, "status", "--porcelain")


@pytest.fixture
def clones(tmp_path: Path) -> tuple[Clone, Clone, Path]:
    """Two clones of a bare repository: an unattended workspace and a colleague's."""
    bare = tmp_path / "team.git"
    git(tmp_path, "init", "--quiet", "--bare", str(bare))
    git(tmp_path, "clone", "--quiet", str(bare), "ben")
    ben = Clone(tmp_path / "ben")
    ben.write(".gitattributes", (source() / ".gitattributes").read_text())
    ben.write("params.yaml", "sample:\n  size: 10\n")
    ben.write("dvc.yaml", "stages: {}\n")
    ben.round("000")
    git(ben.root, "add", "--all", ".")
    git(ben.root, "commit", "--quiet", "--message", "start")
    git(ben.root, "push", "--quiet", "--set-upstream", "origin", "main")
    git(tmp_path, "clone", "--quiet", str(bare), "served")
    return Clone(tmp_path / "served"), ben, bare


def test_without_a_branch_of_its_own_it_is_fast_forwarded_alone(clones: tuple[Clone, Clone, Path]):
    served, ben, _ = clones
    theirs = ben.search("001-000001")
    branch.follow(served.root, None)
    assert served.head == theirs
    branch.follow(served.root, None)  # nothing is new
    assert git(served.root, "branch", "--show-current") == "main"
    served.round("002-000002")
    ben.search("002-000003")
    with pytest.raises(GitError, match=r"origin/main was not taken .* \(data/metrics/fit.json, dvc.lock\): commit"):
        branch.follow(served.root, None)
    git(served.root, "commit", "--quiet", "--all", "--message", "by hand")
    before = served.head
    with pytest.raises(GitError, match=r"have each commits that the other has not.*`run.branch`"):
        branch.follow(served.root, None)
    assert served.head == before


def test_nothing_is_asked_of_git_where_no_branch_is_followed(tmp_path: Path):
    git(tmp_path, "init", "--quiet", "space")
    branch.follow(tmp_path / "space", None)
    with pytest.raises(GitError, match="follows no branch of a server"):
        branch.follow(tmp_path / "space", "retrain")
    with pytest.raises(GitError, match="is not in a git repository"):
        branch.follow(tmp_path, "retrain")
    assert branch.written(tmp_path) == []


def test_what_was_written_is_committed_and_pushed_on_a_branch_of_its_own(clones: tuple[Clone, Clone, Path]):
    served, ben, bare = clones
    main = git(bare, "rev-parse", "main")
    branch.follow(served.root, "retrain")
    assert branch.keep(served.root, "retrain", "nothing") is None
    assert not branch.publish(served.root, "retrain")  # nothing of its own
    served.round("001-000001")
    served.write("notes.txt", "a person's\n")
    served.write("flows/mine.py", "# a person's\n")
    git(served.root, "add", "flows/mine.py")  # what waits in the index stays there
    assert branch.written(served.root) == ["data/metrics/fit.json", "data/rounds/001-000001.json", "dvc.lock"]
    commit = branch.keep(served.root, "retrain", "Round 001-000001 accepted")
    assert commit == served.head
    assert served.dirty == "A  flows/mine.py\n?? notes.txt"
    assert branch.publish(served.root, "retrain")
    assert git(bare, "rev-parse", "retrain") == commit
    assert (git(bare, "rev-parse", "main"), git(bare, "branch", "--list").split()) == (main, ["*", "main", "retrain"])
    assert not branch.publish(served.root, "retrain")
    git(ben.root, "pull", "--quiet")
    assert ben.names == {"000"}  # it is Ben who merges it
    git(ben.root, "merge", "--quiet", "origin/retrain")
    git(ben.root, "push", "--quiet")
    branch.follow(served.root, "retrain")
    assert served.head == ben.head
    assert not branch.publish(served.root, "retrain")


def test_what_colleagues_push_is_merged_again_and_again(clones: tuple[Clone, Clone, Path]):
    served, ben, bare = clones
    branch.follow(served.root, "retrain")
    for turn in (1, 3, 5):
        served.round(f"{turn:03d}-000001")
        theirs = ben.search(f"{turn + 1:03d}-000002")
        branch.keep(served.root, "retrain", "by a schedule")
        branch.publish(served.root, "retrain")
        git(served.root, "pull", "--quiet")  # as whoever logs in would, without being asked how
        branch.follow(served.root, "retrain")
        assert git(served.root, "merge-base", "HEAD", theirs) == theirs
        assert served.dirty == ""
    assert served.names == {"000", *(f"{turn:03d}-00000{2 - turn % 2}" for turn in range(1, 7))}
    branch.publish(served.root, "retrain")
    assert git(bare, "rev-parse", "retrain") == served.head
    assert git(bare, "rev-parse", "main") == ben.head


def test_a_merge_for_a_person_is_taken_back_and_told(clones: tuple[Clone, Clone, Path]):
    served, ben, _ = clones
    branch.follow(served.root, "retrain")
    served.round("001-000001")
    served.write("params.yaml", "sample:\n  size: 12\n")
    branch.keep(served.root, "retrain", "by a schedule")
    ben.write("params.yaml", "sample:\n  size: 20\n")
    ben.search("001-000002")
    before = served.head
    for _ in range(2):  # it is the same the next time: nothing is left in the middle
        with pytest.raises(GitError, match=r"have both changed params.yaml, which only a person can merge"):
            branch.follow(served.root, "retrain")
        assert (served.head, served.dirty) == (before, "")
    branch.publish(served.root, "retrain")  # what it has still reaches the team


def test_a_merge_that_was_cut_off_is_taken_back_but_not_a_persons(clones: tuple[Clone, Clone, Path]):
    served, ben, _ = clones
    branch.follow(served.root, "retrain")
    served.write("params.yaml", "sample:\n  size: 12\n")
    branch.keep(served.root, "retrain", "by a schedule")
    ben.write("params.yaml", "sample:\n  size: 20\n")
    ben.search("001-000002")
    git(served.root, "fetch", "--quiet")
    git(served.root, "merge", "--quiet", "origin/main", check=False)
    with pytest.raises(GitError, match=r"is in the middle of a merge.*`git merge --abort`"):
        branch.keep(served.root, "retrain", "by a schedule")
    git(served.root, "merge", "--abort")
    git(served.root, "merge", "--quiet", "-m", f"{branch._MERGES}origin/main", "origin/main", check=False)
    assert branch.keep(served.root, "retrain", "by a schedule") is None
    assert served.dirty == ""


def test_a_branch_that_is_ahead_on_the_server_is_told_apart(clones: tuple[Clone, Clone, Path]):
    served, ben, _ = clones
    branch.follow(served.root, "retrain")
    served.round("001-000001")
    branch.keep(served.root, "retrain", "one")
    branch.publish(served.root, "retrain")
    git(ben.root, "fetch", "--quiet")
    git(ben.root, "switch", "--quiet", "retrain")
    ben.search("002-000002")
    served.round("003-000003")
    branch.keep(served.root, "retrain", "two")
    with pytest.raises(BehindError, match="has commits there that are not here"):
        branch.publish(served.root, "retrain")
    branch.follow(served.root, "retrain")
    assert branch.publish(served.root, "retrain")
    assert served.names == {"000", "001-000001", "002-000002", "003-000003"}


def test_what_git_refuses_is_one_sentence(clones: tuple[Clone, Clone, Path], monkeypatch: pytest.MonkeyPatch):
    served, _, bare = clones
    served.round("001-000001")
    with pytest.raises(GitError, match=r"no name of a branch: mend it"):
        branch.keep(served.root, "re train", "x")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    with pytest.raises(GitError, match=r"git knows no name to commit with in .*user.email"):
        branch.keep(served.root, "retrain", "x")
    monkeypatch.undo()
    git(served.root, "config", "user.name", "a")
    git(served.root, "config", "user.email", "a@localhost")
    branch.keep(served.root, "retrain", "x")
    hook = bare / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho protected >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(
        GitError, match=r"git cannot push retrain to 'origin': it says \"remote: protected\""
    ) as refused:
        branch.publish(served.root, "retrain")
    assert not isinstance(refused.value, BehindError)
    bare.rename(bare.with_name("gone.git"))
    with pytest.raises(GitError, match=r"git cannot fetch from 'origin': it says .*does not"):
        branch.follow(served.root, "retrain")
    git(served.root, "checkout", "--quiet", "--detach")
    with pytest.raises(GitError, match="is on no branch"):
        branch.follow(served.root, "retrain")


def test_a_server_that_hangs_is_not_waited_for(clones: tuple[Clone, Clone, Path], monkeypatch: pytest.MonkeyPatch):
    served, _, _ = clones
    monkeypatch.setattr(branch, "_PATIENCE", 0.5)
    git(served.root, "remote", "set-url", "origin", "ssh://nowhere/team.git")
    monkeypatch.setenv("GIT_SSH_COMMAND", "sleep 60; true")
    began = time.monotonic()
    with pytest.raises(GitError, match=r"did not fetch from 'origin' within 0.5 s"):
        branch.follow(served.root, None)
    assert time.monotonic() - began < 20
