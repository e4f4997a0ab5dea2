"""The parameters that a run had: those that were recorded of its stages, or what its file says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from analognas.errors import AnalogNASError
from analognas.params import Params
from analognas.stages.protocols import RECORD, STAGES
from analognas.versioning.lock import Lock
from analognas.yaml_files import read_yaml

#: Sections that change no result, and are not recorded.
APART = ("run", "retrain")


def recorded(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the parameters by section of the run whose ``dvc.lock`` or ``params.yaml`` lies in a folder.

    What was not recorded has the value of its default. Of another version's parameters those are returned that are
    still known; nothing if the files are damaged.
    """
    try:
        known = _of_lock(Lock(folder)) or read_yaml(folder / "params.yaml", remedy="")
        sections = _known(known)
    except (AnalogNASError, AttributeError):
        return {}
    return {name: values for name, values in sections.items() if name not in APART}


def _of_lock(lock: Lock) -> dict[str, Any]:
    sections: dict[str, Any] = {}
    for stage in (RECORD, *STAGES):
        for name, value in (lock.stage_params(stage) or {}).items():
            section, _, key = name.partition(".")
            if section not in Params.model_fields or (section == "dataset" and stage != RECORD):
                continue  # there `dataset.` is what data/dataset.json recorded
            if not key:
                sections[section] = value  # of `hardware` that may be a plain name
            elif isinstance(sections.setdefault(section, {}), dict):
                owner, (*inner, last) = sections[section], key.split(".")
                for part in inner:
                    owner = owner.setdefault(part, {})
                owner[last] = value
    return sections


def _known(sections: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return valid parameters; of those of another version what is still valid by itself."""
    given = {name: values for name, values in sections.items() if name in Params.model_fields and values is not None}
    try:
        whole: dict[str, dict[str, Any]] = Params.model_validate(given).model_dump(mode="json")
        return whole
    except ValueError:
        return {
            name: dict(values) if isinstance(values, dict) else {"rpu_config": values} for name, values in given.items()
        }
