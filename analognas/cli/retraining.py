"""``analognas retrain``, ``serve``, ``champion`` and ``track``."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from analognas.cli.group import tell
from analognas.cli.options import json_option, override_options, section_values
from analognas.errors import StageError

if TYPE_CHECKING:
    from analognas.orchestration.promotion import Moved
    from analognas.params import Params
    from analognas.progress import Progress
    from analognas.workspace import Paths


@click.command()
@override_options
@json_option
@click.option("--force", is_flag=True, help="Retrain without a reason.")
@click.option(
    "--share/--no-share",
    default=None,
    help="Take git and results first and push what comes of it, as a schedule does; left out: by run.share.",
)
@click.option("--verbose", is_flag=True, help="Show Prefect's log.")
def retrain(
    assignments: tuple[str, ...], dataset: str | None, path: str | None, max_params: str | None,
    as_json: bool, force: bool, share: bool | None, verbose: bool,
) -> None:  # fmt: skip
    """Retrain the evaluator if it needs it; the new one takes its place only if it is better."""
    from analognas.cli.progress import StageProgress
    from analognas.orchestration import exchange
    from analognas.orchestration.retraining import next_steps, run_retraining
    from analognas.params import Params
    from analognas.setup.preparing import prepare
    from analognas.versioning import branch
    from analognas.workspace import Paths, alone

    values = section_values(assignments, dataset, path, max_params)
    paths = Paths.find()
    with alone(paths):
        before = Params.load(paths.params)
        if share is None:
            share = exchange.wanted(before, scheduled=False)
        taken = exchange.begin(paths, before) if share else None
        with StageProgress("dataset", visible=not as_json) as reading:
            params = prepare(paths, values, reading.update)
        with StageProgress("retrain", visible=not as_json) as progress:

            def show(step: str, part: float, whole: float, text: str) -> None:
                progress.update(round(100 * part / whole), 100, f"{step}: {text}")

            done = run_retraining(paths, params, force=force, verbose=verbose, progress=show, taken=taken)
    tell(done.notes)
    own = params.run.branch
    kept = own if share and own is not None and not branch.written(paths.root) else None
    click.echo(json.dumps(done.summary(), sort_keys=True) if as_json else next_steps(done.summary(), kept))


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
@click.option("--all", "whole", is_flag=True, help="All versions, with digests and every promotion.")
@json_option
@click.pass_context
def champion(context: click.Context, whole: bool, as_json: bool) -> None:
    """Show the registered evaluators: which is champion, which challenger, how good they are."""
    if context.invoked_subcommand is not None:
        return
    from analognas.tracking.champions import describe, versions
    from analognas.tracking.standing import Standing
    from analognas.workspace import Paths

    paths = Paths.find()
    registered = versions(paths)
    standing = Standing.of(paths, registered)
    if as_json:
        listed = [{**version.to_dict(), "here": version is standing.version} for version in registered]
        click.echo(json.dumps(listed, sort_keys=True))
    else:
        click.echo(describe(registered, standing.version, whole=whole))
    tell([standing.sentence] if standing.sentence else [])


@champion.command()
@click.argument("number", metavar="N", type=click.IntRange(min=1))
@click.option("--why", default="by hand", show_default=True, metavar="TEXT", help="What the registry keeps as reason.")
@json_option
def promote(number: int, why: str, as_json: bool) -> None:
    """Make version N the champion, in MLflow and as data/evaluator."""
    from analognas.orchestration import promotion

    _by_hand(as_json, lambda params, paths, progress: promotion.promote(params, paths, number, why, progress))


@champion.command()
@click.argument("number", metavar="N", type=click.IntRange(min=1))
@json_option
def checkout(number: int, as_json: bool) -> None:
    """Make data/evaluator version N; the champion in MLflow stays."""
    from analognas.orchestration import promotion

    _by_hand(as_json, lambda params, paths, progress: promotion.check_out(params, paths, number, progress))


@champion.command()
@json_option
def rollback(as_json: bool) -> None:
    """Make the evaluator before the champion the champion again, here and in MLflow."""
    from analognas.orchestration import promotion

    _by_hand(as_json, promotion.roll_back)


@click.command()
@click.option("--again", is_flag=True, help="Look in MLflow itself, and log and register anew what was deleted there.")
@json_option
def track(again: bool, as_json: bool) -> None:
    """Log to MLflow what is not logged yet; `analognas run` does it at its end."""
    from analognas import tracking
    from analognas.params import Params
    from analognas.versioning import Versioning
    from analognas.workspace import Paths, alone

    paths = Paths.find()
    params = Params.load(paths.params)
    with alone(paths):
        if again:
            tracking.forget(paths, params)
        report = tracking.sync(paths, params, Versioning.find(paths.root))
    if report.warning:
        raise StageError(report.warning)
    note = tracking.standing.sentence(paths)
    if as_json:
        click.echo(json.dumps({"logged": list(report.logged), "run": report.run_id, "note": note}))
        return
    click.echo(f"Logged: {', '.join(report.logged) or 'nothing, all of it is there'}.")
    tell([note] if note else [])


def _by_hand(as_json: bool, work: Callable[[Params, Paths, Progress], Moved]) -> None:
    from analognas.cli.progress import StageProgress
    from analognas.setup.preparing import prepare
    from analognas.workspace import Paths

    paths = Paths.find()
    params = prepare(paths)
    with StageProgress("champion", visible=not as_json) as progress:
        done = work(params, paths, progress.update)
    click.echo(json.dumps(done.to_dict(), sort_keys=True) if as_json else str(done))
