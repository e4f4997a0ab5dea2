"""What docs/security.md promises of a remote: it writes only in the workspace, and only what was recorded."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from analognas.errors import AnalogNASError
from analognas.files import json_bytes
from analognas.results import ResultStore
from analognas.testing import made_up_result
from analognas.versioning import Versioning, sharing
from analognas.versioning.remote import Remote
from analognas.versioning.repository import dvc_environment
from analognas.workspace import Paths

# DVC runs as a program, several times in each.
pytestmark = pytest.mark.timeout(300)


def point_to(root: Path, url: str) -> None:
    text = f"[core]\n    remote = team\n['remote \"team\"']\n    url = {url}\n"
    (root / ".dvc" / "config.local").write_text(text)


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace and its remote, made once: DVC takes seconds for it."""
    place = tmp_path_factory.mktemp("pushed")
    root = place / "workspace"
    (root / "data" / "evaluator").mkdir(parents=True)
    (root / "data" / "evaluator" / "schema.json").write_text("{}")
    (root / "params.yaml").write_text("base: {seed: 0}\n")
    (root / "dvc.yaml").write_text("stages: {fit: {cmd: 'true', outs: [data/evaluator]}}\n")
    (root / ".gitignore").write_text("/data/\n")
    versioning = Versioning.init(root)
    assert versioning is not None
    point_to(root, f"{place}/there")
    versioning.commit("fit")
    ResultStore.of(root).put(*made_up_result(1))
    assert sharing.push(Paths(root)).problems == []
    return place


@pytest.fixture
def shared(pushed: Path, tmp_path: Path) -> Paths:
    """A workspace with a remote, in which a folder and a result were pushed."""
    shutil.copytree(pushed, tmp_path, dirs_exist_ok=True)
    point_to(tmp_path / "workspace", f"{tmp_path}/there")
    return Paths(tmp_path / "workspace")


def forget(paths: Paths) -> None:
    """Let a workspace be as if it had just been cloned."""
    for name in ("data", ".dvc/cache", ".dvc/tmp", ".analognas"):
        shutil.rmtree(paths.root / name, ignore_errors=True)


def test_a_listing_on_a_remote_names_no_file_outside_of_the_workspace(shared: Paths, tmp_path: Path):
    forget(shared)
    (listing,) = (tmp_path / "there").rglob("*.dir")
    whole = listing.read_bytes()
    evil = tmp_path / "there" / "files" / "md5" / hashlib.md5(b"evil").hexdigest()[:2]
    evil.mkdir(exist_ok=True)
    (evil / hashlib.md5(b"evil").hexdigest()[2:]).write_bytes(b"evil")
    entry = {"md5": hashlib.md5(b"evil").hexdigest(), "relpath": "../../../evil.txt"}
    listing.chmod(0o644)
    listing.write_text(json.dumps([*json.loads(whole), entry]))
    for _ in range(2):
        done = sharing.pull(shared)
        assert "are not what was recorded" in done.problems[0]
        assert done.data == "No data was taken."
        assert not (shared.evaluator).exists()
        assert not list(tmp_path.rglob("evil.txt"))
    listing.write_bytes(whole)
    assert sharing.pull(shared).problems == []
    assert (shared.evaluator / "schema.json").read_text() == "{}"
    checkout = [sys.executable, "-m", "dvc", "checkout", "--force"]  # nor does DVC remember it
    subprocess.run(checkout, cwd=shared.root, env=dvc_environment(shared.root), check=True, capture_output=True)
    assert not list(tmp_path.rglob("evil.txt"))


def test_a_file_that_was_changed_on_a_remote_is_not_taken(shared: Paths, tmp_path: Path):
    forget(shared)
    name = hashlib.md5(b"{}").hexdigest()
    file = tmp_path / "there" / "files" / "md5" / name[:2] / name[2:]
    file.chmod(0o644)
    file.write_text('{"changed": 1}')
    assert name in sharing.pull(shared).problems[0]
    assert not shared.evaluator.exists()
    file.write_text("{}")
    assert sharing.pull(shared).problems == []


def test_links_and_devices_on_a_remote_are_no_results(shared: Paths, tmp_path: Path):
    forget(shared)
    folder = tmp_path / "there" / "analognas" / "results"
    (result,) = folder.iterdir()
    content = result.read_bytes()
    result.unlink()
    result.symlink_to("/dev/zero")
    os.mkfifo(folder / f"{'0' * 64}-{'1' * 64}.json")
    (folder / f"{'2' * 64}-{'3' * 64}.json").symlink_to(shared.params)
    (folder / f"{'4' * 64}-{'5' * 64}.json").mkdir()
    (folder / f"{'6' * 64}-{'7' * 64}.json").write_bytes(b"0" * (2 << 20))
    done: list[Any] = []
    pulling = threading.Thread(target=lambda: done.append(sharing.pull(shared)), daemon=True)
    pulling.start()
    pulling.join(60)
    assert done[0].copied == 0
    (problem,) = done[0].problems
    assert problem.endswith("is too large for a result: it was left out; delete it there.")
    ResultStore.of(shared.root).put(*made_up_result(1))
    assert sharing.push(shared).copied == 1  # the whole file takes the link's place
    assert not result.is_symlink()
    assert result.read_bytes() == content


@pytest.mark.parametrize("name", ["../../../x.json", f"{'0' * 64}-{'1' * 64}.json/../x", f"{'0' * 64}/../x-y.json", ""])
def test_names_in_a_listing_cannot_leave_the_store(shared: Paths, monkeypatch: pytest.MonkeyPatch, name: str):
    there = Remote(shared.root, None)
    monkeypatch.setattr(type(there.fs), "ls", lambda *_, **__: [{"name": f"/there/{name}", "type": "file", "size": 1}])
    assert there.entries() == {}


def test_a_result_that_lies_about_itself_is_left_out(shared: Paths, tmp_path: Path):
    forget(shared)
    (result,) = (tmp_path / "there" / "analognas" / "results").iterdir()
    record = json.loads(result.read_text())
    result.write_bytes(json_bytes(record | {"inputs": {"architecture": "../../../evil"}}))
    done = sharing.pull(shared)
    assert (done.copied, len(done.problems)) == (0, 1)


def test_dvc_keeps_its_pickled_index_in_the_workspace(shared: Paths, monkeypatch: pytest.MonkeyPatch):
    site = shared.root / ".dvc" / "tmp" / "site"
    assert dvc_environment(shared.root)["DVC_SITE_CACHE_DIR"] == str(site)
    assert site.is_dir()  # made by the commit and the push
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", "/mine")
    assert dvc_environment(shared.root)["DVC_SITE_CACHE_DIR"] == "/mine"
    monkeypatch.delenv("DVC_SITE_CACHE_DIR")
    with (shared.root / ".dvc" / "config").open("a") as config:
        config.write("    site_cache_dir = /mine\n")
    assert "DVC_SITE_CACHE_DIR" not in dvc_environment(shared.root)


def test_what_dvc_complains_about_tells_no_password(shared: Paths):
    point_to(shared.root, "https://anna:not-told@127.0.0.1:9/x")
    with pytest.raises(AnalogNASError) as caught:
        sharing.push(shared)
    assert "not-told" not in str(caught.value)
