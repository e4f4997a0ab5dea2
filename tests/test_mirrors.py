"""Every module has the file that tests it, and no test asserts nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTS = ROOT / "tests"

#: What asserts in the name of others: ``pytest.raises``, and all that begins with ``assert_`` (NumPy, torch, pandas).
_ASSERTING = ("raises", "warns", "fail")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def mirror(module: Path) -> Path:
    """Return the file that tests a module, both from the root of the repository."""
    inner = module.relative_to("analognas") if module.parts[0] == "analognas" else module
    return Path("tests") / inner.with_name(f"test_{inner.name}")


def modules() -> Iterator[Path]:
    for folder in ("analognas", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path.name not in ("__init__.py", "__main__.py"):
                yield path.relative_to(ROOT)


def functions(tree: ast.Module) -> list[Function]:
    return [node for node in ast.walk(tree) if isinstance(node, Function)]


def all_tests(tree: ast.Module) -> list[Function]:
    return [one for one in functions(tree) if one.name.startswith("test_")]


def helpers(file: Path) -> list[Function]:
    """Return the functions of the conftest files that a test file sees."""
    folders = [folder for folder in file.parents if folder.is_relative_to(TESTS)]
    found = [folder / "conftest.py" for folder in folders]
    return [one for path in found if path.is_file() for one in functions(parsed(path))]


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def called(function: Function) -> set[str]:
    """Return the names of what a function calls, methods without their owner."""
    calls = [node.func for node in ast.walk(function) if isinstance(node, ast.Call)]
    return {
        one.id if isinstance(one, ast.Name) else one.attr for one in calls if isinstance(one, ast.Name | ast.Attribute)
    }


def asserts(function: Function) -> bool:
    return any(isinstance(node, ast.Assert) for node in ast.walk(function)) or any(
        name in _ASSERTING or name.startswith("assert_") for name in called(function)
    )


def asserts_nothing(tests: list[Function], around: list[Function]) -> list[str]:
    """Return the names of tests that assert nothing, themselves or by a helper among ``around`` that they call."""
    asserting = {
        one.name for one in around if asserts(one) or any(isinstance(node, ast.Raise) for node in ast.walk(one))
    }
    calls = {one.name: called(one) for one in around if one.name not in asserting}
    while found := {name for name, names in calls.items() if names & asserting}:
        asserting |= found
        calls = {name: names for name, names in calls.items() if name not in found}
    return [one.name for one in tests if not asserts(one) and not called(one) & asserting]


def test_every_module_has_its_mirror() -> None:
    missing = [f"{module} has no {mirror(module)}" for module in modules() if not (ROOT / mirror(module)).is_file()]
    assert missing == []


def test_every_mirror_tests_something() -> None:
    empty = [str(mirror(module)) for module in modules() if not holds_tests(ROOT / mirror(module))]
    assert empty == []


def holds_tests(file: Path) -> bool:
    """Return whether there are tests, or a class that inherits them."""
    tree = parsed(file)
    return bool(all_tests(tree)) or any(
        isinstance(one, ast.ClassDef) and one.name.startswith("Test") for one in tree.body
    )


def test_no_test_asserts_nothing() -> None:
    found = []
    for file in sorted(TESTS.rglob("test_*.py")):
        tree = parsed(file)
        tests = all_tests(tree)
        around = [one for one in functions(tree) if one not in tests] + helpers(file)
        found += [f"{file.relative_to(ROOT)}::{name}" for name in asserts_nothing(tests, around)]
    assert found == []


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("analognas/files.py", "tests/test_files.py"),
        ("analognas/search_algorithms/_gp.py", "tests/search_algorithms/test__gp.py"),
        ("benchmarks/_timing.py", "tests/benchmarks/test__timing.py"),
    ],
)
def test_a_mirror_lies_where_its_module_does(module: str, expected: str) -> None:
    assert mirror(Path(module)) == Path(expected)
    assert Path(module) in set(modules())


@pytest.mark.parametrize(
    ("body", "nothing"),
    [
        ("assert work()", False),
        ("work()", True),
        ("with pytest.raises(ValueError):\n        work()", False),
        ("np.testing.assert_allclose(work(), 1)", False),
        ("with pytest.warns(UserWarning):\n        work()", False),
        ("with warnings.catch_warnings():\n        work()", True),
        ("check()", False),
        ("self.check_all()", False),
        ("refuse()", False),
        ("prepare()", True),
        ("check", True),
    ],
)
def test_a_test_that_asserts_nothing_is_found(body: str, nothing: bool) -> None:
    source = (
        f"def test_it(check):\n    {body}\n"
        "def check():\n    assert work()\n"
        "def refuse():\n    raise AssertionError\n"
        "def prepare():\n    work()\n"
        "class Case:\n    def check_all(self):\n        check()\n"
    )
    tree = ast.parse(source)
    around = [one for one in functions(tree) if one.name != "test_it"]
    assert asserts_nothing(all_tests(tree), around) == (["test_it"] if nothing else [])
