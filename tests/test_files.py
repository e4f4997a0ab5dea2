from pathlib import Path

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
    (tmp_path / ".tmp-x.json-abc").write_text("half")
    (tmp_path / ".tmp-model-abc").mkdir()
    (tmp_path / "x.json").write_text("{}")
    files.remove_leftovers(tmp_path)
    assert names(tmp_path) == ["x.json"]


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


def test_the_digest_of_a_directory_sees_names_and_contents(tmp_path: Path):
    for folder, name, text in (("a", "x", "1"), ("b", "x", "1"), ("c", "y", "1"), ("d", "x", "2")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(text)
    digests = [files.file_digest(tmp_path / folder) for folder in "abcd"]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3
