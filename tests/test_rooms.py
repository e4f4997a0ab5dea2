"""The rooms of the package: who may import whom, and which outside tool belongs to which room.

Imports are read from the source, those in functions and under TYPE_CHECKING included.
"""

import ast
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

#: Files that lie on no room, each of which may import those before it.
GROUND = (
    "errors",
    "seeds",
    "redaction",
    "causes",
    "section",
    "progress",
    "parquet",
    "files",
    "folders",
    "yaml_files",
    "plugins",
    "columns",
    "tables",
    "rows",
    "results",
    "workspace",
)

_SPACES = {"ground", "search_spaces"}
_DATA = _SPACES | {"datasets", "hardware"}
_LEARNED = _DATA | {"training", "evaluators"}
_SEARCHED = _LEARNED | {"search_algorithms"}
_STAGES = _SEARCHED | {"testing", "params", "stages"}
_VERSIONED = _STAGES | {"versioning"}
_DRIVEN = _VERSIONED | {"notices", "tracking", "retraining", "setup", "report", "pages", "orchestration", "runs"}

#: What each room may import besides itself: rooms, and single modules of others.
MAY: dict[str, set[str]] = {
    "search_spaces": {"ground"},
    "datasets": _SPACES,
    "hardware": _SPACES,
    "training": _DATA,
    "evaluators": _DATA,
    "search_algorithms": _LEARNED,
    "testing": _SEARCHED,
    "params": {"ground", "hardware.params", "training.params", "training.columns"},
    "stages": _STAGES,
    "versioning": {"ground"},
    "notices": {"ground", "params"},
    # What MLflow shows as the description of a run, and keeps with it, is the report; and what a round says is logged.
    "tracking": {
        "ground",
        "params",
        "versioning",
        "stages.protocols",
        "search_algorithms.verdicts",
        "report",
        "pages",
        "retraining.records",
    },
    "retraining": _STAGES,
    "setup": _VERSIONED,
    "report": _VERSIONED,
    "pages": _VERSIONED | {"report"},
    "runs": _VERSIONED | {"tracking", "setup"},
    "orchestration": _DRIVEN - {"runs"},
    "cli": _DRIVEN,
    "flows": {"orchestration"},
}

#: Outside tools that belong to rooms or modules; what is not listed here anybody may import.
TOOLS: dict[str, set[str]] = {
    "aihwkit": {"hardware", "training"},
    "xgboost": {"evaluators"},
    "sklearn": {"evaluators", "datasets.digits"},  # which it brings
    "optuna": {"search_algorithms"},
    "pytest": {"testing"},
    "pydantic": {"section", "hardware.params", "training.params", "params"},
    "dvc": {"versioning"},
    "dvc_objects": {"versioning"},
    "mlflow": {"tracking"},
    "prefect": {"orchestration", "flows"},
    "prefect_dask": {"orchestration"},
    "prefect_ray": {"orchestration"},
    "distributed": {"orchestration"},
    "ray": {"orchestration"},
    "click": {"cli"},
}


def modules(folder: str) -> list[str]:
    """The names of the modules in a folder of the repository, without the package's own name."""
    paths = (path.relative_to(ROOT).with_suffix("") for path in (ROOT / folder).rglob("*.py"))
    return sorted(".".join(path.parts).removeprefix("analognas.").removesuffix(".__init__") for path in paths)


