"""What ``analognas init``, and ``analognas run`` outside of a workspace, make and say."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from analognas.cli.group import tell
from analognas.cli.options import (
    hours_of,
    hours_option,
    json_option,
    override_options,
    quick_option,
    section_values,
)
from analognas.errors import WorkspaceError
from analognas.workspace import Paths, alone

if TYPE_CHECKING:
    from analognas.params import Params
    from analognas.setup.protocol_choice import Tailored


def make(target: Path, given: Mapping[str, Any], hours: float | None, as_json: bool) -> None:
    """Make a workspace and print where it is and what was chosen; see ``template.create`` for what can go wrong.

    Args:
        target: the folder.
        given: values by ``section.key`` that it starts with.
        hours: that a run may take; None: the template's protocol where the data are the template's, else two hours.
        as_json: whether to print one JSON object.
    """
    paths, fitted = _made(target, given, hours, as_json)
    if as_json:
        made = {"workspace": str(paths.root)}
        click.echo(json.dumps(made if fitted is None else made | {"fitted": fitted.to_dict()}))
        return
    for line in fitted.lines() if fitted is not None else ():
        click.echo(line)
    _say_what_is_elsewhere(paths)
    _say_what_git_lacks(paths)
    go = "" if target.resolve() == Path.cwd() else f"cd {shlex.quote(str(target))} && "
    click.echo(f"Made {paths.root}. Go on with: {go}analognas run")


def find_or_make(
    dataset: str | None,
    path: str | None,
    given: Mapping[str, Any],
    hours: float | None,
    as_json: bool,
    stack: ExitStack,
) -> Paths:
    """Return the workspace that the current folder is in, or the one that is made here for a dataset; hold its lock.

    Args:
        dataset: its name, as it was asked for.
        path: of its files.
        given: values by ``section.key``, those of the two included.
        hours: that a run may take: the protocol of an existing workspace is fitted to it, unless it was before. None
            leaves it alone, unless it was fitted and ``given`` names other data (see ``tailoring.fit_again``).
        as_json: whether to say nothing.
        stack: holds the lock.

    Raises:
        WorkspaceError: if another run works there, if there is no workspace and no dataset to make one for, or one for
            other data of that name.
    """
    from analognas.cli.progress import StageProgress
    from analognas.params import Params
    from analognas.setup.tailoring import fit_again, prepare_tailored
    from analognas.setup.template import home

    try:
        paths = Paths.find()
    except WorkspaceError:
        if dataset is None:
            raise
        paths = Paths(home(dataset, path))
        if not paths.params.exists():
            paths, fitted = _made(paths.root, given, hours, as_json)
            if not as_json:
                _say(fitted)
                click.echo(f"Made the workspace {paths.root}, where params.yaml says why.", err=True)
                _say_what_is_elsewhere(paths)
                _say_what_git_lacks(paths)
            stack.enter_context(alone(paths))
            return paths
        _refuse_other_data(paths, path)
    stack.enter_context(alone(paths))
    again = fit_again(paths, given, hours)
    if again is not None:
        before = Params.load(paths.params)
        with StageProgress("init", visible=not as_json) as progress:
            fitted = prepare_tailored(paths, given, again, progress.update)
        if not as_json:
            _say(fitted)
            _say_what_is_left_behind(paths, before)
    elif hours is not None and not as_json:
        click.echo(f"{paths.params} is fitted to {hours:g} h already, and stays as it is.", err=True)
    return paths


def _refuse_other_data(paths: Paths, path: str | None) -> None:
    """Refuse a folder whose name is that of another one, for which there is a workspace already."""
    from analognas.params import Params

    theirs = Params.load(paths.params).dataset.path
    if path is None or theirs is None:
        return
    if (paths.root / Path(theirs).expanduser()).resolve() != Path(path).expanduser().resolve():
        raise WorkspaceError(
            f"{paths.root} is a workspace for {theirs}: make one with another name (`analognas init NAME`), or call "
            "this in that one to go on with other data."
        )


def _say_what_is_elsewhere(paths: Paths) -> None:
    """Name the modules of the user that are found in the current folder only."""
    from analognas.params import Params
    from analognas.plugins import left_behind

    params = Params.load(paths.params)
    named = [params.dataset.name, params.space.name, params.hardware.rpu_config]
    named += [params.fit.evaluator, params.search.optimizer]
    modules = [left_behind(name, paths.root) for name in named if name and ":" in name]
    for module in sorted({str(file) for file in modules if file is not None}):
        click.echo(f"Copy {module} into {paths.root}: commands that are called there look for it there.", err=True)


def _say_what_git_lacks(paths: Paths) -> None:
    """Name the rules of git by which a clone would lack something, and a first commit that is still to be made."""
    from analognas.versioning import git

    tell([*git.lost(paths.root), *filter(None, [git.uncommitted(paths.root)])])


def _say_what_is_left_behind(paths: Paths, before: Params) -> None:
    from analognas.params import Params
    from analognas.results import ResultStore

    now = Params.load(paths.params)
    stored = len(list(ResultStore.of(paths.home).keys()))
    if stored and any(getattr(before, name) != getattr(now, name) for name in ("dataset", "sample", "characterize")):
        click.echo(
            f"{stored:,} stored results are kept; those of the protocol of before are not used by this one.",
            err=True,
        )


def _made(target: Path, given: Mapping[str, Any], hours: float | None, as_json: bool) -> tuple[Paths, Tailored | None]:
    from analognas.cli.progress import StageProgress
    from analognas.setup.tailoring import HOURS, prepare_tailored, wanted
    from analognas.setup.template import create

    if hours is None and not wanted(given):
        return create(target, given), None
    done: list[Tailored | None] = []

    def prepare(paths: Paths, values: Mapping[str, Any]) -> None:
        done.append(prepare_tailored(paths, values, hours or HOURS, progress.update))

    with StageProgress("init", visible=not as_json) as progress:
        paths = create(target, given, prepare)
    return paths, done[0]


def _say(fitted: Tailored | None) -> None:
    for line in fitted.lines() if fitted is not None else ():
        click.echo(line, err=True)


@click.command()
@click.argument("target", type=click.Path(path_type=Path))
@override_options
@hours_option
@quick_option
@json_option
def init(
    target: Path, assignments: tuple[str, ...], dataset: str | None, path: str | None, max_params: str | None,
    hours: float | None, quick: bool, as_json: bool,
) -> None:  # fmt: skip
    """Make a workspace in TARGET: parameters, stages, flow, git and DVC.

    With --dataset, --hours or --quick the protocol is fitted to the data and this machine, and params.yaml says why.
    """
    make(target, section_values(assignments, dataset, path, max_params), hours_of(hours, quick), as_json)
