"""``analognas run``, ``search``, ``stage`` and ``report``."""

from __future__ import annotations

import json
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
from analognas.cli.printing import folded, plain_table

if TYPE_CHECKING:
    from analognas.workspace import Paths


@click.command()
@override_options
@hours_option
@quick_option
@click.option(
    "--dry-run",
    is_flag=True,
    help="Only say what would run, what is stored already, and how long it would take; write nothing.",
)
@json_option
@click.option("--verbose", is_flag=True, help="Show Prefect's log.")
def run(
    assignments: tuple[str, ...], dataset: str | None, path: str | None, max_params: str | None,
    hours: float | None, quick: bool, dry_run: bool, as_json: bool, verbose: bool,
) -> None:  # fmt: skip
    """Run the pipeline of this workspace: only what is not up to date.

    Outside of a workspace, --dataset makes one for it, fitted to the data and this machine.
    """
    from analognas.cli.progress import PipelineProgress, StageProgress
    from analognas.cli.workspaces import find_or_make
    from analognas.orchestration import Freshness, run_pipeline
    from analognas.setup.preparing import prepare
    from analognas.tracking import standing
    from analognas.versioning import git

    given, hours = section_values(assignments, dataset, path, max_params), hours_of(hours, quick)
    if dry_run:
        _plan(given, hours, as_json)
        return
    page = tracked = None
    with ExitStack() as stack:
        paths = find_or_make(dataset, path, given, hours, as_json, stack)
        with StageProgress("dataset", visible=not as_json) as reading:
            params = prepare(paths, given, reading.update)
        freshness = Freshness.of(paths, params)
        if freshness.done:
            click.echo("Every stage is up to date and tracked: nothing to do.", err=True)
            note = standing.sentence(paths)
            tell([*git.lost(paths.root), *([note] if note else [])])
        else:
            with PipelineProgress(params, visible=not as_json) as progress:
                done = run_pipeline(paths, params, freshness=freshness, progress=progress.update, verbose=verbose)
            tell(done.notes)
            page, tracked = done.page, done.tracked
    _report(paths, as_json, page, tracked)


def _plan(given: Mapping[str, Any], hours: float | None, as_json: bool) -> None:
    """Say what a run would do."""
    from analognas.cli.progress import StageProgress
    from analognas.setup.planning import plan
    from analognas.setup.run_time import duration
    from analognas.workspace import Paths

    if hours is not None:
        raise click.UsageError("--dry-run looks at the protocol that there is: leave --hours and --quick out.")
    paths = Paths.find()
    with StageProgress("dry run", visible=not as_json) as progress:
        planned = plan(paths, given, progress.update)
    if as_json:
        click.echo(json.dumps(planned.to_dict()))
        return
    from rich.console import Console

    words = {"runs": "runs", "depends": "runs, unless what it reads comes out the same", "up to date": "up to date"}
    rows = [
        (
            step.stage,
            folded(words[step.what], 26),
            "\n".join(folded(reason, 34) for reason in step.reasons),
            duration(step.seconds).removeprefix("about ") if step.seconds else "",
        )
        for step in planned.steps
    ]
    console = Console()
    console.print(plain_table(("stage", "", "because", "time"), rows, numbers=(3,)))
    for sentence in planned.sentences():
        console.print(sentence, highlight=False, markup=False)


