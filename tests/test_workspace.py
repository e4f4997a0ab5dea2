import os
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path

import pytest

from analognas.errors import WorkspaceError
from analognas.workspace import Paths, alone, round_name, round_number, round_sequence


def test_it_is_found_from_below(workspace: Paths):
    assert Paths.find(workspace.rounds) == workspace


def test_outside_of_one_the_remedy_is_named(tmp_path: Path):
    with pytest.raises(WorkspaceError, match="analognas init"):
        Paths.find(tmp_path)


def test_leftovers_of_killed_writers_are_removed(workspace: Paths):
    (workspace.data / ".tmp-search-ab_1cd2e").mkdir()
    (workspace.data / ".tmp-search-ab_1cd2e" / "best.json").write_text("half")
    (workspace.rounds / ".tmp-001.json-ab_1cd2e").write_text("half")
    workspace.clean()
    assert not list(workspace.data.rglob(".tmp*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="another file system error than for root")
def test_an_unusable_data_folder_is_named(tmp_path: Path):
    (tmp_path / "data").write_text("no folder")
    with pytest.raises(WorkspaceError, match=r"Cannot write .*data"):
        Paths(tmp_path).clean()


@pytest.mark.parametrize("folder", ["data", "data/metrics"])
def test_a_read_only_folder_is_named_before_anything_is_written(
    tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch
):
    read_only = tmp_path / folder
    read_only.mkdir(parents=True)
    # Root may write wherever the file system lets her, so the file system is asked.
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != read_only)
    with pytest.raises(WorkspaceError, match=f"Cannot write {read_only}: make the folder writable"):
        Paths(tmp_path).clean()


def test_one_run_at_a_time_and_what_it_calls_belongs_to_it(workspace: Paths):
    def work() -> bool:
        with alone(workspace):
            return True

    with alone(workspace), ThreadPoolExecutor(1) as other:
        assert work()
        assert other.submit(copy_context().run, work).result()  # as Prefect does with the threads of its tasks
        with pytest.raises(WorkspaceError, match="Another run works in"):
            other.submit(work).result()
    with ThreadPoolExecutor(1) as other:
        assert other.submit(work).result()


def test_rounds_are_in_the_order_of_their_sequence(tmp_path: Path):
    paths = Paths(tmp_path)
    paths.rounds.mkdir(parents=True)
    numbers = [0, 7, *(round_number(sequence, name) for sequence, name in ((8, "a"), (8, "b"), (9, "a"), (1000, "a")))]
    for number in reversed(numbers):
        paths.round(number).write_text("")
    for other in ("sentinel.json", "001-12.json", "x-001.json", "001.md"):
        (paths.rounds / other).write_text("")
    assert list(paths.round_files()) == sorted(numbers)
    assert all(paths.round(number) == path for number, path in paths.round_files().items())
    assert [round_sequence(number) for number in sorted(numbers)] == [0, 7, 8, 8, 9, 1000]
    assert (round_name(0), round_name(7)) == ("000", "007")


@pytest.mark.parametrize("folder", ["", "inner"])
def test_a_temporary_copy_for_an_experiment_knows_where_its_results_belong(tmp_path: Path, folder: str):
    copy = tmp_path / ".dvc" / "tmp" / "exps" / "standalone" / "tmpabc"
    (copy / ".git").mkdir(parents=True)
    assert Paths(copy / folder).home == tmp_path / folder
    assert Paths(tmp_path / folder).home == tmp_path / folder


def test_a_temporary_copy_of_a_repository_around_the_workspace_does_too(tmp_path: Path):
    workspace = tmp_path / "outer" / "space"
    copy = workspace / ".dvc" / "tmp" / "exps" / "tmpabc"
    (copy / ".git").mkdir(parents=True)
    (copy / "outer" / "space" / ".dvc").mkdir(parents=True)
    assert Paths(copy / "outer" / "space").home == workspace
