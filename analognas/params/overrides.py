"""What ``--set section.key=value`` means: read once, where the command line is, and passed on as values by key."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from functools import cache
from typing import Any

from analognas.errors import ParamsError
from analognas.params.sections import Params, known_keys, nearest
from analognas.params.text import scalar
from analognas.params.values import parse_count
from analognas.section import kinds

#: How a text says that there is no value.
_NULL = ("null", "~")


def parse(assignments: Iterable[str]) -> dict[str, Any]:
    """Return ``section.key=value`` assignments as values by ``section.key``, as ``params.yaml`` would give them.

    A key that takes text takes it as it stands, whatever it would mean in YAML (``Run #3``, ``2026-01-01``, ``08``);
    quotes around it are left out.

    Raises:
        ParamsError: if one of them is not of this form, names an unknown key, has no value, or one key has two.
    """
    values: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = (part.strip() for part in assignment.partition("="))
        section, _, name = key.partition(".")
        if not equals or not name:
            raise ParamsError(f"--set {assignment}: write it as section.key=value, e.g. search.population_size=40.")
        if f"{section}.{name.partition('.')[0]}" not in known_keys():
            raise ParamsError(f"--set {assignment}: unknown key {key}{nearest(key)}")
        if not text:  # of a variable of the shell that is not set
            raise ParamsError(f"--set {assignment} has no value: give one, or null where there may be none.")
        add(values, key, _value(key, text))
    return values


def add(values: dict[str, Any], key: str, value: Any, said: str = "--set") -> None:
    """Add the value of a key ``section.key`` to those given before; ``said`` is the option that gave it.

    Raises ParamsError if it was given before, as another one.
    """
    if key in values and values[key] != value:
        raise ParamsError(f"{said} gives {key} as {value!r}, and before that as {values[key]!r}: give it once.")
    values[key] = value


def _value(key: str, text: str) -> Any:
    section, _, name = key.partition(".")
    if _is_text(section, name) and text[0] not in "'\"":
        return None if text.lower() in _NULL else text
    value = scalar(text)
    if isinstance(value, date) or (isinstance(value, str) and text[0] not in "'\""):
        value = text  # a date, or what a comment would have been cut from
    return parse_count(value) if name.startswith("max_") else value


@cache
def _is_text(section: str, name: str) -> bool:
    """Return whether a key takes text and nothing else but null."""
    model = Params.model_fields[section].annotation
    field = getattr(model, "model_fields", {}).get(name)
    return field is not None and kinds(field.annotation) - {type(None)} == {str}
