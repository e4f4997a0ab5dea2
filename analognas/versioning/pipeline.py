"""What ``dvc.yaml`` declares of the stages: the one description of what each reads and writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from analognas.errors import CorruptFileError


def declared(root: Path, stage: str) -> tuple[list[Path], list[Path]]:
    """Return what a stage reads (``deps``) and writes (``outs``) by ``dvc.yaml``; nothing if it is not declared."""
    entry = _stages(root / "dvc.yaml").get(stage, {})
    reads, writes = ([root / name for name in _names(entry.get(kind) or ())] for kind in ("deps", "outs"))
    return reads, writes


def is_declared(root: Path, stage: str) -> bool:
    """Return whether ``dvc.yaml`` has a stage; raises CorruptFileError if that is damaged."""
    return stage in _stages(root / "dvc.yaml")


def _stages(path: Path) -> dict[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        stages = YAML(typ="safe").load(path.read_text())["stages"]
        if isinstance(stages, dict) and all(isinstance(entry, dict) for entry in stages.values()):
            return stages
    except (OSError, YAMLError, KeyError, TypeError, UnicodeDecodeError):
        pass
    raise CorruptFileError(
        f"{path} is damaged or missing: restore it from git, or copy it from a new `analognas init`."
    )


def _names(listed: Any) -> Iterator[str]:
    """Yield the paths of a list of outputs, of which each may be a mapping to its options."""
    for output in listed:
        yield from [output] if isinstance(output, str) else output
