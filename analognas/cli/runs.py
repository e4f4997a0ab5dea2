"""``analognas runs``, ``compare``, ``restore``, ``sweep``: what ran in a workspace, and the same with other values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from analognas.cli.group import tell
from analognas.cli.options import json_option
from analognas.cli.printing import folded, plain_table

if TYPE_CHECKING:
    from analognas.runs import Run
    from analognas.runs.comparing import Comparison

#: Characters of the names of data and chip in a list of runs.
_NAMES = 24
_WORDS = {"params": "parameters", "tiles": "tiles"}


@click.command()
@click.option("--most", type=click.IntRange(min=1), default=20, show_default=True, metavar="N",
              help="How many of the newest.")  # fmt: skip
@json_option
def runs(most: int, as_json: bool) -> None:
    """List the finished runs of this workspace, newest first.

    They are those that the workspace holds now, that commits of git hold (DVC's experiments, too), and that MLflow
    knows. What stands in the column "run" is taken by `analognas compare` and `analognas restore`.
    """
    from rich.console import Console

    from analognas.runs import listed
    from analognas.workspace import Paths

    listing = listed(Paths.find(), most)
    tell(listing.notes)
    if as_json:
        click.echo(json.dumps([run.to_dict() for run in listing.runs]))
        return
    if not listing.runs:
        click.echo("No run has come to its end here yet: `analognas run`.")
        return
    headings = ("when", "run", "data,\nchip", "winner", "1 day,\n%", "AVM,\npoints", "limits")
    Console().print(plain_table(headings, map(_row, listing.runs), numbers=(4, 5)))


@click.command()
@click.argument("a")
@click.argument("b", default=".")
@click.option("--unpaired", is_flag=True,
              help="Do not ask the winners for the test images again: at once, with wider intervals.")  # fmt: skip
@json_option
def compare(a: str, b: str, unpaired: bool, as_json: bool) -> None:
    """Compare two finished runs: the parameters that differ, and which winner is better.

    A and B are commits, runs of MLflow, or folders of workspaces, see `analognas runs`; B left out is what this
    workspace holds now. Differences are B minus A. Where both winners are kept, they classify the test images again,
    so that intervals are paired; what they answered is remembered.
    """
    from rich.console import Console

    from analognas.cli.progress import StageProgress
    from analognas.runs import find
    from analognas.runs.answers import of_both
    from analognas.runs.comparing import compare as compared
    from analognas.runs.comparing import same_images
    from analognas.workspace import Paths

    paths = Paths.find()
    first, second = find(paths, a), find(paths, b)
    answers = None
    if not unpaired and same_images(first, second) and first.train["winner"] != second.train["winner"]:
        with StageProgress("compare", visible=not as_json) as progress:
            answers = of_both(paths, first, second, progress.update)
    done = compared(first, second, answers)
    if as_json:
        click.echo(json.dumps(done.to_dict()))
        return
    console = Console()
    for table in _side_by_side(done):
        console.print(table)
        click.echo()
    for sentence in done.sentences():
        console.print(sentence, highlight=False, markup=False)


@click.command()
@click.argument("run", metavar="RUN")
@json_option
def restore(run: str, as_json: bool) -> None:
    """Bring an earlier run back: its parameters, its evaluator and its winner, and what else is kept of it.

    RUN is a commit, a run of MLflow, or a folder, see `analognas runs`. What is in the workspace now is kept aside, and
    the last line says how it comes back. Git's index, and files of yours, are not touched.
    """
    from analognas.cli.progress import StageProgress
    from analognas.runs import find
    from analognas.runs.restoring import bring_back, is_kept
    from analognas.runs.restoring import restore as restored
    from analognas.tracking import standing
    from analognas.workspace import Paths

    paths = Paths.find()
    with StageProgress("restore", visible=not as_json) as progress:
        if is_kept(paths, Path(run)):
            done = bring_back(paths, Path(run))
        else:
            done = restored(paths, find(paths, run), progress.update)
    note = standing.sentence(paths)
    tell([*([done.problem] if done.problem else []), *([note] if note else [])])
    click.echo(json.dumps(done.to_dict()) if as_json else "\n".join(done.sentences()))


@click.command()
@click.argument("values", nargs=-1, required=True, metavar="KEY=A,B,...")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Where to draw it (PNG, SVG, PDF); left out: below .analognas/sweeps.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only say how many points are to run and how long that takes.")
@json_option
def sweep(values: tuple[str, ...], plot: Path | None, dry_run: bool, as_json: bool) -> None:
    """Run the pipeline with several values of one key, or of two, and show the winners side by side.

    KEY=A,B,... is e.g. hardware.adc_bits=5,6,8. The workspace stays as it is; what is characterized goes into its
    store, and is not characterized again, nor does a point run again that came to its end. How long it will take is
    said first.
    """
    from rich.console import Console

    from analognas.cli.progress import StageProgress
    from analognas.runs.sweeping import asked_values, expected
    from analognas.runs.sweeping import sweep as swept
    from analognas.workspace import Paths

    asked = asked_values(values)
    paths = Paths.find()
    if dry_run or not as_json:  # a program gets the figures and needs no word before them
        with StageProgress("sweep", visible=not as_json) as looking:
            planned = expected(paths, asked, looking.update)
        if dry_run:
            click.echo(json.dumps(planned.to_dict()) if as_json else str(planned))
            return
        tell([str(planned)])
    with StageProgress("sweep", visible=not as_json) as progress:

        def show(part: float, whole: float, text: str) -> None:
            progress.update(round(100 * part / whole), 100, text)

        done = swept(paths, asked, plot, show)
    if as_json:
        click.echo(json.dumps(done.to_dict()))
        return
    rows = [
        (*(folded(_value(value), 16) for value in point.values.values()), *_told(point.to_dict()))
        for point in done.points
    ]
    headings = (*(key.replace(".", ".\n") for key in done.keys), "winner", "1 day,\n%", "1 month,\n%", "AVM,\npoints",
                "limits")  # fmt: skip
    console = Console()
    console.print(plain_table(headings, rows, numbers=range(len(done.keys) + 1, len(headings) - 1)))
    for point in done.points:
        if point.problem is not None:
            tell([f"{', '.join(f'{key} {value}' for key, value in point.values.items())}: {point.problem}"])
    console.print("Intervals are of 90 %, over programmings and test images; each winner was trained once.")
    if done.plot is not None:
        console.print(f"Plot      {done.plot}", soft_wrap=True, highlight=False, markup=False)


def _told(point: dict[str, Any]) -> tuple[str, ...]:
    winner = point["winner"]
    if winner is None:
        return ("failed", "", "", "", "")
    figures = (f"{winner[name]:.2f}" + _half(winner[f"{name}_half"]) for name in ("acc_1d", "acc_30d", "avm"))
    return (winner["id"][:8], *figures, folded(point["limits"], 6))


def _half(half: float | None) -> str:
    return "" if half is None else f"\n±{half:.2f}"


def _side_by_side(done: Comparison) -> Iterator[Any]:
    """Yield a table of the figures, and one of what else differs."""
    a, b = done.a, done.b
    rows = [("winner", *(str(run.train["winner"]["id"]) for run in (a, b)), "")]
    for name, (first, second) in done.exact.items():
        rows.append((_WORDS[name], f"{first:,}", f"{second:,}", f"{second - first:+,}"))
    rows += [
        (
            f"{figure.words}, {figure.unit}",
            _within(figure.a, figure.half_a),
            _within(figure.b, figure.half_b),
            f"{figure.difference:+.2f}"
            + ("" if figure.low is None else f"\n{figure.low:+.2f} to {figure.high:+.2f}\n{figure.verdict}"),
        )
        for figure in done.figures
    ]
    titles = ("", f"A\n{folded(a.name, 18)}", f"B\n{folded(b.name, 18)}", "B minus A")
    yield plain_table(titles, rows, numbers=(1, 2, 3))
    differing = {**done.params, **done.versions}
    if differing:
        told = [
            (folded(key, 32), *(folded(_value(value), 20) for value in values)) for key, values in differing.items()
        ]
        yield plain_table(("what differs", "A", "B"), told)


def _within(value: float, half: float | None) -> str:
    return f"{value:.2f}" if half is None else f"{value:.2f}\n{value - half:.2f} to {value + half:.2f}"


def _value(value: Any) -> str:
    from analognas.params.sections import shown

    return shown(value) if not isinstance(value, str) else value


def _row(run: Run) -> tuple[str, ...]:
    told = run.to_dict()
    name = run.name if run.commit or run.tracked else "."
    return (
        f"{run.when.astimezone():%Y-%m-%d\n%H:%M}",
        f"{name}\n(here)" if run.current and name != "." else f"{name} (here)" if run.current else name,
        f"{folded(str(told['data'] or ''), _NAMES)}\n{folded(run.chip.rpartition(':')[2], _NAMES)}",
        told["winner"][:8],
        *(_figure(told[name], told[f"{name}_std"]) for name in ("acc_1d", "avm")),
        folded(told["limits"], 6),
    )


def _figure(value: float, std: float | None) -> str:
    return f"{value:.2f}" if std is None else f"{value:.2f}\n±{std:.2f}"
