"""``params.yaml`` as text: read and written with its comments, values as plain Python."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from analognas.errors import ParamsError
from analognas.files import CONFLICT, in_conflict, told


def round_trip() -> Any:
    """Return a YAML reader and writer that keeps comments."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.add_representer(
        type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    return yaml


def load_document(path: Path) -> Any:
    """Return the document of a params file.

    Raises:
        ParamsError: if it is missing or no YAML.
    """
    from ruamel.yaml.error import YAMLError

    try:
        text = path.read_text()
    except FileNotFoundError:
        raise ParamsError(f"{path} is missing: run this in a workspace, or make one with `analognas init`.") from None
    except UnicodeDecodeError:
        raise ParamsError(f"{path} is no text (UTF-8): restore it from git, or write it anew.") from None
    except OSError as error:
        raise ParamsError(f"{path} cannot be read ({told(error)}): see to it that it is a file you may read.") from None
    try:
        document = round_trip().load(text)
    except YAMLError as error:
        if in_conflict(path):
            raise ParamsError(f"{path} {CONFLICT}.") from None
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark else ""
        twice = re.search(r'duplicate key "([^"]*)"', str(error))
        what = f"the key {twice[1]} is there twice" if twice else "look at its brackets, colons, quotes and indentation"
        raise ParamsError(f"{path.name} is no valid YAML{where}: {what}.") from None
    except RecursionError:
        raise ParamsError(f"{path.name} is nested too deeply: write it as `analognas init` does.") from None
    return {} if document is None else document


def scalar(text: str) -> Any:
    """Return the value that a text stands for in YAML, or the text."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text) if text.strip() else None
    except YAMLError:
        return text


def plain(node: Any) -> Any:
    """Return a node of a document as plain Python values."""
    if isinstance(node, Mapping):
        return {str(key): plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [plain(value) for value in node]
    if isinstance(node, bool) or node is None:
        return node
    for kind in (int, float, str):  # ruamel's scalars are subclasses that remember their notation
        if isinstance(node, kind):
            return kind(node)
    return node
