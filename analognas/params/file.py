"""Changes of a params file: made in memory, validated, then written at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from analognas.errors import ParamsError
from analognas.files import write_text
from analognas.params import personal
from analognas.params.overrides import parse
from analognas.params.sections import Params, RunParams
from analognas.params.text import load_document, plain, round_trip


class Draft:
    """A params file with changes that are not written yet.

    ``document`` is its YAML with comments, to be changed; ``finish`` is applied to the text before it is written.

    Raises:
        ParamsError: if the file is missing or no YAML.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.document = load_document(path)
        self.finish: Callable[[str], str] | None = None
        self._before = path.read_bytes()
        self._assigned: set[str] = set()

    def assign(self, values: Mapping[str, Any]) -> None:
        """Take values by ``section.key`` over; raises ParamsError if a person set one of them for herself."""
        personal.refuse(values, self.path.parent, RunParams.model_fields)
        for key, value in values.items():
            section, _, name = key.partition(".")
            if isinstance(self.document.get(section), str):
                self.document[section] = {"rpu_config": self.document[section]}
            if not isinstance(self.document.get(section), Mapping):
                if self.document.get(section) is not None:
                    raise ParamsError(f"{self.path.name}: section {section} must hold keys and values.")
                self.document[section] = {}
            owner, (*inner, last) = self.document[section], name.split(".")
            for part in inner:  # a key within a value, e.g. search.constraints.tiles
                if not isinstance(owner.get(part), Mapping):
                    owner[part] = {}
                owner = owner[part]
            owner[last] = value
            self._assigned.add(key)

    def params(self) -> Params:
        """Return what would be read from the file; raises ParamsError if that is not valid."""
        name = self.path.name
        try:
            return Params.validated(plain(self.document), source=name).of_person(self.path.parent)
        except ParamsError as error:
            said = str(error).removeprefix(f"{name}: ")
            if any(said.startswith(f"{key} is ") for key in self._assigned):  # of whoever set it, not of the file
                raise ParamsError(f"{said} ({name} stays as it is.)") from None
            raise

    def save(self, accept: Callable[[Params], None] | None = None) -> Params:
        """Write the file and return what it then holds. It is replaced atomically, or not at all.

        Args:
            accept: called with the new parameters before anything is written; what it raises leaves the file as it is.

        Raises:
            ParamsError: if the result is not valid, or somebody else has written the file meanwhile.
        """
        params = self.params()
        if accept is not None:
            accept(params)
        if self.path.read_bytes() != self._before:  # e.g. by a run that ended before `accept` took the lock
            raise ParamsError(f"{self.path} was changed by somebody else at the same moment: run again.")
        if self._assigned or self.finish is not None:
            buffer = StringIO()
            round_trip().dump(self.document, buffer)
            text = buffer.getvalue()
            write_text(self.path, text if self.finish is None else self.finish(text))
        return params


def override(path: Path, assignments: Sequence[str]) -> Params:
    """Write ``section.key=value`` assignments (see ``overrides``) into a params file and return what it then holds.

    Raises ParamsError if that is not valid, and leaves the file as it is.
    """
    draft = Draft(path)
    draft.assign(parse(assignments))
    return draft.save()
