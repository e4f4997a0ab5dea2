"""The command line. Exit codes: 0 done, 1 failed, 2 bad input (one sentence, nothing touched)."""

from __future__ import annotations

import json
import math
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from analognas import __version__
from analognas.command_options import json_option
from analognas.dataset_commands import datasets
from analognas.errors import AnalogNASError, AnalogNASWarning, ParamsError
from analognas.listing_commands import hardware, spaces

if TYPE_CHECKING:
    from analognas.workspace import Paths


_show_warning = warnings.showwarning


def _warn(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
    """Tell a warning of the library as its errors are told."""
    if issubclass(category, AnalogNASWarning):
        click.echo(f"analognas: {message}", err=True)
    else:
        _show_warning(message, category, *where, **more)


class _Group(click.Group):
    """Turns the errors of the library into one sentence and an exit code."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line."""
        warnings.showwarning = _warn
        given = kwargs.get("args") or (args[0] if args else sys.argv[1:])
        try:
            # Not standalone: there click would say "Aborted!" and nothing more.
            return super().main(*args, **kwargs | {"standalone_mode": False})
        except AnalogNASError as error:
            click.echo(f"analognas: {error}", err=True)
            _end(given, error.exit_code, str(error), error.details)
        except click.ClickException as error:
            error.show()
            _end(given, error.exit_code, error.format_message())
        except (KeyboardInterrupt, click.Abort):
            click.echo("analognas: interrupted; what was finished is kept, run again to go on.", err=True)
            sys.exit(1)


def _end(given: Sequence[str], code: int, message: str, details: Mapping[str, Any] | None = None) -> NoReturn:
    """End after an error that was told; who asked for JSON gets an object, as after success."""
    if "--json" in given:
        click.echo(json.dumps({"error": message, "exit_code": code, **(details or {})}))
    sys.exit(code)


def _overrides(command: Any) -> Any:
    for option in (
        click.option("--max-params", metavar="N", help="Most trainable parameters, e.g. 50k."),
        click.option("--path", metavar="DIR", help="Folder or archive that holds the dataset."),
        click.option("--dataset", metavar="NAME", help="Dataset, see `analognas datasets`."),
        click.option("--set", "assignments", multiple=True, metavar="SECTION.KEY=VALUE",
                     help="Write a value into params.yaml first; repeatable."),
    ):  # fmt: skip
        command = option(command)
    return command


def _finite(_context: click.Context, _option: click.Parameter, value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is no number of hours.")
    return value


_hours = click.option(
    "--hours", type=click.FloatRange(min=0, min_open=True), metavar="N", callback=_finite,
    help="Fit the protocol to the data and this machine, so that a run takes about so long.",
)  # fmt: skip

_remote = click.option("--remote", metavar="NAME", help="DVC remote; left out: the default one.")


def _assignments(given: Sequence[str], dataset: str | None, path: str | None, max_params: str | None) -> list[str]:
    for option, value in (("--dataset", dataset), ("--path", path), ("--max-params", max_params)):
        if value is not None and not value.strip():  # of a variable of the shell that is not set; null means no limit
            raise ParamsError(f"{option} is empty: give a value, or leave it out.")
    short = {"dataset.name": dataset, "space.max_params": max_params}
    if path is not None:  # quoted: values are read as YAML, in which `set #1` is `set`
        short["dataset.path"] = json.dumps(str(Path(path).expanduser().resolve()))
    return [*given, *(f"{key}={value}" for key, value in short.items() if value is not None)]


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, package_name="analognas")
def main() -> None:
    """Find neural architectures that stay accurate on analog in-memory computing chips."""


@main.command()
@_overrides
@_hours
@json_option
@click.option("--verbose", is_flag=True, help="Show Prefect's log.")
def run(
    assignments: tuple[str, ...], dataset: str | None, path: str | None, max_params: str | None,
    hours: float | None, as_json: bool, verbose: bool,
) -> None:  # fmt: skip
    """Run the pipeline of this workspace: only what is not up to date.

    Outside of a workspace, --dataset makes one for it, fitted to the data and this machine.
    """
    from analognas.console import PipelineProgress, StageProgress
    from analognas.environment import prepare
    from analognas.new_workspace import find_or_make

    given = _assignments(assignments, dataset, path, max_params)
    paths = find_or_make(dataset, path, given, hours, as_json)
    with StageProgress("dataset", visible=not as_json) as reading:
        params = prepare(paths, given, reading.update)

    from analognas.orchestration import Freshness, run_pipeline

    freshness = Freshness.of(paths, params)
    if freshness.done:
        click.echo("Every stage is up to date and tracked: nothing to do.", err=True)
    else:
        with PipelineProgress(params, visible=not as_json) as progress:
            done = run_pipeline(paths, params, freshness=freshness, progress=progress.update, verbose=verbose)
        _tell(done.notes)
    _report(paths, as_json)


@main.command()
@_overrides
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
    from analognas.console import PipelineProgress, StageProgress
    from analognas.environment import prepare
    from analognas.orchestration import Freshness, run_pipeline
    from analognas.proposing import search as loop
    from analognas.workspace import Paths, alone

    paths = Paths.find()
    with StageProgress("dataset", visible=not as_json) as reading:
        params = prepare(paths, _assignments(assignments, dataset, path, max_params), reading.update)
    with alone(paths), StageProgress("search", visible=not as_json) as progress:
        found = loop(params, paths, evaluations, batch, progress.update)
    if not no_run:
        freshness = Freshness.of(paths, params)
        with PipelineProgress(params, visible=not as_json) as pipeline:
            done = run_pipeline(paths, params, freshness=freshness, progress=pipeline.update, verbose=verbose)
        _tell(done.notes)
    if as_json:
        click.echo(json.dumps(found.to_dict(), sort_keys=True))
        return
    if not no_run:
        _report(paths, as_json)
    click.echo(str(found))


@main.command()
@_overrides
@json_option
@click.option("--force", is_flag=True, help="Retrain without a reason.")
@click.option("--verbose", is_flag=True, help="Show Prefect's log.")
def retrain(
    assignments: tuple[str, ...], dataset: str | None, path: str | None, max_params: str | None,
    as_json: bool, force: bool, verbose: bool,
) -> None:  # fmt: skip
    """Retrain the evaluator if it needs it; the new one takes its place only if it is better."""
    from analognas.console import StageProgress
    from analognas.environment import prepare
    from analognas.retrain_session import ask, next_steps, pull, run_retraining
    from analognas.workspace import Paths

    paths = Paths.find()
    with StageProgress("dataset", visible=not as_json) as reading:
        params = prepare(paths, _assignments(assignments, dataset, path, max_params), reading.update)
    note = pull(paths)
    need = ask(params, paths)
    with StageProgress("retrain", visible=not as_json) as progress:
        done, notes = run_retraining(
            paths, params, need, force=force, verbose=verbose,
            progress=lambda step, part, whole, text: progress.update(round(100 * part / whole), 100, f"{step}: {text}"),
        )  # fmt: skip
    _tell([note, *notes] if note else notes)
    click.echo(json.dumps(done, sort_keys=True) if as_json else next_steps(done))


@main.command()
@click.option("--cron", metavar="FIELDS", help="When, e.g. '0 3 * * 1': Mondays at three (UTC).")
@click.option("--interval-hours", type=click.FloatRange(min=0, min_open=True), metavar="N", help="Every N hours.")
def serve(cron: str | None, interval_hours: float | None) -> None:
    """Retrain by a schedule, until it is stopped; needs a Prefect server (PREFECT_API_URL)."""
    from analognas.retrain_session import serve as serve_flow
    from analognas.workspace import Paths

    serve_flow(Paths.find(), cron=cron, interval_hours=interval_hours)


@main.group(invoke_without_command=True)
@json_option
@click.pass_context
def champion(context: click.Context, as_json: bool) -> None:
    """Show the registered evaluators: which is champion, which challenger, how good they are."""
    if context.invoked_subcommand is not None:
        return
    from analognas.champions import describe, versions
    from analognas.workspace import Paths

    found = versions(Paths.find())
    click.echo(json.dumps([one.to_dict() for one in found]) if as_json else describe(found))


@champion.command()
@json_option
def rollback(as_json: bool) -> None:
    """Make the evaluator before the champion the champion again, here and in MLflow."""
    from analognas.champions import roll_back
    from analognas.console import StageProgress
    from analognas.environment import prepare
    from analognas.workspace import Paths

    paths = Paths.find()
    params = prepare(paths)
    with StageProgress("rollback", visible=not as_json) as progress:
        done = roll_back(params, paths, progress.update)
    click.echo(json.dumps(done.to_dict(), sort_keys=True) if as_json else str(done))


@main.command()
@_remote
@json_option
def push(remote: str | None, as_json: bool) -> None:
    """Share what was measured here: results, and what DVC has recorded, to a DVC remote."""
    from analognas.sharing import push as share

    _exchange("push", share, remote, as_json)


@main.command()
@_remote
@json_option
def pull(remote: str | None, as_json: bool) -> None:
    """Fetch what others have shared: results, and what dvc.lock names, from a DVC remote."""
    from analognas.sharing import pull as fetch

    _exchange("pull", fetch, remote, as_json)


@main.command()
@click.argument("name")
@json_option
def stage(name: str, as_json: bool) -> None:
    """Run one stage as `dvc repro` does: sample, characterize, fit, search or train."""
    from analognas.console import StageProgress
    from analognas.params import Params
    from analognas.stages import run_stage
    from analognas.workspace import Paths, alone

    paths = Paths.find()
    params = Params.load(paths.params)
    with alone(paths), StageProgress(name, visible=not as_json) as progress:
        summary = run_stage(name, params, paths, progress.update)
    if as_json:
        click.echo(json.dumps(summary, sort_keys=True))


@main.command()
@json_option
def report(as_json: bool) -> None:
    """Show what the last run found."""
    from analognas.workspace import Paths

    _report(Paths.find(), as_json)


@main.command()
@click.argument("target", type=click.Path(path_type=Path))
@_overrides
@_hours
@json_option
def init(
    target: Path, assignments: tuple[str, ...], dataset: str | None, path: str | None, max_params: str | None,
    hours: float | None, as_json: bool,
) -> None:  # fmt: skip
    """Make a workspace in TARGET: parameters, stages, flow, git and DVC.

    With --dataset or --hours the protocol is fitted to the data and this machine, and params.yaml says why.
    """
    from analognas.new_workspace import make

    make(target, _assignments(assignments, dataset, path, max_params), hours, as_json)


@main.command()
@click.option("--update", is_flag=True, help="Record the versions and the dataset of this workspace anew.")
@json_option
def doctor(update: bool, as_json: bool) -> None:
    """Tell what is installed, whether it fits together, and what to do if not."""
    from analognas.doctor import diagnose

    if update:
        from analognas.environment import prepare
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


def _tell(notes: Sequence[str]) -> None:
    """Tell what the user should know of a run that came to its end."""
    for note in notes:
        click.echo(f"analognas: {note}", err=True)


def _exchange(direction: str, share: Any, remote: str | None, as_json: bool) -> None:
    from analognas.console import StageProgress
    from analognas.workspace import Paths

    paths = Paths.find()
    with StageProgress(direction, visible=not as_json) as progress:
        done = share(paths, remote, progress.update)
    click.echo(json.dumps(done.to_dict(), sort_keys=True) if as_json else str(done))
    for problem in done.problems:
        click.echo(f"analognas: {problem}", err=True)
    if done.problems:
        sys.exit(1)


def _report(paths: Paths, as_json: bool) -> None:
    from analognas.report import collect, render, where_to_look

    found = collect(paths)
    if as_json:
        click.echo(json.dumps(found, sort_keys=True))
        return
    from rich.console import Console

    console = Console()
    console.print(render(found))
    for line in where_to_look(paths):
        console.print(line, soft_wrap=True, highlight=False, markup=False)  # paths may hold brackets


main.add_command(datasets)
main.add_command(hardware)
main.add_command(spaces)

if __name__ == "__main__":
    main()
