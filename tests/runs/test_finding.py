from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from analognas.errors import InputError
from analognas.files import read_sealed, write_sealed
from analognas.runs import find, listed
from analognas.runs.sources import Commit, Folder
from analognas.versioning import history
from analognas.workspace import Paths


def test_the_runs_of_git_and_the_one_that_is_here_are_listed_newest_first(past: Paths):
    runs = listed(past).runs
    assert [run.subject for run in runs] == [None, "second run", "first run"]
    assert [run.current for run in runs] == [True, False, False]
    assert [run.train["winner"]["acc_1d"] for run in runs] == [90.0, 98.6, 96.55]
    assert [run.params["train"]["epochs"] for run in runs] == [30, 30, 20]
    assert [run.params["hardware"]["adc_bits"] for run in runs] == [5, None, None]
    assert [run.name for run in runs[1:]] == [entry.sha[:9] for entry in history.commits(past.root, 2)]
    assert len(listed(past, 2).runs) == 2
    told = runs[1].to_dict()
    assert (told["data"], told["chip"], told["limits"], told["avm"]) == ("digits", "analognas-bench", "held", 0.4)


def test_a_run_that_is_committed_and_here_is_one(past: Paths, histories: Any):
    histories.commit(past, "third run")
    runs = listed(past).runs
    assert len(runs) == 3
    assert (runs[0].current, runs[0].subject) == (True, "third run")
    assert isinstance(runs[0].source, Folder)
    (past.root / "README").touch()
    write_sealed(past.environment, {"torch": "3"})
    histories.commit(past, "nothing that is a run")
    assert len(listed(past).runs) == 3


def test_what_did_not_come_to_its_end_is_no_run(past: Paths, histories: Any):
    write_sealed(past.metrics("train"), histories.figures(acc_1d=1.0))  # dvc.lock says something else
    histories.commit(past, "half of one")
    assert [run.subject for run in listed(past).runs] == ["second run", "first run"]
    with pytest.raises(InputError, match=r"holds no run that came to its end"):
        find(past, "HEAD")
    with pytest.raises(InputError, match=r"no run came to its end with what it holds now: `analognas run`"):
        find(past, ".")


def test_figures_of_another_version_are_left_out_of_the_list(past: Paths, histories: Any):
    histories.stand(past, {"winner": {"id": "x"}}, "train.epochs=9")
    histories.commit(past, "another version's")
    listing = listed(past)
    assert [run.subject for run in listing.runs] == ["second run", "first run"]
    assert "of another version" in listing.notes[0]


def test_without_git_the_run_that_is_here_is_known(past: Paths):
    shutil.rmtree(past.root / ".git")
    shutil.rmtree(past.root / ".dvc")
    for name in ("architectures.parquet", "surrogate.parquet"):
        (past.data / name).touch()
    (run,) = listed(past).runs
    assert run.train["winner"]["acc_1d"] == 90.0
    assert run.name == str(past.root)


def test_a_run_is_found_by_what_git_calls_it_and_by_its_folder(past: Paths, histories: Any):
    (sha, first) = [entry.sha for entry in history.commits(past.root, 2)]
    assert {find(past, name).commit for name in (sha, sha[:9], "HEAD", "main")} == {sha}
    assert find(past, "HEAD~1").commit == first
    assert isinstance(find(past, "HEAD~1").source, Commit)
    assert find(past, ".").current
    other = histories.empty("other")
    histories.stand(other, histories.figures(acc_1d=77.0), "train.epochs=3")
    run = find(past, str(other.root))
    assert (run.train["winner"]["acc_1d"], run.current, run.folder) == (77.0, False, other.root)


@pytest.mark.parametrize("name", ["nonsense", "--all", "abcdef0123", "HEAD~2", "data"])
def test_what_is_no_run_is_refused_with_the_remedy(past: Paths, name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(past.root)
    with pytest.raises(InputError, match=r"see `analognas runs`|name a workspace"):
        find(past, name)


def test_mlflow_that_is_away_is_a_note(past: Paths, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    listing = listed(past)
    assert len(listing.runs) == 3
    (note,) = listing.notes
    assert note.startswith("Runs that no commit holds may be missing. MLflow at http://127.0.0.1:9")


def test_nothing_is_changed(past: Paths):
    def all_files() -> dict[Path, bytes]:
        names = (path for path in past.root.rglob("*") if path.is_file() and ".git" not in path.parts)
        return {path: path.read_bytes() for path in names}

    before = all_files()
    listed(past)
    find(past, "HEAD")
    assert all_files() == before
    assert read_sealed(past.metrics("train"), remedy="")["winner"]["acc_1d"] == 90.0
