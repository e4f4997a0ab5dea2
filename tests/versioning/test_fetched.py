from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from analognas.files import read_sealed
from analognas.versioning.fetched import CachedObject, put, spoiled


@pytest.mark.parametrize("relpath", ["../x", "/x", "a/../../x", "", "."])
def test_a_listing_that_was_recorded_so_is_refused_too(tmp_path: Path, relpath: str):
    content = json.dumps([{"md5": "0" * 32, "relpath": relpath}]).encode()
    name = hashlib.md5(content).hexdigest()
    path = tmp_path / name[:2] / name[2:]
    path.parent.mkdir()
    path.write_bytes(content)
    assert spoiled([CachedObject(f"{name}.dir", path)], tmp_path / "known.json") == [f"{name}.dir"]
    assert not path.exists()


def test_what_was_hashed_before_is_not_hashed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    name = hashlib.md5(b"a\n").hexdigest()
    path = tmp_path / "file"
    for content, lines in ((b"a\n", False), (b"a\r\n", True)):
        path.write_bytes(content)
        one = CachedObject(name, path, lines)
        assert spoiled([one], tmp_path / "known.json") == []
        with monkeypatch.context() as no:
            no.setattr("analognas.versioning.fetched._is_recorded", None)
            assert spoiled([one], tmp_path / "known.json") == []
    path.write_bytes(b"b\n")
    assert spoiled([one], tmp_path / "known.json") == [name]


def recorded(cache: Path, content: bytes, ending: str = "") -> CachedObject:
    """Put a file into DVC's cache, under its own hash."""
    name = hashlib.md5(content).hexdigest()
    path = cache / name[:2] / f"{name[2:]}{ending}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return CachedObject(name + ending, path)


def listing(cache: Path, *entries: CachedObject) -> CachedObject:
    named = [{"md5": one.hash, "relpath": f"sub/{place}"} for place, one in enumerate(entries)]
    return recorded(cache, json.dumps(named).encode(), ".dir")


def test_what_is_as_recorded_stays_and_what_is_not_there_is_left_to_dvc(tmp_path: Path):
    inside = [recorded(tmp_path, b"a"), recorded(tmp_path, b"b")]
    folder = listing(tmp_path, *inside)
    absent = CachedObject("0" * 32, tmp_path / "00" / "0")
    assert spoiled([folder, absent], tmp_path / "known.json") == []
    assert all(one.path.is_file() for one in (folder, *inside))
    assert set(read_sealed(tmp_path / "known.json", remedy="")) == {one.hash for one in (folder, *inside)}


def test_a_file_of_a_folder_that_was_changed_is_removed_and_the_others_stay(tmp_path: Path):
    good, bad = recorded(tmp_path, b"a"), recorded(tmp_path, b"b")
    folder = listing(tmp_path, good, bad)
    bad.path.write_bytes(b"evil")
    assert spoiled([folder], tmp_path / "known.json") == [bad.hash]
    assert (folder.path.exists(), good.path.exists(), bad.path.exists()) == (True, True, False)


def test_a_changed_listing_is_removed_before_what_it_names_is_looked_at(tmp_path: Path):
    folder = listing(tmp_path, recorded(tmp_path, b"a"))
    other = recorded(tmp_path, b"b")
    folder.path.write_text(json.dumps([{"md5": other.hash, "relpath": "x"}]))
    other.path.write_bytes(b"evil")
    assert spoiled([folder], tmp_path / "known.json") == [folder.hash]
    assert other.path.exists()


@pytest.mark.parametrize("known", ["", "{", "[" * 100_000, "[1]", '{"x": 1}'])
def test_a_damaged_memory_only_costs_time(tmp_path: Path, known: str):
    one = recorded(tmp_path, b"a")
    (tmp_path / "known.json").write_text(known)
    assert spoiled([one], tmp_path / "known.json") == []
    one.path.write_bytes(b"evil")
    assert spoiled([one], tmp_path / "known.json") == [one.hash]


@pytest.mark.parametrize(
    "entry", [{"relpath": "x"}, {"md5": "../x", "relpath": "x"}, {"md5": "A" * 32, "relpath": "x"}, 3]
)
def test_a_listing_with_another_hash_than_dvcs_is_refused(tmp_path: Path, entry: object):
    one = recorded(tmp_path, json.dumps([entry]).encode(), ".dir")
    assert spoiled([one], tmp_path / "known.json") == [one.hash]
    assert not one.path.exists()


def test_a_folder_comes_out_of_the_cache_whole_or_not_at_all(tmp_path: Path):
    cache = tmp_path / "cache"
    inside = [recorded(cache, b"a"), recorded(cache, b"b")]
    folder = listing(cache, *inside)
    assert put(folder, tmp_path / "whole")
    assert [(tmp_path / "whole" / "sub" / name).read_bytes() for name in "01"] == [b"a", b"b"]
    inside[1].path.write_bytes(b"c")
    assert not put(folder, tmp_path / "changed")
    inside[1].path.unlink()
    assert not put(folder, tmp_path / "gone")
    outside = recorded(cache, json.dumps([{"md5": inside[0].hash, "relpath": "../x"}]).encode(), ".dir")
    assert not put(outside, tmp_path / "outside")
    assert not put(CachedObject("0" * 32 + ".dir", cache / "00" / "0"), tmp_path / "unknown")
    assert {path.name for path in tmp_path.iterdir()} == {"cache", "whole"}
