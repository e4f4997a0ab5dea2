"""What a fit writes into a params file, and how the next fit tells it from what the user wrote.

Each choice stands in its place with its reason as the comment. At the top of the file stands what they rest on, with a
record of the values: one that is no longer what the record says was edited, and is the user's from then on.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analognas.params import Params, known_keys
from analognas.params.text import load_document, plain, scalar

if TYPE_CHECKING:
    from analognas.params.file import Draft

_BEGIN, _END = "# Fitted to the data and this machine", "# (end of what was fitted)"
_RECORD = "# Recorded, so that another fit can tell these values from yours:"
_HEADER = re.compile(rf"\A{re.escape(_BEGIN)}.*?^{re.escape(_END)}\n\n?", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Choice:
    """A value of ``params.yaml``, and why it was chosen, in a few words."""

    key: str
    value: Any
    why: str


@dataclass(frozen=True)
class Record:
    """What a fit left behind: the hours that a run may take, its values by key, and the keys that it left alone."""

    hours: float
    values: Mapping[str, Any] = field(default_factory=dict)
    kept: tuple[str, ...] = ()


def read_record(path: Path) -> Record | None:
    """Return what the last fit of a params file recorded, None if it was never fitted or the record was removed."""
    header = _HEADER.match(path.read_bytes().decode(errors="replace"))  # damaged: whoever reads the rest says so
    _, marker, lines = (header[0] if header else "").partition(_RECORD)
    text = "\n".join(line[4:] for line in lines.splitlines() if line.startswith("#   "))
    recorded: Any = scalar(text) if marker else None
    try:
        return Record(float(recorded["hours"]), dict(recorded["values"]), tuple(recorded["kept"]))
    except (KeyError, TypeError, ValueError):  # edited beyond recognition: what is not a default is the user's then
        return None


def written_by_user(path: Path, record: Record | None) -> set[str]:
    """Return the keys of a params file whose values are the user's.

    What a fit recorded is the user's once it is another value; what was the user's before stays so. Anything else is
    the user's if it is not the default. A line that is not there is nobody's.

    Raises:
        ParamsError: if the file is not valid.
    """
    document = plain(load_document(path))
    values, defaults = _flat(Params.load(path)), _flat(Params())
    record = record or Record(0.0)
    keys = set()
    for key in known_keys():
        section, _, name = key.partition(".")
        lines = document.get(section)
        there = name in lines if isinstance(lines, Mapping) else name == "rpu_config" and isinstance(lines, str)
        nobodys = record.values[key] if key in record.values else defaults[key]
        if there and (key in record.kept or values[key] != nobodys):
            keys.add(key)
    return keys


def lacks_lines(path: Path, record: Record) -> bool:
    """Return whether a line that a fit wrote or kept was deleted, which asks for it to be fitted."""
    document = plain(load_document(path))
    keys = (key.partition(".") for key in (*record.values, *record.kept))
    return not all(isinstance(document.get(section), dict) and name in document[section] for section, _, name in keys)


def default(key: str) -> Any:
    """Return the default of ``section.key``, as a plain JSON value."""
    return _flat(Params())[key]


def with_values(params: Params, values: Mapping[str, Any]) -> Params:
    """Return parameters with other values, by ``section.key``.

    Raises:
        ParamsError: if they are not valid.
    """
    sections: dict[str, dict[str, Any]] = params.model_dump(mode="json")
    for key, value in values.items():
        section, _, name = key.partition(".")
        sections[section][name] = value
    return Params.validated(sections)


def put_into(
    draft: Draft, choices: Sequence[Choice], lines: Sequence[str], hours: float, kept: Collection[str] = ()
) -> None:
    """Put choices into a draft of a params file; what else stands in it stays.

    Args:
        draft: to be saved afterwards.
        choices: each with its reason.
        lines: what they rest on.
        hours: that a run may take.
        kept: keys that were left alone because they are the user's.
    """
    from ruamel.yaml.comments import CommentedMap

    document = draft.document
    for choice in choices:
        section, _, name = choice.key.partition(".")
        if not document.get(section):
            document[section] = CommentedMap()
        document[section][name] = choice.value
        _comment(document[section], name, choice.why)
    header = [f"{_BEGIN}; edit what you like: what you write stays when it is fitted anew."]
    header += [f"# {line}" for line in lines]
    header += [
        _RECORD,
        *_recorded(Record(hours, {chosen.key: chosen.value for chosen in choices}, tuple(sorted(kept)))),
        _END,
    ]
    draft.finish = lambda text: "\n".join(header) + "\n\n" + _HEADER.sub("", text)


def _recorded(record: Record) -> list[str]:
    """Return a record as comment lines that ``read_record`` understands."""
    values = ", ".join(f"{key}: {'null' if value is None else value}" for key, value in record.values.items())
    said = {"hours": f"{record.hours:g}", "kept": f"[{', '.join(record.kept)}]", "values": f"{{{values}}}"}
    return [
        f"#   {line}"
        for name, text in said.items()
        for line in textwrap.wrap(
            f"{name}: {text}", 110, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
    ]


def _comment(section: Any, name: str, why: str) -> None:
    """Replace what is said at the end of a line; blank lines and comments that follow it stay."""
    tokens = section.ca.items.get(name)
    token = tokens[2] if tokens else None
    if token is None:
        section.yaml_add_eol_comment(why, name)
        return
    _, newline, rest = token.value.partition("\n")
    token.value = f"# {why}{newline or chr(10)}{rest}"


def _flat(params: Params) -> dict[str, Any]:
    sections = params.model_dump(mode="json")
    return {f"{section}.{name}": value for section, values in sections.items() for name, value in values.items()}
