import contextlib
import errno
import json
import os
import random
import re
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analognas import files
from analognas.errors import CorruptFileError, WorkspaceError


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_half(path: Path) -> None:
    with files.writing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError


def write_half_a_directory(path: Path) -> None:
    with files.writing_directory(path) as folder:
        (folder / "b").write_text("2")
        raise RuntimeError


def test_canonical_json_does_not_depend_on_order_and_refuses_nan():
    assert files.canonical_json({"b": 1, "a": [1.5, None]}) == '{"a":[1.5,null],"b":1}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.canonical_json(float("nan"))


def test_a_failed_write_leaves_the_old_file_and_no_leftover(tmp_path: Path):
    target = tmp_path / "deep" / "file.txt"
    files.write_text(target, "old")
    with pytest.raises(RuntimeError):
        write_half(target)
    assert target.read_text() == "old"
    assert names(target.parent) == ["file.txt"]


def test_a_directory_is_replaced_whole_or_not_at_all(tmp_path: Path):
    target = tmp_path / "model"
    with files.writing_directory(target) as folder:
        (folder / "a").write_text("1")
    with pytest.raises(RuntimeError):
        write_half_a_directory(target)
    assert names(target) == ["a"]
    with files.writing_directory(target) as folder:
        (folder / "b").write_text("2")
    assert names(target) == ["b"]
    assert names(tmp_path) == ["model"]


def test_what_a_killed_writer_left_is_removed(tmp_path: Path):
    (tmp_path / ".tmp-x.json-ab_1cd2e").write_text("half")
    (tmp_path / ".tmp-model-ab_1cd2e").mkdir()
    (tmp_path / ".tmp-notes").write_text("somebody's")
    (tmp_path / "x.json").write_text("{}")
    files.remove_leftovers(tmp_path)
    assert names(tmp_path) == [".tmp-notes", "x.json"]


