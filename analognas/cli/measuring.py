"""``analognas measure``: a network of the user's own beside the winner."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from analognas.cli.group import tell
from analognas.cli.options import json_option

if TYPE_CHECKING:
    from rich.table import Table as RichTable

    from analognas.report import OwnFigures, Told
    from analognas.training.measured import LayerFigures, Stored
    from analognas.workspace import Paths


@click.command()
@click.argument("network", metavar="MODULE:NETWORK")
@click.option("--weights", type=click.Path(path_type=Path), metavar="FILE",
              help="Trained weights: safetensors, or a state dict of torch.save. Not trained further.")  # fmt: skip
@click.option("--hardware-aware", is_flag=True, help="Train given weights on tiles, too.")
@click.option("--name", metavar="NAME", help="What it is called; left out: as the class or function.")
@click.option("--sensitivity", is_flag=True,
              help="Measure which layers lose accuracy: one analog, and one digital, at a time.")  # fmt: skip
@click.option("--replace", is_flag=True, help="Replace another network of that name.")
@json_option
def measure(
    network: str, weights: Path | None, hardware_aware: bool, name: str | None, sensitivity: bool, replace: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Train a PyTorch network of yours, put it on the chip and measure it as the winner is.

    NETWORK is a class or function in MODULE, without arguments or with (input_shape, classes). What was measured is
    kept in data/measured, so the same call trains nothing again, and stands in the report.
    """
    from analognas.cli.progress import StageProgress
    from analognas.setup.preparing import prepare
    from analognas.stages.measuring import Asked
    from analognas.stages.measuring import measure as measured
    from analognas.workspace import Paths, alone

    paths = Paths.find()
    asked = Asked(network, weights, name, hardware_aware, sensitivity, replace)
    asked.called  # noqa: B018 - a bad name is refused before anything is read
    with alone(paths):
        with StageProgress("dataset", visible=not as_json) as reading:
            params = prepare(paths, progress=reading.update)
        with StageProgress("measure", visible=not as_json) as progress:
            stored = measured(asked, params, paths, progress.update, lambda sentence: tell([sentence]))
    _show(stored, paths, as_json)


def _show(stored: Stored, paths: Paths, as_json: bool) -> None:
    from analognas.report import laid_out, own_figures

    own = own_figures(paths, stored)
    if as_json:
        click.echo(json.dumps({**own, "path": str(paths.measured / stored.name)}, sort_keys=True))
        return
    from rich.console import Console

    console = Console()
    console.print(laid_out(_table(own, paths)))
    if stored.sensitivity:
        console.print(_layers(stored.sensitivity))
    console.print(f"Measured  {paths.measured / stored.name}", soft_wrap=True, highlight=False, markup=False)


def _table(own: OwnFigures, paths: Paths) -> Told:
    """Return it beside the winner and the plain network, or alone if there is none that was measured so."""
    from dataclasses import replace

    from analognas.errors import CorruptFileError
    from analognas.report import beside, collect, column_of, told
    from analognas.training.measured import most_sensitive

    lines = [most_sensitive(own["sensitivity"])] if own["sensitivity"] else []  # what becomes of it was told before
    try:
        figures = collect(paths)
    except CorruptFileError:  # nothing has run yet
        figures = None
    if figures is not None and own in figures["own"]:
        return replace(told({**figures, "own": [own]}), lines=tuple(lines))
    lines.append("There is no winner that was measured with these data, chip and protocol: `analognas run`.")
    return beside(f"{own['name']}: test accuracy while the chip drifts", [column_of(own)], lines)


def _layers(rows: list[LayerFigures]) -> RichTable:
    from rich.table import Table

    table = Table(title="Which layers lose it: accuracy after a day, %", title_justify="left")
    for number, heading in enumerate(("layer", "weights", "it alone analog", "loses", "it alone digital", "gains")):
        table.add_column(heading, justify="right" if number else "left")
    for row in rows:
        table.add_row(
            row["layer"],
            f"{row['weights']:,}",
            f"{row['alone_analog']:.2f} ± {row['alone_analog_std']:.2f}",
            f"{row['lost']:+.2f}",
            f"{row['alone_digital']:.2f} ± {row['alone_digital_std']:.2f}",
            f"{row['gained']:+.2f}",
        )
    return table
