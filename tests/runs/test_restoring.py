from __future__ import annotations

import shutil
import subprocess
from typing import Any

import pytest

from analognas import tracking
from analognas.errors import BusyError, CorruptFileError, InputError, StageError
from analognas.files import file_digest, read_sealed, write_sealed
from analognas.params import Params
from analognas.params.file import override
from analognas.runs import find, listed
from analognas.runs import restoring as module
from analognas.runs.restoring import restore
from analognas.setup.template import source
from analognas.stages import STAGES
from analognas.versioning import Versioning
from analognas.versioning.dvc_inside import NoRemoteError
from analognas.workspace import Paths


def all_files(paths: Paths) -> dict[str, bytes]:
    """Return what is in a workspace, but for git's and the private files."""
    names = (
        path
        for path in paths.root.rglob("*")
        if path.is_file() and not {".git", ".dvc", ".analognas"} & set(path.parts)
    )
    return {path.relative_to(paths.root).as_posix(): path.read_bytes() for path in names}


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return the outputs that DVC's cache gives in this test, by name."""
    held = {"data/evaluator": "evaluator", "data/winner": "winner", "data/search": "search"}

    def checkout(versioning: Versioning, *_: str) -> None:
        for name, content in held.items():
            (versioning.root / name).mkdir()
            (versioning.root / name / "content").write_text(content)

    def pull(*_: Any) -> Any:
        raise NoRemoteError("No DVC remote is set.")

    monkeypatch.setattr(Versioning, "checkout", checkout)
    monkeypatch.setattr(module, "pull", pull)
    return held


def test_parameters_figures_and_outputs_are_those_of_the_run(past: Paths, cache: dict[str, str]):
    done = restore(past, find(past, "HEAD~1"))
    assert Params.load(past.params).train.epochs == 20
    assert Params.load(past.params).hardware.adc_bits is None
    assert read_sealed(past.metrics("train"), remedy="")["winner"]["acc_1d"] == 96.55
    assert (past.winner / "content").read_text() == "winner"
    assert done.lacking == ("data/architectures.parquet", "data/surrogate.parquet", "data/plots")
    runs = listed(past).runs
    assert (runs[0].current, runs[0].subject) == (True, "first run")


def test_what_was_there_comes_back_byte_for_byte(past: Paths, cache: dict[str, str]):
    override(past.params, ["train.repeats=7"])
    past.metrics("search").unlink()  # in the middle of something: no run came to its end with that
    (past.rounds).mkdir()
    (past.rounds / "001-000001.json").write_text("of nobody's commit")
    before = all_files(past)
    done = restore(past, find(past, "HEAD"))
    assert all_files(past) != before
    assert module.keep_aside(past) != done.kept
    assert module.is_kept(past, done.kept)
    assert not module.is_kept(past, past.winner)
    again = module.bring_back(past, done.kept)
    assert all_files(past) == before
    assert again.sentences()[0] == "What was kept aside is back, byte for byte."
    assert again.kept != done.kept


def test_what_is_kept_nowhere_changes_nothing(past: Paths, cache: dict[str, str]):
    del cache["data/winner"]
    before = all_files(past)
    with pytest.raises(CorruptFileError, match=r"data/winner of the run .* nothing was changed"):
        restore(past, find(past, "HEAD"))
    assert all_files(past) == before


def test_a_failure_in_the_middle_changes_nothing(past: Paths, monkeypatch: pytest.MonkeyPatch):
    def fail(*_: Any) -> None:
        raise StageError("DVC fails.")

    monkeypatch.setattr(Versioning, "checkout", fail)
    before = all_files(past)
    with pytest.raises(StageError):
        restore(past, find(past, "HEAD"))
    assert all_files(past) == before


def test_a_file_that_was_not_there_before_is_gone_after_a_failure(past: Paths, cache: dict[str, str]):
    run = find(past, "HEAD")
    (past.root / "dvc.lock").unlink()
    cache.clear()
    with pytest.raises(CorruptFileError):
        restore(past, run)
    assert not (past.root / "dvc.lock").exists()


def test_parameters_that_were_edited_before_the_commit_are_those_of_the_run(
    past: Paths, histories: Any, cache: dict[str, str]
):
    override(past.params, ["train.epochs=99"])
    histories.commit(past, "with an edit")
    restore(past, find(past, "HEAD"))
    assert Params.load(past.params).train.epochs == 30


def test_parameters_of_another_version_are_refused(past: Paths, histories: Any, cache: dict[str, str]):
    past.params.write_text(past.params.read_text().replace("population_size", "populaton_size"))
    histories.commit(past, "another version")
    before = all_files(past)
    with pytest.raises(InputError, match="none of this version's"):
        restore(past, find(past, "HEAD"))
    assert all_files(past) == before


def test_another_run_is_not_disturbed(past: Paths, another_run: Any):
    run = find(past, "HEAD")
    with another_run(past), pytest.raises(BusyError):
        restore(past, run)


@pytest.mark.slow
def test_with_dvc_all_of_a_run_is_up_to_date_again_and_without_its_cache_mlflow_has_it(finished_copy: Paths):
    paths = finished_copy
    for name in (".gitignore", ".dvcignore"):
        shutil.copyfile(source() / name, paths.root / name)
    versioning = Versioning.init(paths.root)
    assert versioning is not None
    versioning.commit("record", *STAGES)
    me = ("git", "-c", "user.name=me", "-c", "user.email=m@example.org")
    subprocess.run(["git", "add", "--all"], cwd=paths.root, check=True)
    subprocess.run([*me, "commit", "-qm", "first"], cwd=paths.root, check=True)
    assert tracking.sync(paths, Params.load(paths.params), versioning).warning is None
    winner, evaluator = file_digest(paths.winner), file_digest(paths.evaluator)
    (paths.winner / "card.md").write_text("another one")
    write_sealed(paths.metrics("train"), read_sealed(paths.metrics("train"), remedy="") | {"notes": ["another one"]})
    override(paths.params, ["train.epochs=3"])
    done = restore(paths, find(paths, "HEAD"))
    assert done.lacking == ()
    assert (file_digest(paths.winner), file_digest(paths.evaluator)) == (winner, evaluator)
    assert all(versioning.looked(STAGES)[stage] == [] for stage in STAGES)
    shutil.rmtree(paths.root / ".dvc" / "cache")
    (paths.winner / "card.md").write_text("another one")
    done = restore(paths, find(paths, "HEAD"))
    assert (file_digest(paths.winner), file_digest(paths.evaluator)) == (winner, evaluator)
    assert "data/search" in done.lacking
