from __future__ import annotations

import io
import json
import posixpath
from pathlib import Path
from typing import Any

import pytest

from analognas.errors import CorruptFileError, WorkspaceError
from analognas.files import digest, json_bytes
from analognas.results import result_key
from analognas.testing import made_up_result
from analognas.versioning import remote as module
from analognas.versioning.dvc_inside import Opened
from analognas.versioning.remote import Remote, SharingError
from analognas.versioning.repository import Versioning

FOLDER = "there/analognas/results"
INPUTS, ROW = made_up_result(1)
RESULT = ROW.to_dict()
RECORD = {"format": 1, "inputs": INPUTS, "result": RESULT, "digest": digest([1, INPUTS, RESULT])}
ENTRY = (result_key(INPUTS), str(RECORD["digest"]))


class Memory:
    """A file system that keeps everything by its path; ``fails`` is what it raises instead."""

    jobs = 2

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.fails: Exception | None = None
        self.listed: list[dict[str, Any]] | None = None
        self.moved: list[tuple[str, str]] = []

    join = staticmethod(posixpath.join)
    name = staticmethod(posixpath.basename)

    def _work(self) -> None:
        if self.fails:
            raise self.fails

    def ls(self, folder: str, detail: bool) -> list[dict[str, Any]]:
        self._work()
        assert (folder, detail) == (FOLDER, True)
        found = [{"name": path, "type": "file", "size": len(content)} for path, content in self.files.items()]
        return found if self.listed is None else self.listed

    def makedirs(self, folder: str, exist_ok: bool) -> None:
        self._work()
        assert (folder, exist_ok) == (FOLDER, True)

    def cat_file(self, path: str) -> bytes:
        return self.files[path]

    def pipe_file(self, path: str, content: bytes) -> None:
        self.files[path] = content

    def open(self, path: str, mode: str) -> Any:
        assert mode == "wb"
        files = self.files

        class File(io.BytesIO):
            def close(self) -> None:
                if not self.closed:
                    files[path] = self.getvalue()
                super().close()

        return File()

    def mv(self, source: str, target: str) -> None:
        self._work()
        self.moved.append((source, target))
        self.files[target] = self.files.pop(source)

    def rm_file(self, path: str) -> None:
        del self.files[path]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Let DVC open a file system in memory; what it says of the remote may be changed."""
    said = {
        "name": "team", "path": "there", "fs": Memory(), "worktree": False, "whole": False, "targets": ("fit",),
        "objects": (),
    }  # fmt: skip
    monkeypatch.setattr(Versioning, "problem", lambda root: None)
    monkeypatch.setattr(module, "site_cache", lambda root: None)
    monkeypatch.setattr(module, "open_remote", lambda root, name, site: Opened(**said))
    monkeypatch.setenv("DVC_NO_ANALYTICS", "true")
    return said


def test_a_remote_that_cannot_hold_results_is_refused(opened: dict[str, Any], tmp_path: Path, monkeypatch: Any):
    opened["worktree"] = True
    with pytest.raises(WorkspaceError, match=r"'team' cannot hold results .*: use a folder, SSH or an object store"):
        Remote(tmp_path, None)
    monkeypatch.setattr(Versioning, "problem", lambda root: "it is no repository: run `dvc init`")
    with pytest.raises(WorkspaceError, match=r"^Sharing goes over DVC, but it is no repository: run `dvc init`\.$"):
        Remote(tmp_path, None)


def test_results_are_listed_by_key_and_digest(opened: dict[str, Any], tmp_path: Path):
    there, fs = Remote(tmp_path, None), opened["fs"]
    assert (there.name, there.targets) == ("team", ("fit",))
    there.write(ENTRY, json_bytes(RECORD))
    assert there.entries() == {ENTRY: len(json_bytes(RECORD))}
    name = there.path(ENTRY)
    assert name == f"{FOLDER}/{ENTRY[0]}-{ENTRY[1]}.json"
    fs.listed = [
        {"name": name}, {"name": f"{FOLDER}/{'0' * 64}-{'1' * 64}.json", "type": "directory"},
        {"name": f"{FOLDER}/{'0' * 64}-{'2' * 64}.json", "type": "file", "islink": True},
        {"name": f"{FOLDER}/.tmp-0123", "type": "file"}, {"name": f"{FOLDER}/{'0' * 64}-{'1' * 63}.json"},
        {"name": f"{FOLDER}/{'A' * 64}-{'1' * 64}.json"}, {"name": f"{name}.part"},
    ]  # fmt: skip
    assert there.entries() == {ENTRY: None}
    fs.fails = FileNotFoundError()
    assert there.entries() == {}  # nobody has pushed yet


def test_what_a_remote_refuses_is_one_sentence(opened: dict[str, Any], tmp_path: Path):
    there = Remote(tmp_path, None)
    opened["fs"].fails = PermissionError(13, "Permission denied")
    with pytest.raises(SharingError) as caught:
        there.entries()
    assert str(caught.value) == "The DVC remote 'team' cannot be read: permission denied; see `dvc remote list`."
    assert str(there.hopeless("pull", "permission denied")) == str(caught.value)
    with pytest.raises(SharingError) as caught:
        there.prepare()
    assert str(caught.value) == (
        "The DVC remote 'team' cannot be written: permission denied; ask its owner for write access, or free space."
    )
    assert str(there.hopeless("push", "permission denied")) == str(caught.value)


def test_a_file_appears_whole_or_not_at_all(opened: dict[str, Any], tmp_path: Path):
    there, fs = Remote(tmp_path, None), opened["fs"]
    there.write(ENTRY, b"content")
    ((temporary, target),) = fs.moved
    assert temporary.startswith(f"{FOLDER}/.tmp-")
    assert (target, fs.files) == (there.path(ENTRY), {there.path(ENTRY): b"content"})
    fs.files.clear()
    fs.fails = OSError(28, "No space left on device")
    with pytest.raises(OSError, match="No space left"):
        there.write(ENTRY, b"content")
    assert fs.files == {}


def test_an_object_store_needs_no_renaming(opened: dict[str, Any], tmp_path: Path):
    opened["whole"] = True
    there = Remote(tmp_path, None)
    there.write(ENTRY, b"content")
    assert opened["fs"].files == {there.path(ENTRY): b"content"}
    assert opened["fs"].moved == []


def test_what_is_read_is_what_its_name_says(opened: dict[str, Any], tmp_path: Path):
    there, files = Remote(tmp_path, None), opened["fs"].files
    there.write(ENTRY, json_bytes(RECORD))
    assert there.read(ENTRY) == RECORD
    other = ("0" * 64, ENTRY[1])
    files[there.path(other)] = files[there.path(ENTRY)]
    with pytest.raises(CorruptFileError, match="holds the result of something else: it was left out; delete it there"):
        there.read(other)
    for content in (b"{", b"", b"[" * 100_000, json.dumps(RECORD | {"result": {"id": "b"}}).encode()):
        files[there.path(ENTRY)] = content
        with pytest.raises(CorruptFileError, match=r"is damaged .*: it was left out"):
            there.read(ENTRY)


def test_many_are_done_side_by_side_and_a_failure_stops_no_other(opened: dict[str, Any], tmp_path: Path):
    def work(entry: tuple[str, str]) -> str:
        if entry[0] == "b":
            raise OSError("gone")
        return entry[0].upper()

    done = dict(Remote(tmp_path, None).each(work, [(letter, "") for letter in "abc"]))
    assert (done["a", ""], done["c", ""]) == ("A", "C")
    assert isinstance(done["b", ""], OSError)
