"""``analognas predict`` and ``analognas export``: the winner at work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from analognas.cli.group import tell
from analognas.cli.options import json_option

if TYPE_CHECKING:
    from analognas.training import Winner


def _winner_options(command: Any) -> Any:
    for option in (
        click.option("--own", multiple=True, metavar="MODULE:NAME",
                     help="A space or chip of your own that the winner names and may import; repeatable."),
        click.option("--winner", "folder", type=click.Path(path_type=Path), metavar="DIR",
                     help="Folder of the winner; left out: data/winner of this workspace."),
    ):  # fmt: skip
        command = option(command)
    return command


def _after(_context: click.Context, _option: click.Parameter, value: str | None) -> float | None:
    from analognas.training.columns import seconds_of

    return None if value is None else seconds_of(value)


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option("--after", callback=_after, default="1d", show_default=True, metavar="TIME",
              help="Age of the devices since programming: 1s, 10min, 1h, 1d, 30d.")  # fmt: skip
@click.option("--repeats", type=click.IntRange(min=1), metavar="N",
              help="Programmings to ask; left out: as many as were measured.")  # fmt: skip
@_winner_options
@json_option
def predict(
    files: tuple[Path, ...], after: float, repeats: int | None, folder: Path | None, own: tuple[str, ...], as_json: bool
) -> None:
    """Classify pictures or recordings with the winner, as devices of an age see them.

    For each file: class, confidence with its standard deviation over programmings, and how many programmings agree.
    """
    from analognas.training.columns import time_label

    winner = _load(folder, own)
    longest = max(winner.protocol.times)
    if after > longest:
        older = f"nothing was measured of devices older than {time_label(longest)}"
        tell([f"{older}: how accurate these answers are is not known."])
    frame = winner.predict(list(files), after, repeats=repeats)
    rows = frame.rename(columns={"input": "file"}).to_dict("records")
    asked = winner.protocol.repeats if repeats is None else repeats
    if as_json:
        told = {"winner": winner.architecture.id, "seconds_after_programming": after, "repeats": asked}
        click.echo(json.dumps(told | {"predictions": rows}))
        return
    for row in rows:
        click.echo(
            f"{row['file']}: {row['class_name']}, {100 * row['confidence']:.1f} ± {100 * row['confidence_std']:.1f} % "
            f"confident, {round(asked * row['agreement'])} of {asked} programmings agree"
        )


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--format", "format_", type=click.Choice(["aihwkit", "pt2", "onnx"]), required=True,
              help="aihwkit: its own layers; pt2: torch.export; onnx: with the extra analognas[onnx].")  # fmt: skip
@click.option("--after", callback=_after, metavar="TIME",
              help="pt2 and onnx: weights of devices of this age; left out: the clean weights.")  # fmt: skip
@_winner_options
@json_option
def export(
    path: Path, format_: str, after: float | None, folder: Path | None, own: tuple[str, ...], as_json: bool
) -> None:
    """Write the winner to PATH, a new file, for another tool."""
    from analognas.training.exports import export as write

    winner = _load(folder, own)
    written = write(winner, path, format_, seconds_after_programming=after)
    if as_json:
        told = {"winner": winner.architecture.id, "format": format_, "seconds_after_programming": after}
        click.echo(json.dumps(told | {"path": str(written), "bytes": written.stat().st_size}))
    else:
        click.echo(f"{written}: winner {winner.architecture.id}, {written.stat().st_size:,} bytes")


def _load(folder: Path | None, own: tuple[str, ...]) -> Winner:
    from analognas.training import load_winner
    from analognas.workspace import Paths

    return load_winner(Paths.find().winner if folder is None else folder, own)
