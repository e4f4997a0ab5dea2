"""What other packages add: spaces, datasets, chips, evaluators and optimizers by entry points or ``module:name``.

A package names them in its metadata, in the groups of ``GROUPS``, and they can be named in ``params.yaml`` as soon
as it is installed. Nothing is imported before it is used, and nothing here is heavy.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal

from analognas.causes import own_code
from analognas.errors import AnalogNASError, InputError
from analognas.files import workspace_root

Kind = Literal["space", "dataset", "chip", "evaluator", "optimizer"]

#: Entry point groups: a space's is a ``Family``, a dataset's a function from ``Options`` to ``Dataset``, a chip's a
#: ``Preset``.
GROUPS: dict[Kind, str] = {
    "space": "analognas.spaces",
    "dataset": "analognas.datasets",
    "chip": "analognas.chips",
    "evaluator": "analognas.evaluators",
    "optimizer": "analognas.optimizers",
}
#: How something of the user's own is named.
_OWN: dict[Kind, str] = {
    "space": "A family of your own is module:Class.",
    "dataset": "A loader of your own is module:function.",
    "chip": "A chip of your own is module:function.",
    "evaluator": "A class of your own is module:Class.",
    "optimizer": "A class of your own is module:Class.",
}


@dataclass(frozen=True)
class Plugin:
    """A thing that an installed package adds: its name, ``module:attribute``, and the package with its version."""

    name: str
    target: str
    package: str


def plugins(kind: Kind) -> list[Plugin]:
    """Return what installed packages add, sorted by name and package."""
    entries = entry_points(group=GROUPS[kind])
    # The value as it stands: taking one apart that is mistyped would fail, and hide the others. Extras are not looked
    # at. A set: a package may be found twice on the path.
    distinct = {Plugin(entry.name, entry.value.partition("[")[0].strip(), _package(entry)) for entry in entries}
    return sorted(distinct, key=lambda plugin: (plugin.name, plugin.package))


def target(kind: Kind, name: str) -> str | None:
    """Return the ``module:attribute`` that ``name`` stands for: itself, or a package's; None if it is unknown.

    The library's own names are looked up before: nobody can take them.

    Raises:
        InputError: if two packages use the name.
    """
    if ":" in name:
        return name
    matching = [plugin for plugin in plugins(kind) if plugin.name == name]
    if len(matching) > 1:
        packages = " and ".join(plugin.package for plugin in matching)
        raise InputError(f"{packages} both add the {kind} {name!r}: uninstall one of them, or write module:name.")
    return matching[0].target if matching else None


def imported(where: str) -> Any:
    """Return what ``module:attribute`` names; the module may also lie in the current folder or in its workspace.

    Raises:
        ImportError, AttributeError, ValueError: if it is not there; whatever else the module raises, too.
    """
    module_name, _, attribute = where.partition(":")
    # The user's module lies in the workspace, which an installed command does not search.
    added = [place for place in dict.fromkeys(_places()) if place not in sys.path]
    sys.path.extend(added)
    try:
        imported_object: Any = importlib.import_module(module_name)
    finally:
        for place in added:
            sys.path.remove(place)
    for part in attribute.split("."):
        imported_object = getattr(imported_object, part)
    return imported_object


def resolve(
    kind: Kind,
    name: str,
    known: Mapping[str, str],
    error: type[AnalogNASError],
    check: Callable[[Any], str | None],
    *,
    what: str | None = None,
) -> Any:
    """Return what a name stands for: the library's own, an installed package's, or ``module:attribute``.

    Args:
        kind: of the thing.
        name: as it was asked for.
        known: the library's own, ``module:attribute`` by name.
        error: what is raised.
        check: returns what is wrong with what was found, to follow "KIND NAME", or None.
        what: what the thing is called in messages, if not by its kind.

    Raises:
        error: if there is none of that name, naming the nearest; if it cannot be imported; if ``check`` refuses it.
        InputError: if two packages use the name.
    """
    where = known.get(name) or target(kind, name)
    said = f"{what or kind} {name!r}"
    if where is None:
        raise error(
            f"unknown {said}: {nearest(name, [*known, *(plugin.name for plugin in plugins(kind))])} {_OWN[kind]}"
        )
    loaded = load(where, said, error)
    problem = check(loaded)
    if problem is not None:
        raise error(f"{said} {problem}")
    return loaded


def load(where: str, said: str, error: type[AnalogNASError]) -> Any:
    """Return what ``module:attribute`` names, as ``imported`` does.

    Raises:
        error: if that fails in any way, with ``said`` as its subject.
    """
    if not all(where.partition(":")) or where.startswith("."):
        raise error(f"{said} names no module and what to take of it: write module:name.")
    try:
        return imported(where)
    except (Exception, SystemExit) as problem:  # a module of the user's own may fail in any way
        module, _, attribute = where.partition(":")
        what = own_code(problem, module)
        if isinstance(problem, AttributeError) and module in sys.modules:
            what = f"{module} has no {attribute}"
        raise error(
            f"{said} cannot be imported ({what}): write module:name of a module that is installed or lies in the "
            "workspace, and mend it."
        ) from problem


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the question whether the nearest of the known names was meant."""
    return f"did you mean {difflib.get_close_matches(name, list(known), n=1, cutoff=0)[0]!r}?"


def left_behind(where: str, root: Path) -> Path | None:
    """Return the module of ``module:attribute`` if it is found in the current folder, but not from a workspace."""
    top = where.partition(":")[0].partition(".")[0]
    current_folder = Path.cwd()
    if current_folder == root or PathFinder.find_spec(top) is not None:
        return None
    names = (f"{top}.py", top)
    if any((root / name).exists() for name in names):
        return None
    return next((current_folder / name for name in names if (current_folder / name).exists()), None)


def _places() -> Iterator[str]:
    yield str(Path.cwd())
    root = workspace_root(Path.cwd().resolve())
    if root is not None:
        yield str(root)


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "a package"