@click.command()
@override_options
@json_option
@click.option(
    "--true-evaluations",
    "evaluations",
    type=click.IntRange(min=1),
    required=True,
    metavar="N",
    help="Architectures to characterize beyond the sample, those of earlier calls included.",
)
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    metavar="N",
    help="Architectures that are proposed at once.",
)
@click.option("--no-run", is_flag=True, help="Do not fit, search and train afterwards.")
@click.option("--verbose", is_flag=True, help="Show Prefect's log.")
def search(
    assignments: tuple[str, ...], dataset: str | None, path: str | None, max_params: str | None,
    as_json: bool, evaluations: int, batch: int, no_run: bool, verbose: bool,
) -> None:  # fmt: skip
    """Closed loop: propose what is promising or unknown, characterize it, learn from it, repeat.

    Each batch becomes a round in data/rounds/. Then the pipeline runs as `analognas run` does.
    """
    from analognas.cli.progress import PipelineProgress, StageProgress
    from analognas.orchestration import Freshness, run_pipeline
    from analognas.retraining.proposing import run_closed_loop
    from analognas.setup.preparing import prepare
    from analognas.workspace import Paths, alone

    values = section_values(assignments, dataset, path, max_params)
    paths = Paths.find()
    with alone(paths):
        with StageProgress("dataset", visible=not as_json) as reading:
            params = prepare(paths, values, reading.update)
        with StageProgress("search", visible=not as_json) as progress:
            best = run_closed_loop(params, paths, evaluations, batch, progress.update)
        if not no_run:
            freshness = Freshness.of(paths, params)
            with PipelineProgress(params, visible=not as_json) as pipeline:
                done = run_pipeline(paths, params, freshness=freshness, progress=pipeline.update, verbose=verbose)
            tell(done.notes)
    if as_json:
        click.echo(json.dumps(best.to_dict(), sort_keys=True))
        return
    if not no_run:
        _report(paths, as_json, done.page, done.tracked)
    click.echo(str(best))


@click.command()
@click.argument("name")
@json_option
def stage(name: str, as_json: bool) -> None:
    """Run one stage, up to date or not, and record it: record, sample, characterize, fit, search or train.

    Called by DVC it leaves the record to DVC.
    """
    from analognas.cli.progress import StageProgress
    from analognas.files import read_sealed
    from analognas.orchestration.sessions import record
    from analognas.params import Params
    from analognas.setup.preparing import prepare
    from analognas.stages import run_stage
    from analognas.stages.protocols import RECORD
    from analognas.versioning import Versioning
    from analognas.versioning.repository import called_by_dvc
    from analognas.workspace import Paths, alone

    paths = Paths.find()
    params = Params.load(paths.params)
    with alone(paths), StageProgress(name, visible=not as_json) as progress:
        if name == RECORD:
            prepare(paths, progress=progress.update)
            summary: object = read_sealed(paths.dataset, remedy="run `analognas run`")
        else:
            summary = run_stage(name, params, paths, progress.update)
        versioning = None if called_by_dvc() else Versioning.find(paths.root)
        if versioning is not None:
            record(paths, params, versioning, name)
    if as_json:
        click.echo(json.dumps(summary, sort_keys=True))


@click.command()
@click.option(
    "--html",
    "page",
    is_flag=False,
    flag_value="",
    metavar="[FILE]",
    help="Write it as a page that opens without network, to data/report.html if no file is named.",
)
@click.option(
    "--figures",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Write the figures of that page as PNG and SVG into a new folder.",
)
@json_option
def report(page: str | None, figures: Path | None, as_json: bool) -> None:
    """Show what the last run found."""
    from analognas.workspace import Paths

    paths = Paths.find()
    if page is None and figures is None:
        _report(paths, as_json)
        return
    from analognas import pages

    written = [] if page is None else [pages.write_page(paths, Path(page) if page else None)]
    written += [] if figures is None else pages.write_figures(paths, figures)
    if as_json:
        click.echo(json.dumps({"written": [str(file) for file in written]}))
    else:
        click.echo("\n".join(map(str, written)))


def _report(paths: Paths, as_json: bool, page: str | None = None, tracked: str | None = None) -> None:
    from analognas.report import collect, render, where_to_look

    collected = collect(paths)
    if as_json:
        click.echo(json.dumps(collected, sort_keys=True))
        return
    from rich.console import Console

    console = Console()
    console.print(render(collected))
    for line in where_to_look(paths, page, tracked, collected["use"]):
        console.print(line, soft_wrap=True, highlight=False, markup=False)  # paths may hold brackets
