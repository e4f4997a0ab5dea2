"""What others said enters no message but through ``analognas.causes``, and names say what they hold."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from analognas import errors

PACKAGE = Path(__file__).parents[1] / "analognas"

#: Errors whose text is a sentence of ours.
_OURS = {name for name in vars(errors) if name.endswith("Error")} | {
    "DivergedError", "AwayError", "NoRemoteError", "SharingError",
}  # fmt: skip
#: Modules that look into what was said to tell what it means, or tell errors of ours among others.
_READ = {
    "causes.py", "cli/group.py", "cli/listings.py", "files.py", "orchestration/flows.py", "params/text.py",
    "tracking/failures.py", "training/protocol.py", "versioning/dvc_inside.py",
}  # fmt: skip


def leaks(source: str) -> Iterator[int]:
    """Yield the lines on which the text of a caught error of somebody else becomes part of another text."""
    for handler in ast.walk(ast.parse(source)):
        if not isinstance(handler, ast.ExceptHandler) or handler.name is None or handler.type is None:
            continue
        caught = {node.attr if isinstance(node, ast.Attribute) else node.id
                  for node in ast.walk(handler.type) if isinstance(node, ast.Name | ast.Attribute)}  # fmt: skip
        if caught <= _OURS:
            continue
        for node in ast.walk(handler):
            if (isinstance(node, ast.FormattedValue) and _is(node.value, handler.name)) or (
                isinstance(node, ast.Call) and node.args and _is(node.args[0], handler.name) and _is_text(node.func)
            ):
                yield node.lineno


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("str", "repr")


def _is(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_nobody_elses_words_are_in_our_messages(path: Path):
    name = path.relative_to(PACKAGE).as_posix()
    if name in _READ:
        assert path.is_file()
        return
    assert list(leaks(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ('try:\n    f()\nexcept ValueError as error:\n    raise X(f"no ({error})")\n', [4]),
        ('try:\n    f()\nexcept (OSError, a.B) as e:\n    raise X("no" + str(e))\n', [4]),
        ('try:\n    f()\nexcept ValueError as error:\n    raise X(f"no ({quoted(error)})")\n', []),
        ('try:\n    f()\nexcept errors.InputError as error:\n    raise X(f"no ({error})")\n', [4]),
        ('try:\n    f()\nexcept InputError as error:\n    raise X(f"no ({error})")\n', []),
        ('try:\n    f()\nexcept OSError as error:\n    raise X(f"no ({error.strerror})")\n', []),
    ],
)
def test_what_is_looked_for_is_seen(code: str, lines: list[int]):
    assert list(leaks(code)) == lines


#: Names that would fit anything.
_EMPTY = {"one", "found", "here"}


def empty_names(source: str) -> Iterator[str]:
    """Yield the names of ``_EMPTY`` that are given to variables, parameters or fields."""
    for node in ast.walk(ast.parse(source)):
        name = node.arg if isinstance(node, ast.arg) else node.id if isinstance(node, ast.Name) else None
        if name in _EMPTY and (isinstance(node, ast.arg) or isinstance(node.ctx, ast.Store)):
            yield f"line {node.lineno}: {name}"


def test_names_say_what_they_hold():
    files = [path for folder in ("analognas", "benchmarks") for path in sorted((PACKAGE.parent / folder).rglob("*.py"))]
    empty = {str(path): names for path in files if (names := list(empty_names(path.read_text(encoding="utf-8"))))}
    assert empty == {}


@pytest.mark.parametrize(
    ("code", "count"),
    [
        ("found = 1", 1),
        ("def f(one, *, here=2): ...", 2),
        ("[one.id for one in rows]", 1),
        ("with opened() as found: ...", 1),
        ("class A:\n    one: float", 1),
        ("return_(found, one=1)\nfoundry = rows.found", 0),
    ],
)
def test_a_name_that_says_nothing_is_seen(code: str, count: int):
    assert len(list(empty_names(code))) == count
