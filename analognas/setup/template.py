"""``analognas init``: a new workspace from the one that this package was made with.

A wheel carries the workspace files of the repository; an editable install finds them beside the package.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from analognas.errors import WorkspaceError
from analognas.files import told
from analognas.workspace import Paths

Preparing = Callable[[Paths, Mapping[str, Any]], Any]

_FILES = (
    "params.yaml",
    "dvc.yaml",
    "prefect.yaml",
    "flows/pipeline.py",
    "flows/retrain.py",
    "data/rounds/000.json",
    ".gitignore",
    ".gitattributes",
    ".dvcignore",
)


def source() -> Path:
    """Return the folder that holds the template.

    Raises:
        WorkspaceError: if this installation has none.
    """
    package = Path(str(files("analognas")))
    for folder in (package / "_template", package.parent):
        if (folder / "dvc.yaml").is_file() and (folder / "params.yaml").is_file():
            return folder
    raise WorkspaceError(f"{package} carries no workspace template: install analognas anew.")


def home(dataset: str, path: str | None) -> Path:
    """Return the folder, in the current one, of the workspace that is made for data without being asked for."""
    name = dataset if path is None else Path(path).expanduser().resolve().name
    plain = re.sub(r"[^\w.-]+", "-", name).strip("-.")
    return Path.cwd() / f"analognas-{plain or 'workspace'}"


def create(target: Path, values: Mapping[str, Any], prepare: Preparing | None = None) -> Paths:
    """Make a workspace and return where everything in it is.

    The folder appears whole or not at all. Outside a git work tree it becomes a git repository; DVC is set up
    in it where DVC and git can be used, and a first commit holds it where git can be left to make one.

    Args:
        target: a folder that does not exist yet, or is empty.
        values: by ``section.key``, which the new ``params.yaml`` starts with.
        prepare: makes the workspace ready instead of ``preparing.prepare``, whose first arguments it takes.

    Raises:
        WorkspaceError: if the folder is not empty, cannot be written, or is ignored by git.
        ParamsError: if a value is not valid.
        DatasetError: if the dataset cannot be read.
    """
    from analognas.setup import preparing
    from analognas.versioning import Versioning, git, merging

    target = target.resolve()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise WorkspaceError(f"{target} exists and is not empty: name another folder.")
    git.refuse_ignored(target)
    # A folder that is there stays the same one: somebody may stand in it, or it is the root of a volume.
    there = target.is_dir()
    missing = [parent for parent in target.parents if not parent.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target if there else target.parent))
    except OSError as error:
        raise WorkspaceError(f"Cannot write {target}: {told(error)}; name a folder in a writable place.") from None
    try:
        building.chmod(0o755)
        template = source()
        for name in _FILES:
            (building / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(template / name, building / name)
        if prepare is None:
            preparing.prepare(Paths(building), values)
        else:
            prepare(Paths(building), values)
        Versioning.init(building)
        git.refuse_ignored(building, called=target)  # by rules that are for all repositories of a person
        if there:
            _move_up(building)
        else:
            building.rename(target)
    except OSError as error:
        raise WorkspaceError(f"Cannot write {target}: {told(error)}; free some space, then try again.") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
        if not target.exists():
            for parent in missing:
                with contextlib.suppress(OSError):
                    parent.rmdir()
    merging.install_driver(target)
    git.first_commit(target)
    return Paths(target)


def _move_up(folder: Path) -> None:
    """Move everything in a folder into the one above it, or nothing."""
    moved: list[Path] = []
    try:
        # What makes a folder a workspace comes last.
        for path in sorted(folder.iterdir(), key=lambda path: path.name == "params.yaml"):
            moved.append(folder.parent / path.name)
            path.rename(moved[-1])
    except BaseException:
        for path in moved:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        raise
