"""A disk that is full and folders that cannot be written: what was there stays, and the message names it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from analognas.files import file_digest
from analognas.stages import STAGES
from analognas.versioning import Versioning

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1200)]

#: What is left on the full disk, bytes: nothing, or some files but not all.
LEFT = (0, 24_576)
_PAGE = 4_096


class Disk:
    """A small disk in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, left: int) -> None:
        """Leave so many bytes."""
        free = shutil.disk_usage(self.folder).free
        with self._ballast.open("wb") as file:
            for _ in range(max(0, free - left) // _PAGE):
                file.write(bytes(_PAGE))

    def empty(self) -> None:
        """Take the ballast away."""
        self._ballast.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        refused = done.stderr.strip() if done.returncode else ""
    except OSError as error:
        refused = str(error)
    if refused:
        pytest.skip(f"a small disk cannot be mounted here: {refused}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("left", LEFT)
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_on_a_full_disk_says_so_and_goes_on_when_there_is_space(faults: Any, stage: str, left: int, disk: Disk):
    paths = faults.before(stage, disk.folder / "workspace", stored=8)
    disk.fill(left)
    refused = faults.attempt(paths, "stage", stage)
    if refused.code != 0 or left == 0:
        assert refused.code == 2, refused.said
        last = refused.said.splitlines()[-1]
        assert last.startswith(f"analognas: Cannot write {paths.root}"), refused.said
        assert last.endswith("no space left on device; make the folder writable and free some space."), refused.said
    assert "Traceback" not in refused.said
    assert not refused.left
    faults.whole(paths)
    disk.empty()
    again = faults.attempt(paths, "stage", stage)
    assert again.code == 0, again.said
    faults.same(paths, stage)


def test_a_run_on_a_full_disk_says_so_and_goes_on_when_there_is_space(faults: Any, disk: Disk):
    paths = faults.before(STAGES[0], disk.folder / "workspace")
    assert Versioning.init(paths.root) is not None
    run = faults.run(paths)
    run.until("fit")
    disk.fill(0)
    code, said = run.finish()
    assert code != 0, said
    assert "Traceback" not in said, said
    assert "no space left on device" in said.lower(), said
    faults.whole(paths)
    disk.empty()
    code, said = faults.run(paths).finish()
    assert code == 0, said
    faults.complete(paths)


@pytest.mark.parametrize("folder", [".", "data", "data/metrics", "data/plots", "data/results", ".analognas"])
def test_a_folder_that_cannot_be_written_is_named_and_nothing_changes(faults: Any, folder: str, tmp_path: Path):
    """Root may write anywhere: the command gives up that right before it begins."""
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux lets root give up the right to write everywhere")
    paths = faults.before("characterize", tmp_path / "workspace", stored=9)
    for name in ("data/results", ".analognas"):
        (paths.root / name).mkdir(exist_ok=True)
    (paths.root / ".analognas" / "run.lock").unlink(missing_ok=True)
    before = {path: file_digest(path) for path in paths.root.rglob("*") if path.is_file()}
    closed = paths.root / folder
    closed.chmod(0o555)
    try:
        refused = faults.attempt(paths, "stage", "characterize", bound=True)
    finally:
        closed.chmod(0o755)
    if "capset" in refused.said:
        pytest.skip("root's right to write everywhere cannot be given up here")
    assert refused.code == 2, refused.said
    last = refused.said.splitlines()[-1]
    assert last.startswith(f"analognas: Cannot write {closed}"), refused.said
    assert "make the folder writable" in last, refused.said
    assert not refused.left
    if folder != "data/plots":  # what is written before the plots is whole
        known = set(before) | {paths.root / ".analognas" / "run.lock"}
        after = {path: file_digest(path) for path in paths.root.rglob("*") if path.is_file() and path in known}
        assert before.items() <= after.items()
    faults.whole(paths)
    again = faults.attempt(paths, "stage", "characterize")
    assert again.code == 0, again.said
    faults.same(paths, "characterize")
