from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from analognas.errors import CorruptFileError, ParamsError, WorkspaceError
from analognas.files import read_json, write_json
from analognas.params.text import load_document
from analognas.setup.template import source
from analognas.versioning.lock import Lock
from analognas.versioning.merging import FOLLOWS, Merged, install_driver, merge
from analognas.workspace import Paths, round_name, round_number

pytestmark = pytest.mark.usefixtures("git_knows_anna")


def git(folder: Path, *arguments: str, check: bool = True) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, check=check, capture_output=True, text=True)
    return done.stdout


class Team:
    """A repository with a workspace in it, in which two people work on branches of their own."""

    def __init__(self, root: Path) -> None:
        self.paths = Paths(root / "space")
        self.paths.rounds.mkdir(parents=True)
        git(root, "init", "--quiet")
        self.write("params.yaml", "sample:\n  size: 10\n")
        self.write("dvc.yaml", "stages: {}\n")
        self.write("dvc.lock", "who: nobody\n")
        self.round("000", [])
        self.commit("main")

    def write(self, name: str, text: str) -> None:
        path = self.paths.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def round(self, number: str, ids: list[str], decision: str = "accepted", **more: object) -> None:
        content = {"architectures": [{"id": name} for name in ids], "decision": decision, **more}
        write_json(self.paths.rounds / f"{number}.json", content)

    def commit(self, branch: str) -> None:
        git(self.paths.root, "add", "--all", ".")
        git(self.paths.root, "commit", "--quiet", "--message", branch)

    def both(self) -> None:
        """Let Anna retrain and Ben search, each with a round 001."""
        for name, ids, more in (("anna", ["a", "b"], {"record": {"comparison": {}}}), ("ben", ["c"], {})):
            git(self.paths.root, "checkout", "--quiet", "-b", name, "main")
            self.round("001", ids, **more)
            self.write("dvc.lock", f"who: {name}\n")
            self.write("data/metrics/fit.json", json.dumps({"who": name}))
            if name == "anna":
                self.write("data/rounds/001.md", "what Anna's retraining decided\n")
            self.commit(name)

    def merge(self, mine: str, theirs: str) -> Merged:
        git(self.paths.root, "checkout", "--quiet", mine)
        git(self.paths.root, "merge", "--no-edit", theirs, check=False)
        return merge(self.paths)

    def files(self) -> dict[str, str]:
        names = git(self.paths.root, "ls-files").split()
        return {name: (self.paths.root / name).read_text() for name in names if name.startswith("data/rounds")}


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return Team(tmp_path)


def test_both_rounds_stay_under_the_same_names_whoever_merges(team: Team):
    team.both()
    done = team.merge("anna", "ben")
    assert (done.settled, done.left) == (("data/metrics/fit.json", "dvc.lock"), ())
    assert list(done.rounds) == ["001"]
    assert done.rounds["001"].startswith("002-")
    assert git(team.paths.root, "ls-files", "--unmerged") == ""
    of_anna = team.files()
    git(team.paths.root, "commit", "--quiet", "--no-edit")
    git(team.paths.root, "checkout", "--quiet", "ben")
    git(team.paths.root, "merge", "--quiet", "anna~1", check=False)
    merge(team.paths)
    assert team.files() == of_anna
    listed = {name: json.loads(text)["architectures"] for name, text in of_anna.items() if name.endswith(".json")}
    assert sorted(len(architectures) for architectures in listed.values()) == [0, 1, 2]
    (note,) = (name for name in of_anna if name.endswith(".md"))
    assert len(listed[note.replace(".md", ".json")]) == 2  # the note is beside Anna's round
    git(team.paths.root, "commit", "--quiet", "--no-edit")
    git(team.paths.root, "merge", "--quiet", "--no-edit", "anna", check=False)
    assert (merge(team.paths).rounds, team.files()) == ({}, of_anna)  # the two merges agree on the rounds


