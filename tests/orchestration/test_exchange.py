"""A scheduled workspace and a colleague: two real clones, a bare repository and a folder as DVC's remote."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analognas import tracking
from analognas.errors import StageError
from analognas.files import file_digest
from analognas.orchestration import exchange, flow_run, retraining, sessions, stage
from analognas.params import Params
from analognas.setup.template import source
from analognas.stages import characterize as characterize_stage
from analognas.stages import inputs
from analognas.stages.rounds import Entry, next_round, write_round
from analognas.versioning import Versioning, sharing
from analognas.workspace import Paths

pytestmark = pytest.mark.usefixtures("git_knows_anna")


def git(folder: Path, *arguments: str, check: bool = True) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, check=check, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("share", "scheduled", "wanted"),
    [("scheduled", True, True), ("scheduled", False, False), ("always", False, True), ("never", True, False)],
)
def test_which_retrainings_share_is_a_setting(share: str, scheduled: bool, wanted: bool):
    params = Params.validated({"run": {"share": share}})
    assert exchange.wanted(params, scheduled=scheduled) is wanted


def test_a_folder_of_ones_own_shares_nothing_and_says_nothing(tmp_path: Path, make_workspace: Callable[..., Paths]):
    paths = make_workspace(tmp_path / "own")
    params = Params.load(paths.params)
    assert exchange.begin(paths, params) == []
    assert exchange.end(paths, params, {"retrained": False}) == []
    assert exchange.problem(paths) is None


def test_what_cannot_be_done_is_told_and_kept(tmp_path: Path, make_workspace: Callable[..., Paths]):
    paths = make_workspace(tmp_path / "own", "run.branch=retrain")
    params = Params.load(paths.params)
    (said,) = exchange.begin(paths, params)
    assert said == f"{paths.root} is not in a git repository, so there is no team to follow and nothing to commit to."
    assert exchange.problem(paths) == said
    git(paths.root, "init", "--quiet")
    (said,) = exchange.begin(paths, params)
    assert said.startswith(f"The branch retrain of {paths.root} follows no branch of a server")
    assert exchange.problem(paths) == said


def test_what_was_written_is_handed_to_a_command(
    tmp_path: Path, make_workspace: Callable[..., Paths], monkeypatch: pytest.MonkeyPatch
):
    paths = make_workspace(tmp_path / "own")
    params = Params.load(paths.params)
    git(paths.root, "init", "--quiet")
    monkeypatch.setenv("ANALOGNAS_HAND_OVER", "cat > handed.json; pwd >> handed.json")
    done = {"retrained": True, "round": 0, "decision": "rejected", "reason": "no gain"}
    assert exchange.end(paths, params, done) == []
    text, where = (paths.root / "handed.json").read_text().splitlines()[:1], paths.root
    content = json.loads(text[0].removesuffix(str(where)))
    assert (content["workspace"], content["commit"], content["retraining"]) == (str(paths.root), None, done)
    assert "data/rounds/000.json" in content["files"]
    monkeypatch.setenv("ANALOGNAS_HAND_OVER", "echo no token=abc >&2; exit 3")
    (said,) = exchange.end(paths, params, done)
    assert said == 'The command of run.hand_over ended with code 3 ("no token=***"): call it by hand to see.'
    assert exchange.problem(paths) == said


@pytest.fixture
def team(retrained: Paths, formula: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Paths, Paths, Path]:
    """The workspace of a schedule and a colleague's, both cloned from one server, with one DVC remote."""
    monkeypatch.setattr(tracking, "sync", lambda *_: tracking.SyncReport())
    for name in (".gitignore", ".gitattributes", ".dvcignore"):
        shutil.copyfile(source() / name, retrained.root / name)
    versioning = Versioning.init(retrained.root)
    assert versioning is not None
    versioning.commit("record", "sample", "characterize", "fit")
    bare = tmp_path / "team.git"
    git(tmp_path, "init", "--quiet", "--bare", str(bare))
    config = retrained.root / ".dvc" / "config"
    remote = f"['remote \"team\"']\n    url = {tmp_path / 'remote'}\n"
    config.write_text(config.read_text().replace("[core]", "[core]\n    remote = team") + remote)
    git(retrained.root, "add", "--all", ".")
    git(retrained.root, "commit", "--quiet", "--message", "start")
    git(retrained.root, "remote", "add", "origin", str(bare))
    git(retrained.root, "push", "--quiet", "--set-upstream", "origin", "main")
    assert sharing.push(retrained).problems == []
    git(tmp_path, "clone", "--quiet", str(bare), "ben")
    ben = Paths(tmp_path / "ben")
    assert sharing.pull(ben).problems == []
    (retrained.root / "params.local.yaml").write_text("run: {branch: retrain}\n")
    return retrained, ben, bare


def by_schedule(paths: Paths, formula: Any, meanwhile: Callable[[], None] = lambda: None) -> retraining.Retraining:
    """The flow of a retraining without Prefect's server, as a schedule starts it."""
    with retraining.session(paths.root, force=True) as going:
        if retraining.ask():
            retraining.sentinel()
            retraining.propose()
            formula.all(paths)
            meanwhile()
            retraining.challenge()
            retraining.decide()
        stage("characterize")
        retraining.refit()
    return going


