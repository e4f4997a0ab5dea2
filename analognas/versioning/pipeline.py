"""What ``dvc.yaml`` declares of the stages: the one description of what each reads and writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from analognas.errors import CorruptFileError
from analognas.yaml_files import read_yaml

_REMEDY = "restore it from git, or copy it from a new `analognas init`"


def declared(root: Path, stage: str) -> tuple[list[Path], list[Path]]:
    """Return what a stage reads (``deps``) and writes (``outs``) by ``dvc.yaml``; nothing if it is not declared."""
    entry = _stages(root / "dvc.yaml").get(stage, {})
    reads, writes = ([root / name for name in _names(entry.get(kind) or ())] for kind in ("deps", "outs"))
    return reads, writes


def is_declared(root: Path, stage: str) -> bool:
    """Return whether ``dvc.yaml`` has a stage; raises CorruptFileError if that is damaged."""
    return stage in _stages(root / "dvc.yaml")


def _stages(path: Path) -> dict[str, Any]:
    content = read_yaml(path, remedy=_REMEDY)
    stages = content.get("stages") if isinstance(content, dict) else None
    if not isinstance(stages, dict) or not all(map(_is_stage, stages.values())):
        raise CorruptFileError(f"{path} is damaged (no stages with what they read and write): {_REMEDY}.")
    return stages


def _is_stage(entry: Any) -> bool:
    """Return whether an entry lists what a stage reads and writes, or nothing of that."""
    if not isinstance(entry, dict):
        return False
    lists = [entry.get(kind) or [] for kind in ("deps", "outs")]
    return all(isinstance(listed, list) for listed in lists) and all(
        isinstance(output, str) or (isinstance(output, dict) and all(isinstance(name, str) for name in output))
        for listed in lists
        for output in listed
    )


def _names(listed: Any) -> Iterator[str]:
    """Yield the paths of a list of outputs, of which each may be a mapping to its options."""
    for output in listed:
        yield from [output] if isinstance(output, str) else output