def source_of(module: str) -> str:
    base = ROOT / ("" if module.startswith(("flows.", "benchmarks")) else "analognas")
    path = base.joinpath(*module.split("."))
    return (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text(encoding="utf-8")


def room_of(module: str) -> str:
    top = module.partition(".")[0]
    if top in ("__init__", "analognas"):  # the version
        return "ground"
    if top == "__main__":
        return "cli"
    return "ground" if top in GROUND else top


def imported(source: str) -> Iterator[tuple[str, str]]:
    """Yield module and name (empty for a whole module) of every import; modules of the package without its name."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name.removeprefix("analognas."), "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None
            assert not node.level, "imports are absolute"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole.startswith("analognas.") and _is_module(whole):
                    yield whole.removeprefix("analognas."), ""
                else:
                    yield node.module.removeprefix("analognas."), alias.name


def _is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def _ours(module: str) -> bool:
    top = module.partition(".")[0]
    return top == "analognas" or _is_module(f"analognas.{top}")


def _named(module: str, allowed: set[str]) -> bool:
    """Whether a module lies in one of the allowed rooms, or is one of the allowed modules."""
    return room_of(module) in allowed or module in allowed


def problems(module: str, source: str) -> list[str]:
    """What a module imports though its room may not."""
    here = room_of(module)
    found = []
    for other, name in imported(source):
        there = room_of(other)
        if not _ours(other):
            tool = other.partition(".")[0]
            if tool in TOOLS and not _named(module, TOOLS[tool]):
                found.append(f"{module} imports {other}, which belongs to {', '.join(sorted(TOOLS[tool]))}")
            continue
        if there != here:
            if not _named(other, MAY.get(here, set())):
                found.append(f"{module} imports {other}")
        elif here == "ground" and _floor(other) >= _floor(module):
            found.append(f"{module} imports {other}, which lies above it")
        found += _private(module, here, other, name)
    if re.search(r"""["']-m["'],\s*["']dvc["']""", source) and here != "versioning":
        found.append(f"{module} runs DVC")
    return found


def _floor(module: str) -> int:
    top = module.partition(".")[0]
    return GROUND.index(top) if top in GROUND else -1


def _private(module: str, here: str, other: str, name: str) -> list[str]:
    if room_of(other) == here:
        return []
    hidden = [part for part in (*other.split("."), name) if part.startswith("_") and not part.endswith("__")]
    return [f"{module} imports {'.'.join(filter(None, (other, name)))}, which is private"] if hidden else []


def uses(module: str, source: str) -> list[str]:
    """Names with an underscore that a module takes out of modules of other rooms."""
    aliases = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("analognas."):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if _is_module(whole) and room_of(whole.removeprefix("analognas.")) != room_of(module):
                    aliases[alias.asname or alias.name] = whole
    return [
        f"{module} uses {aliases[node.value.id]}.{node.attr}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases
        if node.attr.startswith("_") and not node.attr.endswith("__")
    ]


def test_every_room_has_a_rule_and_the_ground_is_all_there():
    rooms = {room_of(module) for module in modules("analognas")}
    assert rooms == (set(MAY) - {"flows"}) | {"ground"}
    assert {module for module in modules("analognas") if "." not in module and room_of(module) == "ground"} == {
        "__init__", *GROUND
    }  # fmt: skip


@pytest.mark.parametrize("module", [*modules("analognas"), *modules("flows")])
def test_a_module_imports_only_what_its_room_may(module: str):
    source = source_of(module)
    assert problems(module, source) + uses(module, source) == []


@pytest.mark.parametrize("module", modules("benchmarks"))
def test_benchmarks_use_nothing_private(module: str):
    source = source_of(module)
    private = [line for other, name in imported(source) for line in _private(module, "benchmarks", other, name)]
    assert private + uses(module, source) == []


@pytest.mark.parametrize(
    ("module", "source", "problem"),
    [
        ("hardware.cost", "from analognas.params import Params", "hardware.cost imports params"),
        ("hardware.cost", "if TYPE_CHECKING:\n    from analognas import stages", "hardware.cost imports stages"),
        ("datasets.base", "def f():\n    import analognas.hardware.cost", "datasets.base imports hardware.cost"),
        ("params.sections", "from analognas.hardware import presets", "params.sections imports hardware.presets"),
        ("tracking.state", "from analognas.stages import STAGES", "tracking.state imports stages"),
        ("files", "from analognas.workspace import Paths", "files imports workspace, which lies above it"),
        ("flows.pipeline", "from analognas.stages import run_stage", "flows.pipeline imports stages"),
        ("stages.fit", "import mlflow.data", "stages.fit imports mlflow.data, which belongs to tracking"),
        ("report", "from prefect import flow", "report imports prefect, which belongs to flows, orchestration"),
        ("report", 'run([sys.executable, "-m", "dvc", "status"])', "report runs DVC"),
        ("cli.doctor", "from analognas.report import _chip", "cli.doctor imports report._chip, which is private"),
    ],
)  # fmt: skip
def test_what_a_room_may_not_is_found(module: str, source: str, problem: str):
    assert problems(module, source) == [problem]


def test_what_is_private_is_found_behind_its_module_too():
    assert uses("cli.doctor", "from analognas.setup import record\nrecord._BEGIN") == [
        "cli.doctor uses analognas.setup.record._BEGIN"
    ]
    assert uses("setup.template", "from analognas.setup import record\nrecord._BEGIN") == []


def test_no_files_import_each_other_in_a_circle():
    names = set(modules("analognas"))
    imports = {
        name: {other for other, _ in imported(source_of(name)) if other in names and other != name} for name in names
    }
    reached = {name: _reached(name, imports) for name in names}
    circles = {frozenset(other for other in reached[name] if name in reached[other]) for name in names}
    assert circles == {frozenset()}


def _reached(name: str, imports: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    todo = list(imports[name])
    while todo:
        other = todo.pop()
        if other not in found:
            found.add(other)
            todo += imports[other]
    return found


def test_single_modules_are_there():
    listed = {name for allowed in (*MAY.values(), *TOOLS.values()) for name in allowed if "." in name}
    assert all(importlib.util.find_spec(f"analognas.{name}") for name in listed)
