"""``analognas doctor``: one line for everything that has to fit together."""

from __future__ import annotations

import ast
import json
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

import click
from packaging.requirements import Requirement

from analognas.causes import quoted
from analognas.cli.options import json_option

_TOOLS = ("torch", "aihwkit", "xgboost", "prefect", "dvc", "mlflow")
_MINIMUM, _BEYOND = (3, 11), (3, 14)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: whether it is well, what there is and what to do, whether it is needed."""

    name: str
    ok: bool
    text: str
    needed: bool = True


def diagnose() -> list[Finding]:
    """Return one finding for everything that has to fit together."""
    return [
        _python(),
        *_requirements(),
        _layers(),
        _compiled_tiles(),
        _git(),
        _cuda(),
        *_flows(),
        *_champion(),
        *_kept_by_git(),
        *_shared(),
    ]


def _python() -> Finding:
    running = ".".join(map(str, sys.version_info[:3]))
    ok = _MINIMUM <= sys.version_info[:2] < _BEYOND
    return Finding("python", ok, f"Python {running}" + ("" if ok else ": install Python 3.11, 3.12 or 3.13"))


def _requirements() -> list[Finding]:
    """Return a finding for each tool, and for each other requirement that is not met; one if all of these are.

    The requirements are those that analognas was installed with: there is no second list that could say otherwise.
    """
    try:
        listed = requires("analognas") or []
    except PackageNotFoundError:
        text = "analognas is not installed, only found: pip install it, or make run"
        return [Finding("requirements", False, text)]
    needed = [
        requirement
        for requirement in map(Requirement, listed)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    ]
    tools = [_package(requirement) for name in _TOOLS for requirement in needed if requirement.name == name]
    others = [_package(requirement) for requirement in needed if requirement.name not in _TOOLS]
    bad = [finding for finding in others if not finding.ok]
    well = Finding("requirements", True, f"{len(others)} other packages fit") if not bad else None
    return [*tools, *bad, *([well] if well else [])]


def _package(requirement: Requirement) -> Finding:
    name, wanted = requirement.name, f"{requirement.name}{requirement.specifier}"
    try:
        installed = version(name)
    except PackageNotFoundError:
        return Finding(name, False, f"{name} is not installed: pip install '{wanted}'")
    if requirement.specifier.contains(installed, prereleases=True):
        return Finding(name, True, f"{name} {installed}")
    return Finding(name, False, f"{name} {installed} does not fit: pip install '{wanted}'")


def _layers() -> Finding:
    """Train, program and age one small layer, as a characterization does."""
    try:
        from analognas.hardware.selfcheck import check_layers

        difference = check_layers()
    except Exception as error:  # a mismatch shows in many ways, from a missing symbol to a refused tensor
        remedy = "install the versions of aihwkit and torch in requirements.lock"
        what = f"a small analog layer cannot be trained and programmed (aihwkit or torch says {quoted(error)})"
        return Finding("layers", False, f"{what}: {remedy}")
    text = "a small analog layer was trained, programmed and aged for a month; the fast layers and aihwkit's agree"
    return Finding("layers", True, f"{text} to {difference:.0e}")


def _compiled_tiles() -> Finding:
    from analognas.hardware.rpu_config import compiled_tiles_problem

    # Worth knowing, but nothing depends on it.
    problem = compiled_tiles_problem()
    if problem is None:
        return Finding("compiled tiles", True, "aihwkit's compiled tiles match torch", needed=False)
    return Finding("compiled tiles", False, problem, needed=False)


def _git() -> Finding:
    ok = shutil.which("git") is not None
    text = "git" if ok else "git is not installed: runs work, but nothing is versioned"
    return Finding("git", ok, text, needed=False)


def _cuda() -> Finding:
    try:
        import torch
    except ImportError:
        return Finding("device", False, "torch cannot be loaded")
    if torch.cuda.is_available():
        return Finding("device", True, f"{torch.cuda.get_device_name()} (base.device: cuda)", needed=False)
    return Finding("device", True, "no CUDA device: networks are trained on the CPU", needed=False)


def _flows() -> list[Finding]:
    """Return a finding for each flow of the workspace that imports what this version of analognas has not."""
    from analognas.errors import WorkspaceError
    from analognas.workspace import Paths

    try:
        root = Paths.find().root
    except WorkspaceError:
        return []
    bad = []
    for path in sorted((root / "flows").glob("*.py")):
        missing = _missing(path)
        if missing:
            text = f"{path} imports {', '.join(missing)}, which analognas has not"
            remedy = "take the flow of a new `analognas init`, which imports from analognas.orchestration alone"
            bad.append(Finding(f"flows/{path.name}", False, f"{text}: {remedy}"))
    return bad


def _champion() -> list[Finding]:
    """Return a finding if the champion in MLflow and ``data/evaluator/`` of the workspace are not the same."""
    from analognas.errors import WorkspaceError
    from analognas.tracking import standing
    from analognas.workspace import Paths

    try:
        said = standing.sentence(Paths.find())
    except WorkspaceError:
        return []
    return [] if said is None else [Finding("champion", False, said, needed=False)]


def _shared() -> list[Finding]:
    """Return a finding for what last went wrong between the workspace and its team, and for notices that wait."""
    from analognas import notices
    from analognas.errors import WorkspaceError
    from analognas.orchestration import exchange
    from analognas.workspace import Paths

    try:
        paths = Paths.find()
    except WorkspaceError:
        return []
    told = []
    problem = exchange.problem(paths)
    if problem is not None:
        told.append(Finding("shared", False, f"the last retraining: {problem.rstrip('.')}", needed=False))
    waiting = notices.waiting(paths)
    if waiting:
        text = f"{waiting} notices wait, since the receiver (ANALOGNAS_NOTIFY) does not take them: see to it"
        told.append(Finding("notices", False, text, needed=False))
    return told


def _kept_by_git() -> list[Finding]:
    """Return a finding for each rule of git by which a clone would lack something, and for a commit that is missing."""
    from analognas.errors import WorkspaceError
    from analognas.versioning import git
    from analognas.workspace import Paths

    try:
        root = Paths.find().root
    except WorkspaceError:
        return []
    told = [*git.lost(root), *filter(None, [git.uncommitted(root)])]
    return [Finding("kept by git", False, text.rstrip("."), needed=False) for text in told]


def _missing(path: Path) -> list[str]:
    """Return the modules of analognas that a file imports and that do not exist."""
    try:
        nodes = list(ast.walk(ast.parse(path.read_bytes())))
    except (OSError, SyntaxError, ValueError):  # a run says so
        return []
    named: list[str] = []
    for node in nodes:
        if isinstance(node, ast.Import):
            named += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "analognas":
            named += [f"analognas.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            named.append(node.module)
    ours = [name for name in dict.fromkeys(named) if name.startswith("analognas.") and name != "analognas.__version__"]
    return [name for name in ours if not _is_there(name)]


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ImportError:  # of the package that it would lie in
        return False


@click.command()
@click.option("--update", is_flag=True, help="Record the versions and the dataset of this workspace anew.")
@json_option
def doctor(update: bool, as_json: bool) -> None:
    """Tell what is installed, whether it fits together, and what to do if not."""
    if update:
        from analognas.setup.preparing import prepare
        from analognas.workspace import Paths

        prepare(Paths.find())
    findings = diagnose()
    if as_json:
        click.echo(json.dumps([vars(finding) for finding in findings]))
    else:
        for finding in findings:
            click.echo(f"{'ok ' if finding.ok else '!! '} {finding.text}")
    if not all(finding.ok for finding in findings if finding.needed):
        sys.exit(1)
