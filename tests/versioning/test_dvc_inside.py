import subprocess
import sys
from pathlib import Path

import pytest

from analognas.errors import WorkspaceError
from analognas.versioning import Versioning
from analognas.versioning.dvc_inside import (
    NoRemoteError,
    complaint,
    default_site_cache,
    open_remote,
    reason_of,
    side_by_side,
)
from analognas.versioning.repository import dvc_environment


def dvc(folder: Path, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "dvc", "--quiet", *arguments], cwd=folder, env=dvc_environment(folder), check=True
    )


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a DVC repository with one recorded file and no remote."""
    root = tmp_path_factory.mktemp("repository")
    assert Versioning.init(root) is not None
    (root / "table.txt").write_text("1 2 3\n")
    dvc(root, "add", "table.txt")
    return root


def test_a_remote_is_opened_with_what_is_recorded(repository: Path, tmp_path: Path):
    with pytest.raises(NoRemoteError, match=r"No DVC remote is set .*dvc remote add -d team"):
        open_remote(repository, None, None)
    dvc(repository, "remote", "add", "team", str(tmp_path / "remote"))
    with pytest.raises(NoRemoteError, match=r"name one with --remote \(team\)"):
        open_remote(repository, None, None)
    with pytest.raises(WorkspaceError, match=r"no DVC remote 'tema' \(known: team\)"):
        open_remote(repository, "tema", None)
    found = open_remote(repository, "team", str(tmp_path / "site"))
    assert (found.name, found.path, found.worktree, found.whole) == ("team", str(tmp_path / "remote"), False, False)
    assert found.targets == ("table.txt.dvc",)
    (recorded,) = found.objects
    assert recorded.path.read_text() == "1 2 3\n"
    assert recorded.path.parent.name + recorded.path.name == recorded.hash
    assert sorted(side_by_side(found.fs, abs, [-3, 1, -2])) == [1, 2, 3]


def test_where_dvc_keeps_its_index_may_be_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("DVC_SITE_CACHE_DIR", raising=False)
    assert default_site_cache(str(tmp_path)) == str(tmp_path)
    assert default_site_cache(None) != str(tmp_path)


def test_a_complaint_is_what_dvc_names_as_its_error():
    assert complaint("WARNING: slow\nERROR: the lock is held.\nHaving trouble?\n") == 'it says "the lock is held".'
    assert complaint("fatal: not a git repository\n") == 'it says "fatal: not a git repository".'
    assert complaint("\n") == "it gave no reason; call it yourself to see more."


def test_a_reason_is_one_line():
    assert reason_of(PermissionError(13, "Permission denied", "/x")) == "permission denied"
    assert reason_of("it is full\nTraceback") == 'its library says "it is full"'