def searches(paths: Paths, formula: Any, seed: int) -> None:
    """Do as a member does: characterize something, run, commit, push."""
    params = Params.load(paths.params)
    space = inputs.space(params, paths)
    added = next_round(paths, [Entry(one) for one in space.sample(2, seed=seed)], "promising", purpose="search")
    write_round(paths, added)
    formula.all(paths)
    with sessions.session(paths.root):
        stage("characterize")
        stage("fit")
    git(paths.root, "add", "--all", "params.yaml", "dvc.lock", "data")
    git(paths.root, "commit", "--quiet", "--message", f"a search {seed}")
    assert sharing.push(paths).problems == []
    git(paths.root, "push", "--quiet")


def untrained(paths: Paths) -> int:
    return len(characterize_stage.pending(Params.load(paths.params), paths))


@pytest.mark.team
@pytest.mark.timeout(900)
def test_a_schedule_and_a_colleague_do_not_block_each_other_and_nothing_is_trained_twice(
    team: tuple[Paths, Paths, Path], formula: Any, monkeypatch: pytest.MonkeyPatch
):
    served, ben, bare = team
    monkeypatch.setattr(flow_run, "by_a_schedule", lambda: True)
    first = by_schedule(served, formula, meanwhile=lambda: searches(ben, formula, 5))
    assert first.notes == []
    assert first.round is not None
    assert git(served.root, "branch", "--show-current") == "retrain"
    assert git(served.root, "status", "--porcelain") == ""
    assert git(bare, "rev-parse", "retrain") == git(served.root, "rev-parse", "HEAD")
    assert git(bare, "log", "-1", "--format=%s", "retrain").startswith("Round 001-")
    assert git(bare, "rev-parse", "main") == git(ben.root, "rev-parse", "HEAD")

    git(served.root, "pull", "--quiet")  # Ben's first push does not block it
    assert git(ben.root, "pull", "--quiet") == ""
    assert sharing.pull(ben).problems == []
    git(ben.root, "merge", "--quiet", "--no-edit", "origin/retrain")
    assert untrained(ben) == 0
    rounds = {path.name for path in ben.round_files().values()}
    assert {path.name for path in served.round_files().values()} == rounds
    assert len(rounds) == 3
    git(ben.root, "push", "--quiet")

    searches(ben, formula, 6)
    second = by_schedule(served, formula)
    assert second.notes == []
    assert exchange.problem(served) is None
    assert {path.name for path in served.round_files().values()} > rounds
    assert git(served.root, "merge-base", "HEAD", "origin/main") == git(ben.root, "rev-parse", "HEAD")
    git(ben.root, "pull", "--quiet", "origin", "retrain")  # a fast-forward: all of Ben's is in it
    assert sharing.pull(ben).problems == []
    assert untrained(ben) == 0
    assert file_digest(ben.evaluator) == file_digest(served.evaluator)
    assert len(formula.asked) == len(set(formula.asked))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_is_away_is_told_and_made_up_for(
    team: tuple[Paths, Paths, Path], formula: Any, monkeypatch: pytest.MonkeyPatch
):
    served, ben, bare = team
    monkeypatch.setattr(flow_run, "by_a_schedule", lambda: True)
    remote = bare.with_name("remote")
    for folder in (bare, remote):
        folder.rename(folder.with_name(f"{folder.name}-away"))
    remote.touch()  # no folder can be made there
    done = by_schedule(served, formula)
    assert done.round is not None
    assert any("git cannot fetch from 'origin'" in note for note in done.notes)
    assert any("The DVC remote 'team' cannot be" in note for note in done.notes)
    assert "git cannot fetch" in (exchange.problem(served) or "")
    assert git(served.root, "status", "--porcelain") == ""  # it is committed, for the next time
    remote.unlink()
    for folder in (bare, remote):
        folder.with_name(f"{folder.name}-away").rename(folder)

    again = retraining.run_retraining(served, Params.load(served.params), taken=[])  # nothing to retrain
    assert (again.round, again.notes) == (None, [])
    assert git(bare, "rev-parse", "retrain") == git(served.root, "rev-parse", "HEAD")
    git(ben.root, "pull", "--quiet", "origin", "retrain")
    assert sharing.pull(ben).problems == []
    assert untrained(ben) == 0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_retraining_that_fails_pushes_what_it_characterized(
    team: tuple[Paths, Paths, Path], formula: Any, monkeypatch: pytest.MonkeyPatch
):
    served, ben, _ = team
    monkeypatch.setattr(flow_run, "by_a_schedule", lambda: True)

    def fails() -> None:
        raise StageError("the disk is full.")

    with pytest.raises(StageError, match="the disk is full"):
        by_schedule(served, formula, meanwhile=fails)
    assert sharing.pull(ben).copied == len(formula.asked)