def test_a_folder_that_a_killed_writer_had_only_moved_aside_comes_back(tmp_path: Path):
    for name in (".tmp-model-ab_1cd2e", ".tmp-model-ab_1cd2e-old", ".tmp-other-x-ab_1cd2e-old", "other-x"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "name").write_text(name)
    files.remove_leftovers(tmp_path)
    assert names(tmp_path) == ["model", "other-x"]
    assert (tmp_path / "model" / "name").read_text() == ".tmp-model-ab_1cd2e-old"
    assert (tmp_path / "other-x" / "name").read_text() == "other-x"  # the new one had taken its place


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What is forced to the disk, in order."""
    done: list[Path] = []
    monkeypatch.setattr(os, "fsync", lambda handle: done.append(Path(f"/proc/self/fd/{handle}").readlink()))
    return done


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="names open files as Linux does")
def test_new_folders_are_forced_to_the_disk_with_the_file(tmp_path: Path, synced: list[Path]):
    files.write_text(tmp_path / "a" / "b" / "x.txt", "x")
    assert synced[:2] == [tmp_path, tmp_path / "a"]
    assert synced[2].name.startswith(".tmp-x.txt-")
    assert synced[3:] == [tmp_path / "a" / "b"]


def test_what_did_not_reach_the_disk_does_not_get_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    target = tmp_path / "x.txt"
    files.write_text(target, "old")

    def fail(number: int) -> None:
        def fsync(handle: int) -> None:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "fsync", fsync)

    fail(errno.ENOSPC)
    with pytest.raises(WorkspaceError, match=r"Cannot write .*x\.txt: no space left on device; .*free some space"):
        files.write_text(target, "new")
    assert target.read_text() == "old"
    assert names(tmp_path) == ["x.txt"]
    fail(errno.EINVAL)  # a file system that cannot sync: nothing can be done about it
    files.write_text(target, "new")
    assert target.read_text() == "new"


def test_what_cannot_be_read_is_not_called_damaged(tmp_path: Path):
    with pytest.raises(WorkspaceError, match=r"cannot be read \(is a directory\)"):
        files.read_json(tmp_path, remedy="do this")


def test_an_unwritable_place_is_named_with_the_remedy(tmp_path: Path):
    (tmp_path / "data").write_text("a file where a folder is wanted")
    with pytest.raises(WorkspaceError, match=r"Cannot write .*x\.json.*make the folder writable"):
        files.write_text(tmp_path / "data" / "x.json", "{}")


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe"])
def test_damaged_json_is_named_with_the_remedy(tmp_path: Path, content: bytes):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match=r"x\.json is damaged.*: do this\."):
        files.read_json(path, remedy="do this")


def test_missing_files_are_named_with_the_remedy(tmp_path: Path):
    with pytest.raises(CorruptFileError, match=r"x\.json is missing: do this\."):
        files.read_json(tmp_path / "x.json", remedy="do this")
    with pytest.raises(CorruptFileError, match=r"x\.parquet is missing: do this\."):
        files.read_parquet(tmp_path / "x.parquet", remedy="do this")


def test_parquet_round_trips_gives_the_same_bytes_and_is_refused_when_truncated(tmp_path: Path):
    path = tmp_path / "x.parquet"
    frame = pd.DataFrame({"id": ["a", "b"], "acc_1d": [1.5, float("nan")]})
    files.write_parquet(path, frame)
    first = path.read_bytes()
    files.write_parquet(path, frame)
    assert path.read_bytes() == first
    pd.testing.assert_frame_equal(files.read_parquet(path, remedy=""), frame)
    path.write_bytes(first[:-20])
    with pytest.raises(CorruptFileError, match="is damaged"):
        files.read_parquet(path, remedy="")


def test_a_cut_off_database_is_damaged_and_a_missing_or_empty_or_locked_one_is_not(tmp_path: Path):
    path = tmp_path / "x.db"
    assert not files.is_damaged_database(path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("create table one (text)")
        connection.executemany("insert into one values (?)", [("x" * 1000,)] * 100)
        connection.commit()
        assert not files.is_damaged_database(path)
        connection.execute("begin exclusive")
        assert not files.is_damaged_database(path)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:100], b"no database " * 1000):
        path.write_bytes(damaged)
        assert files.is_damaged_database(path)
    path.write_bytes(b"")
    assert not files.is_damaged_database(path)


def test_the_digest_of_a_directory_sees_names_and_contents(tmp_path: Path):
    for folder, name, text in (("a", "x", "1"), ("b", "x", "1"), ("c", "y", "1"), ("d", "x", "2")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(text)
    digests = [files.file_digest(tmp_path / folder) for folder in "abcd"]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_the_cache_folder_is_the_named_one_or_the_platforms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("ANALOGNAS_DATA", str(tmp_path))
    assert files.cache_folder() == tmp_path
    monkeypatch.setenv("ANALOGNAS_DATA", "~/there")
    assert files.cache_folder().is_absolute()
    monkeypatch.delenv("ANALOGNAS_DATA")
    assert "analognas" in files.cache_folder().name


def test_the_root_of_a_workspace_is_found_from_below(tmp_path: Path):
    below = tmp_path / "flows" / "more"
    below.mkdir(parents=True)
    (tmp_path / "params.yaml").touch()
    assert files.workspace_root(below) is None
    (tmp_path / "dvc.yaml").touch()
    assert files.workspace_root(below) == files.workspace_root(tmp_path) == tmp_path


def test_what_may_not_be_looked_into_is_no_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    closed = tmp_path / "home" / "work"
    stat = os.stat

    def refused(path: Any, *arguments: Any, **options: Any) -> Any:
        if Path(path).is_relative_to(closed.parent):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", refused)  # root may look into everything
    assert files.workspace_root(closed) is None
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).touch()
    assert files.workspace_root(closed) == tmp_path


SEALED = {"name": "größer", "nested": {"value": 0.8123, "list": [1, None, True, "text"]}, "digest": "its own"}


def test_a_sealed_object_comes_back_and_holds_its_checksum(tmp_path: Path):
    path = tmp_path / "x.json"
    files.write_sealed(path, SEALED)
    assert files.read_sealed(path, remedy="") == SEALED
    again = json.loads(path.read_text(encoding="utf-8"))
    assert set(again) == {*SEALED, "checksum"}
    first = path.read_bytes()
    files.write_sealed(path, again)
    assert path.read_bytes() == first
    path.write_text(json.dumps(again, indent=None))  # white space and the order of keys say nothing
    assert files.read_sealed(path, remedy="") == SEALED
    files.write_sealed(path, {1: "keys are text", 10: "in JSON", 2: ""})
    assert files.read_sealed(path, remedy="") == {"1": "keys are text", "10": "in JSON", "2": ""}


def test_no_bit_of_a_sealed_object_may_mean_something_else(tmp_path: Path):
    path, draw = tmp_path / "x.json", random.Random(0)
    whole = files.sealed_bytes(SEALED)
    refused = 0
    for _ in range(600):
        content = bytearray(whole)
        content[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)
        said = None
        try:
            assert files.read_sealed(path, remedy="do this") == SEALED  # white space
        except CorruptFileError as error:
            said = str(error)
        refused += said is not None
        assert said is None or re.fullmatch(r"[^\n]*x\.json is damaged[^\n]*: do this\.", said)
    assert refused > 550


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b"3", b'"text"', b"{}", b'{"checksum": null}', b'{"a": NaN, "checksum": "0"}', b"\xff\xfe{}",
     "{}".encode("utf-16"), b"[" * 100_000, b'{"a":' * 100_000, b'{"a":' * 900 + b"1" + b"}" * 900, b"1" * 10_000,
     b'{"checksum": "0", "a": "\\ud800"}', b"\x00" * 1000],
)  # fmt: skip
def test_what_is_no_sealed_object_is_one_sentence(tmp_path: Path, content: bytes):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(CorruptFileError, match=r"^[^\n]{1,300}x\.json is damaged[^\n]{1,200}: do this\.$"):
        files.read_sealed(path, remedy="do this")


def test_a_folder_is_not_written_over_a_file_nor_a_file_over_a_folder(tmp_path: Path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(WorkspaceError, match="it is a file"), files.writing_directory(tmp_path / "file"):
        pass
    (tmp_path / "folder").mkdir()
    with pytest.raises(WorkspaceError, match="it is a folder"):
        files.write_text(tmp_path / "folder", "x")
    assert names(tmp_path) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "mine"


def test_a_table_of_another_program_or_in_a_folder_is_one_sentence(tmp_path: Path):
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(CorruptFileError, match=r"was not written by analognas .*: do this\.$"):
        files.read_parquet(tmp_path / "x.parquet", remedy="do this")
    (tmp_path / "y.parquet").mkdir()
    with pytest.raises(WorkspaceError, match="is a directory"):
        files.read_parquet(tmp_path / "y.parquet", remedy="do this")


def test_an_object_without_a_digest_is_taken_where_it_may_be_a_persons(tmp_path: Path):
    (tmp_path / "round.json").write_text('{"architectures": []}')
    assert files.read_sealed(tmp_path / "round.json", remedy="", bare=True) == {"architectures": []}
    with pytest.raises(CorruptFileError, match="it has no checksum"):
        files.read_sealed(tmp_path / "round.json", remedy="")
    (tmp_path / "round.json").write_text('{"architectures": [], "checksum": ["0"]}')
    with pytest.raises(CorruptFileError, match="its checksum does not fit"):
        files.read_sealed(tmp_path / "round.json", remedy="", bare=True)