def test_a_number_is_free_if_it_is_on_both_sides(team: Team):
    team.both()
    team.round("002-123456", ["d"])
    team.commit("ben")
    (now,) = team.merge("anna", "ben").rounds.values()
    assert now.startswith("003-")
    numbers = [round_name(number) for number in team.paths.round_files()]
    assert numbers == ["000", "001", "002-123456", now]


def test_rounds_of_two_names_are_merged_by_git_alone(team: Team):
    for name in ("anna", "ben"):
        git(team.paths.root, "checkout", "--quiet", "-b", name, "main")
        team.round(round_name(round_number(1, name)), [name])
        team.commit(name)
    assert team.merge("anna", "ben") == Merged((), {}, ())
    assert len(team.paths.round_files()) == 3


def test_of_one_round_the_decision_is_kept(team: Team):
    for name, decision in (("anna", "pending"), ("ben", "rejected")):
        git(team.paths.root, "checkout", "--quiet", "-b", name, "main")
        team.round("001", ["a"], decision)
        team.commit(name)
    done = team.merge("anna", "ben")
    assert (done.rounds, done.left) == ({}, ())
    assert json.loads((team.paths.rounds / "001.json").read_text())["decision"] == "rejected"


def test_what_only_a_person_can_merge_is_left_and_named(team: Team):
    for name, size, decision in (("anna", 20, "accepted"), ("ben", 30, "rejected")):
        git(team.paths.root, "checkout", "--quiet", "-b", name, "main")
        team.write("params.yaml", f"sample:\n  size: {size}\n")
        team.round("001", ["a"], decision)
        team.commit(name)
    done = team.merge("anna", "ben")
    assert done.left == ("data/rounds/001.json", "params.yaml")
    assert "Left to you: data/rounds/001.json, params.yaml." in str(done)
    for read, error in (
        (lambda: load_document(team.paths.params), ParamsError),
        (lambda: read_json(team.paths.rounds / "001.json", remedy="never"), CorruptFileError),
    ):
        with pytest.raises(error, match="holds both sides of a merge that git could not end: run `analognas merge`"):
            read()


def test_a_lock_in_conflict_is_not_called_damaged(team: Team):
    team.both()
    git(team.paths.root, "checkout", "--quiet", "anna")
    git(team.paths.root, "merge", "ben", check=False)
    with pytest.raises(CorruptFileError, match="holds both sides of a merge"):
        Lock(team.paths.root).stages()


def test_of_two_sentinel_sets_the_same_one_stays_whoever_merges(team: Team):
    kept = set()
    for name in ("anna", "ben"):
        git(team.paths.root, "checkout", "--quiet", "-b", name, "main")
        team.round("sentinel", [name])
        team.commit(name)
    for mine, theirs in (("anna", "ben"), ("ben", "anna")):
        assert team.merge(mine, theirs).settled == ("data/rounds/sentinel.json",)
        kept.add((team.paths.rounds / "sentinel.json").read_text())
        git(team.paths.root, "reset", "--quiet", "--hard")
    assert len(kept) == 1


def test_with_its_driver_git_merges_what_follows_by_itself(team: Team):
    (team.paths.root / ".gitattributes").write_bytes((source() / ".gitattributes").read_bytes())
    team.commit("main")
    team.both()
    git(team.paths.root, "checkout", "--quiet", "anna")
    install_driver(team.paths.root)
    git(team.paths.root, "merge", "ben", check=False)
    unmerged = {line.split("\t")[1] for line in git(team.paths.root, "ls-files", "--unmerged").splitlines()}
    assert unmerged == {"data/rounds/001.json"}
    assert (team.paths.root / "dvc.lock").read_text() == "who: anna\n"


def test_the_template_names_the_driver_for_all_that_follows():
    lines = (source() / ".gitattributes").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [f"/{name} merge=analognas" for name in FOLLOWS]


def test_without_a_conflict_or_a_repository_nothing_is_done(team: Team, tmp_path_factory: pytest.TempPathFactory):
    assert str(merge(team.paths)) == "git has merged everything."
    with pytest.raises(WorkspaceError, match="not in a git repository"):
        merge(Paths(tmp_path_factory.mktemp("elsewhere")))
