"""Options that several commands of the command line share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from analognas.errors import ParamsError

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")


def override_options(command: Any) -> Any:
    """Give a command the options that set values of params.yaml."""
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


hours_option = click.option(
    "--hours", type=click.FloatRange(min=0, min_open=True), metavar="N", callback=_finite,
    help="Fit the protocol to the data and this machine, so that a run takes about so long.",
)  # fmt: skip


#: What ``--quick`` stands for: two and three quarter minutes.
QUICK_HOURS = 0.045

quick_option = click.option(
    "--quick", is_flag=True,
    help=f"As --hours {QUICK_HOURS}: a run under three minutes on two cores, to see that all works. Not good for "
    "telling which network is the better one, nor for an evaluator to be used.",
)  # fmt: skip


def hours_of(hours: float | None, quick: bool) -> float | None:
    """Return the hours that a run may take by these two options; raises UsageError if both are given."""
    if quick and hours is not None:
        raise click.UsageError(f"--quick stands for --hours {QUICK_HOURS}: give one of them.")
    return QUICK_HOURS if quick else hours


def section_values(
    given: Sequence[str], dataset: str | None, path: str | None, max_params: str | None
) -> dict[str, Any]:
    """Return what these options stand for, as values by ``section.key``.

    Raises:
        ParamsError: if one of them is empty, or two disagree.
    """
    from analognas.params.overrides import add, parse

    values = parse(given)
    for option, value in (("--dataset", dataset), ("--path", path), ("--max-params", max_params)):
        if value is not None and not value.strip():  # of a variable of the shell that is not set; null means no limit
            raise ParamsError(f"{option} is empty: give a value, or leave it out.")
    if dataset is not None:
        add(values, "dataset.name", dataset, "--dataset")
    if path is not None:
        add(values, "dataset.path", str(Path(path).expanduser().resolve()), "--path")
    if max_params is not None:
        key = "space.max_params"
        add(values, key, parse([f"{key}={max_params}"])[key], "--max-params")
    return values
