"""``analognas retrain``, ``serve`` and ``champion``."""

from __future__ import annotations

import json

import click

from analognas.cli.group import tell
from analognas.cli.options import json_option, override_options, section_values


@click.command()
@override_options
@json_option
@click.option("--force", is_flag=True, help="Retrain without a reason.")
@click.option("--verbose", is_flag=True, help="Show Prefect's log.")
def retrain(
    assignments: tuple[str, ...], dataset: str | None, path: str | None, max_params: str | None,
    as_json: bool, force: bool, verbose: bool,
) -> None:  # fmt: skip
    """Retrain the evaluator if it needs it; the new one takes its place only if it is better."""
    from analognas.cli.progress import StageProgress
    from analognas.orchestration.retraining import next_steps, run_retraining
    from analognas.setup.preparing import prepare
    from analognas.workspace import Paths, alone

    values = section_values(assignments, dataset, path, max_params)
    paths = Paths.find()
    with alone(paths):
        with StageProgress("dataset", visible=not as_json) as reading:
            params = prepare(paths, values, reading.update)
        with StageProgress("retrain", visible=not as_json) as progress:

            def show(step: str, part: float, whole: float, text: str) -> None:
                progress.update(round(100 * part / whole), 100, f"{step}: {text}")

            done = run_retraining(paths, params, force=force, verbose=verbose, progress=show)
    tell(done.notes)
    click.echo(json.dumps(done.summary(), sort_keys=True) if as_json else next_steps(done.summary()))


@click.command()
@click.option("--cron", metavar="FIELDS", help="When, e.g. '0 3 * * 1': Mondays at three.")
@click.option("--interval-hours", type=click.FloatRange(min=0, min_open=True), metavar="N", help="Every N hours.")
@click.option("--timezone", metavar="NAME", help="Whose clock --cron goes by, e.g. Europe/Berlin; left out: UTC.")
def serve(cron: str | None, interval_hours: float | None, timezone: str | None) -> None:
    """Retrain by a schedule, until it is stopped; needs a Prefect server (PREFECT_API_URL)."""
    from analognas.orchestration.serving import serve as serve_flow
    from analognas.workspace import Paths

    serve_flow(Paths.find(), cron=cron, interval_hours=interval_hours, timezone=timezone)


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def champion(context: click.Context, as_json: bool) -> None:
    """Show the registered evaluators: which is champion, which challenger, how good they are."""
    if context.invoked_subcommand is not None:
        return
    from analognas.tracking.champions import describe, versions
    from analognas.workspace import Paths

    registered = versions(Paths.find())
    click.echo(json.dumps([version.to_dict() for version in registered]) if as_json else describe(registered))


@champion.command()
@json_option
def rollback(as_json: bool) -> None:
    """Make the evaluator before the champion the champion again, here and in MLflow."""
    from analognas.cli.progress import StageProgress
    from analognas.orchestration.rollback import roll_back
    from analognas.setup.preparing import prepare
    from analognas.workspace import Paths

    paths = Paths.find()
    params = prepare(paths)
    with StageProgress("rollback", visible=not as_json) as progress:
        done = roll_back(params, paths, progress.update)
    click.echo(json.dumps(done.to_dict(), sort_keys=True) if as_json else str(done))
