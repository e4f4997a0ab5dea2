"""The parameters that the figures of a workspace were made with, and which of them have other values now."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analognas.workspace import Paths


def budget(paths: Paths) -> int | None:
    """Return the most parameters that the winner could have; None if there was no limit.

    As DVC recorded it of the search; without DVC as ``params.yaml`` has it now.
    """
    from analognas.params import Params
    from analognas.versioning import Versioning

    versioning = Versioning.find(paths.root)
    recorded = None if versioning is None else versioning.stage_params("search")
    params = Params.load(paths.params)
    with suppress(KeyError, ValueError):  # nothing recorded, or by a version with other parameters
        params = Params.model_validate({name: (recorded or {})[name] for name in ("search", "space")})
    limits = (params.search.max_nb_param, params.space.max_params)
    return min((limit for limit in limits if limit is not None), default=None)


def changed_parameters(paths: Paths) -> list[str]:
    """Return the parameters whose values are others now than DVC has recorded of the stages; [] without DVC."""
    from analognas.params import Params
    from analognas.stages.protocols import RECORD, STAGES
    from analognas.versioning import Versioning

    versioning = Versioning.find(paths.root)
    if versioning is None:
        return []
    now = Params.load(paths.params).model_dump(mode="json")
    differing: dict[str, None] = {}  # a set in order
    for stage in (RECORD, *STAGES):
        then: dict[str, Any] = {}
        compared: list[tuple[str, str]] = []
        for name, value in (versioning.stage_params(stage) or {}).items():
            section, _, key = name.partition(".")
            if section not in now or (section == "dataset" and stage != RECORD):
                continue  # there `dataset.` is what data/dataset.json recorded
            if key:
                then.setdefault(section, {})[key] = value
            else:
                then[section] = value  # of `hardware` that may be a plain name
            compared += [(section, parameter) for parameter in ([key] if key else now[section])]
        try:
            before = Params.model_validate(then).model_dump(mode="json")
        except ValueError:  # recorded by a version with other parameters
            differing.update(dict.fromkeys(then))
            continue
        changed = [f"{section}.{key}" for section, key in compared if before[section][key] != now[section][key]]
        differing.update(dict.fromkeys(changed))
    return list(differing)
