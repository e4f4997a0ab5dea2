"""YAML files that people and DVC write, read without being hung or crashed by what stands in them.

ruamel's parser in C may end the process where a file is nested without end, and the one in Python may read a long line
for minutes. So length and depth are looked at before.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from analognas.errors import CorruptFileError
from analognas.files import read_bytes

#: Most bytes: ``dvc.lock`` has about 1 KB a stage.
_LONGEST = 16 * 2**20
#: Most levels, of brackets and of indentation; a workspace's own files have six.
_DEEPEST = 100
_INDENTED = re.compile(rf"^ {{{2 * _DEEPEST},}}\S|(?:[-?:][ \t]+){{{_DEEPEST},}}", re.MULTILINE)


def read_text(path: Path, *, remedy: str, longest: int = _LONGEST) -> str:
    """Return the text of a YAML file (UTF-8).

    Raises:
        CorruptFileError: if it is missing, no text, longer than ``longest`` bytes or nested too deep.
        WorkspaceError: if it cannot be read.
    """
    content = read_bytes(path, remedy=remedy)
    if len(content) > longest:
        raise CorruptFileError(f"{path} is damaged ({len(content):,} bytes, at most {longest:,} are read): {remedy}.")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise CorruptFileError(f"{path} is damaged (no text in UTF-8): {remedy}.") from None
    depth = deepest = 0
    for bracket in re.findall(r"[\[\]{}]", text):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    if deepest > _DEEPEST or _INDENTED.search(text):
        raise CorruptFileError(f"{path} is damaged (nested too deep): {remedy}.")
    return text


def read_yaml(path: Path, *, remedy: str) -> Any:
    """Return what a YAML file holds as plain values; see ``read_text``, also for what else it raises.

    Raises:
        CorruptFileError: if it is no YAML.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    text = read_text(path, remedy=remedy)
    try:
        content = YAML(typ="safe").load(text)
        json.dumps(content, default=str)
        return content
    except (YAMLError, ValueError, TypeError, RecursionError):  # a date that is none, an anchor that holds itself
        raise CorruptFileError(f"{path} is damaged (no valid YAML): {remedy}.") from None
