"""Fixtures of sharing: two clones of one workspace with a folder as remote."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from analognas.versioning import Versioning
from analognas.workspace import Paths

_DVC_YAML = """
stages:
  sample:
    cmd: "true"
    outs: [data/architectures]
  fit:
    cmd: "true"
    deps: [data/architectures]
    outs: [data/evaluator]
"""


def _git(root: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@localhost")
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, capture_output=True)


def _point_to(paths: Paths, url: str, **options: str) -> None:
    lines = ["[core]", "    remote = team", '[remote "team"]', f"    url = {url}"]
    lines += [f"    {name} = {value}" for name, value in options.items()]
    (paths.root / ".dvc" / "config.local").write_text("\n".join(lines) + "\n")


@pytest.fixture
def point_to() -> Callable[..., None]:
    """Return a function that sets the remote of a workspace: address, and options by name."""
    return _point_to


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace under git and DVC in which nothing has run; for reading only."""
    root = tmp_path_factory.mktemp("sharing") / "workspace"
    root.mkdir()
    for name, text in (("dvc.yaml", _DVC_YAML), ("params.yaml", "base: {seed: 0}\n"), (".gitignore", "/data/\n")):
        (root / name).write_text(text)
    assert Versioning.init(root) is not None
    _git(root, "add", "-A")
    _git(root, "commit", "-m", "start")
    return root


@pytest.fixture
def team(empty: Path, tmp_path: Path) -> tuple[Paths, Paths]:
    """Two clones of one workspace with one folder as remote."""
    both = tmp_path / "anna", tmp_path / "ben"
    for root in both:
        shutil.copytree(empty, root, symlinks=True)
        _point_to(Paths(root), str(tmp_path / "remote"))
    return Paths(both[0]), Paths(both[1])
