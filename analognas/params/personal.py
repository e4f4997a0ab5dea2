"""What each person sets for herself, in no file that git shares: how the flow runs, and what her experiment is called.

The section ``run`` decides no result, so it may differ between people: in ``params.local.yaml`` beside
``params.yaml``, which git ignores, and in variables of the environment (``ANALOGNAS_RUN_EXPERIMENT``), which win over
both files. No stage reads it, and DVC knows of neither.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from analognas.errors import ParamsError
from analognas.params.text import load_document, plain, scalar
from analognas.plugins import nearest
from analognas.workspace import Paths

FILE = "params.local.yaml"
PREFIX = "ANALOGNAS_RUN_"
_SECTION = "run"
#: What stands in no file that git shares, since it holds secrets or is a command, and the variable that wins over the
#: file: whom to tell, and who takes what a retraining wrote.
OWN = {"notify": "ANALOGNAS_NOTIFY", "hand_over": "ANALOGNAS_HAND_OVER"}


def settings(folder: Path, keys: Collection[str]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the values of the section ``run`` that a person set in a workspace, and where: what comes last wins.

    Args:
        folder: of ``params.yaml``; in a temporary experiment of DVC, those of the workspace count.
        keys: of the section.

    Raises:
        ParamsError: if the file holds another section, or a variable names no key.
    """
    given: list[tuple[str, Mapping[str, Any]]] = []
    values = _of_the_file(folder)
    if values is not None:
        given.append((FILE, {key: value for key, value in values.items() if key not in OWN}))
    for name, text in sorted(os.environ.items()):
        if not name.startswith(PREFIX) or not text.strip():  # a variable that is empty is one that is not set
            continue
        key = name.removeprefix(PREFIX).lower()
        if key not in keys:
            names = [f"{PREFIX}{known.upper()}" for known in keys]
            raise ParamsError(f"{name} sets no parameter: {nearest(name, names)}")
        given.append((name, {key: scalar(text) if text.strip().isdigit() and key == "workers" else text.strip()}))
    return given


def own(folder: Path, key: str) -> str | None:
    """Return a setting that is nobody's but a person's (one of ``OWN``), None if she has not set it.

    Args:
        folder: of ``params.yaml``.
        key: of the section ``run``.

    Raises:
        ParamsError: if the file holds another section, or something else than text.
    """
    text = os.environ.get(OWN[key], "").strip()
    if text:
        return text
    value = (_of_the_file(folder) or {}).get(key)
    if value is not None and not (isinstance(value, str) and value.strip()):
        raise ParamsError(f"{Paths(folder).home / FILE}: run.{key} is no text: put it in quotes.")
    return None if value is None else value.strip()


def _of_the_file(folder: Path) -> Mapping[str, Any] | None:
    """Return the section ``run`` of a person's own file, None if there is no file."""
    file = Paths(folder).home / FILE
    if not file.exists():
        return None
    sections = plain(load_document(file))
    if not isinstance(sections, Mapping) or set(sections) - {_SECTION}:
        raise ParamsError(
            f"{file} may hold the section run and nothing else, since git does not share it: write what decides "
            "results into params.yaml."
        )
    values = sections.get(_SECTION)
    if values is not None and not isinstance(values, Mapping):
        raise ParamsError(f"{file}: section run has no keys; write them below it, e.g. experiment: anna.")
    return values or {}


def refuse(values: Mapping[str, Any], folder: Path, keys: Collection[str]) -> None:
    """Refuse values by ``section.key`` for ``params.yaml`` that would have no effect here.

    Raises:
        ParamsError: if a person set one of them for herself.
    """
    for source, own in settings(folder, keys):
        for key in own:
            if f"{_SECTION}.{key}" in values:
                raise ParamsError(f"run.{key} is set by {source}, which wins over params.yaml: change it there.")
