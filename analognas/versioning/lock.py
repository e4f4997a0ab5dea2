"""What ``dvc.lock`` records of the stages: read here, written by DVC alone."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from analognas.errors import CorruptFileError
from analognas.files import CONFLICT, digest, in_conflict
from analognas.yaml_files import read_yaml

_REMEDY = "restore it from git, or delete it and run again"


class Lock:
    """``dvc.lock`` of one workspace.

    Args:
        root: the workspace.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def stage_hash(self, stage: str) -> str | None:
        """Return the hash of what ``dvc.lock`` records of a stage (parameters, inputs, outputs), or None."""
        entry = self.stages().get(stage)
        return None if entry is None else _entry_hash(entry)

    def recorded_hash(self, stage: str) -> str | None:
        """Return :meth:`stage_hash` if ``dvc.lock`` describes what is there: the files, and the inputs as written.

        None if the stage has not been recorded, one of its files is another one now, or a stage before it has
        been recorded with other outputs since. (Folders are only looked for, not read.)
        """
        return self._hash(stage, lambda _: True)

    def kept_hash(self, stage: str) -> str | None:
        """Return :meth:`recorded_hash` of a folder that has but some of the files, as a commit does."""
        return self._hash(stage, Path.exists)

    def _hash(self, stage: str, counts: Callable[[Path], bool]) -> str | None:
        lock = self.stages()
        entry = lock.get(stage)
        if entry is None:
            return None
        written = {out["path"]: out["md5"] for other in lock.values() for out in other.get("outs", [])}
        if any(written.get(dep["path"], dep["md5"]) != dep["md5"] for dep in entry.get("deps", [])):
            return None
        files = {self.root / out["path"]: out["md5"] for out in entry.get("outs", [])}
        whole = all(_is(path, md5) for path, md5 in files.items() if counts(path))
        return _entry_hash(entry) if whole else None

    def stage_params(self, stage: str) -> dict[str, Any] | None:
        """Return the parameters that ``dvc.lock`` records of a stage, or None.

        Keys are dotted names; those of ``data/NAME.json`` begin with ``NAME.``.
        """
        files = self.stages().get(stage, {}).get("params")
        if files is None:
            return None
        prefix = {path: "" if path == "params.yaml" else f"{Path(path).stem}." for path in files}
        return {prefix[path] + key: value for path, values in files.items() for key, value in values.items()}

    def data_hash(self, path: Path) -> str | None:
        """Return DVC's hash of what a stage wrote or read (``MD5``, ending in ``.dir`` for a folder), or None."""
        name = path.relative_to(self.root).as_posix() if path.is_absolute() else path.as_posix()
        stages = self.stages().values()
        for kind in ("outs", "deps"):  # what a stage wrote is newer than what another one has read of it
            for file in (file for entry in stages for file in entry.get(kind, [])):
                if file["path"] == name:
                    return str(file["md5"])
        return None

    def stages(self) -> dict[str, Any]:
        """Return the entry of each stage that is recorded, none if there is no file.

        Raises:
            CorruptFileError: if it is damaged.
        """
        path = self.root / "dvc.lock"
        if not path.exists():
            return {}
        try:
            stages: dict[str, Any] = read_yaml(path, remedy=_REMEDY)["stages"]
            whole = all(map(_is_whole, stages.values()))
        except (CorruptFileError, KeyError, TypeError, AttributeError):
            whole = False
        if not whole and in_conflict(path):
            raise CorruptFileError(f"{path} {CONFLICT}.")
        if not whole:
            raise CorruptFileError(f"{path} is damaged: {_REMEDY}.")
        return stages


def _is_whole(entry: Mapping[str, Any]) -> bool:
    """Return whether a stage's entry in ``dvc.lock`` has all its hashes: a file cut off may still be YAML."""
    files = [*entry.get("deps", []), *entry["outs"]]
    params = entry.get("params", {})
    return all(
        isinstance(file["path"], str) and re.fullmatch(r"[0-9a-f]{32}(\.dir)?", file["md5"]) for file in files
    ) and all(isinstance(name, str) and isinstance(values, dict) for name, values in params.items())


def _entry_hash(entry: dict[str, Any]) -> str:
    return digest({key: entry.get(key) for key in ("params", "deps", "outs")})


def _is(path: Path, md5: str) -> bool:
    if md5.endswith(".dir"):
        return path.is_dir()
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == md5
