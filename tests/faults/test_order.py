"""A power cut: what a name stands for is on the disk before it has the name, and the name is too when it matters.

Nobody can cut the power in a test. What decides is the order in which a program asks for things, so that is noted:
a rename is durable and whole if what is renamed was forced to the disk before, and the folder afterwards.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from analognas.results import ResultStore
from analognas.stages import STAGES
from analognas.workspace import Paths


def events(faults: Any, paths: Paths, stage: str, note: Path) -> list[list[str]]:
    """Return what a stage forced to the disk, renamed and linked in the workspace, in order."""
    done = subprocess.run(
        [sys.executable, "-m", "analognas", "stage", stage],
        cwd=paths.root, env=faults.environment(FAULTS_ORDER=str(note)), check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: list[list[str]] = [json.loads(line) for line in note.read_text().splitlines()]
    return [event for event in found if event[-1].startswith(str(paths.root))]


def durable(order: list[list[str]]) -> set[str]:
    """Hold every rename of a temporary file or folder against what was forced to the disk; return the final names."""
    final = set()
    forced: set[str] = set()
    for place, (kind, *names) in enumerate(order):
        if kind == "sync":
            forced.add(names[0])
            continue
        source, target = names
        if "/.tmp-" not in source or target.endswith("-old"):  # the latter is only moved out of the way
            continue
        after = [event[1] for event in order[place:] if event[0] == "sync"]
        assert source in forced, f"{target} could be empty after a power cut"
        inside = {name.replace(target, source, 1) for name in map(str, Path(target).rglob("*"))}
        assert inside <= forced, f"{target} could lack {inside - forced}"
        assert str(Path(target).parent) in after, f"the name {target} could be lost"
        forced.add(target)  # the same file by another name
        final.add(target)
    return final


@pytest.mark.faults
@pytest.mark.parametrize("stage", STAGES)
def test_everything_is_on_the_disk_before_it_has_its_name(faults: Any, stage: str, tmp_path: Path):
    paths = faults.before(stage, tmp_path / "workspace")
    order = events(faults, paths, stage, tmp_path / "order")
    final = durable(order)
    written = list(faults.outputs(paths, stage))
    if stage == "characterize":
        store = ResultStore.of(paths.root)
        written += [store.path(key) for key in store.keys()]  # noqa: SIM118
        # A new folder's own name, too: the store's and those in it.
        synced = {event[1] for event in order if event[0] == "sync"}
        assert {str(store.root), str(paths.data)} <= synced
    assert set(map(str, written)) <= final


def test_the_check_sees_what_a_power_cut_would_lose(tmp_path: Path):
    temporary, target = str(tmp_path / ".tmp-a"), str(tmp_path / "a")
    good = [["sync", temporary], ["replace", temporary, target], ["sync", str(tmp_path)]]
    assert durable(good) == {target}
    for bad in ([good[1], good[0], good[2]], good[1:], good[:2]):
        with pytest.raises(AssertionError, match="could be"):
            durable(bad)
