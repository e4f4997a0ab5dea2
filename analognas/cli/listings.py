"""``analognas spaces`` and ``analognas hardware``: what can be named in ``params.yaml``.

A package whose part cannot be used has a row that says why; the others are listed all the same.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from analognas.causes import own_code
from analognas.cli.options import json_option
from analognas.cli.printing import WIDTH

if TYPE_CHECKING:
    from analognas.hardware.chips import Chip as CostChip
    from analognas.hardware.presets import Preset
    from analognas.hardware.tile_shape import TileShape
    from analognas.plugins import Plugin
    from analognas.search_spaces import ConfigSpace

#: What is printed as JSON, and what is printed as text.
Row = tuple[dict[str, Any], str]


@click.command()
@json_option
def spaces(as_json: bool) -> None:
    """Show the configuration space: that of this workspace, or those that are known by name."""
    from analognas.errors import WorkspaceError
    from analognas.params import Params
    from analognas.plugins import plugins
    from analognas.search_spaces import ConfigSpace
    from analognas.search_spaces.config_space import DATASETS
    from analognas.search_spaces.family import KNOWN, family
    from analognas.stages import inputs
    from analognas.stages.recorded import describe_dataset, recorded_dataset
    from analognas.workspace import Paths

    added = plugins("space")

    def show(space: ConfigSpace) -> Row:
        known = family(space.family)
        told = space.to_dict()
        for gene in told["hyperparameters"]:
            gene["meaning"] = known.meaning(gene["name"])
        return told, _space(space, {gene["name"]: gene["meaning"] for gene in told["hyperparameters"]})

    try:
        paths = Paths.find()
        params = Params.load(paths.params)
        # Before the first run the data may not be recorded yet: then they are looked at, and nothing is written.
        data = recorded_dataset(paths) if paths.dataset.is_file() else describe_dataset(params, paths)
        rows = [show(inputs.space_of(params, data))]
    except WorkspaceError:
        rows = [show(ConfigSpace(name)) for name in DATASETS]
        rows += _added(added, lambda plugin: show(ConfigSpace("digits", family=plugin.name)))
    if as_json:
        click.echo(json.dumps([row for row, _ in rows]))
        return
    click.echo("\n\n".join(text for _, text in rows))
    names = [*KNOWN, *(f"{plugin.name} ({plugin.package})" for plugin in added)]
    click.echo(f"\nspace.name may be {', '.join(names)}, or module:Class of your own.")


def _space(space: ConfigSpace, meanings: Mapping[str, str]) -> str:
    """Return a space as its text, with what each gene is below its range."""
    first, *lines = str(space).splitlines()
    genes = [gene.name for gene in space.hyperparameters]
    told = _folded(first, "", "  ")
    for name, line in zip(genes, lines, strict=True):
        told.append(line)
        told += _folded(meanings[name], "      ", "      ")
    return "\n".join(told)


@click.command()
@json_option
def hardware(as_json: bool) -> None:
    """List the chips that can be named in params.yaml: those that are simulated, then those whose costs are known."""
    from analognas.hardware.chips import CHIPS, chip
    from analognas.hardware.presets import PRESETS, preset
    from analognas.params import HardwareParams
    from analognas.plugins import plugins

    def row(name: str, chip: Preset, package: str = "") -> Row:
        tiles = chip.tiles or HardwareParams(rpu_config=name).tile_shape  # the latter makes the configuration
        described = {"name": name, "kind": "simulated", **chip.to_dict(), "tile_size": tiles.plain()} | (
            {"package": package} if package else {}
        )
        return described, _chip(f"{name} ({package})" if package else name, chip, tiles)

    rows: list[Row] = [row(name, chip) for name, chip in PRESETS.items()]

    def show(plugin: Plugin) -> Row:
        return row(plugin.name, preset(plugin.name), plugin.package)

    rows += _added(plugins("chip"), show)
    costing = [chip(name) for name in CHIPS if name != "own"]  # which has no constants before they are given
    if as_json:
        known = [{"kind": "cost", **each.to_dict()} for each in costing]
        click.echo(json.dumps([row for row, _ in rows] + known))
        return
    click.echo("What is simulated (hardware.rpu_config):\n")
    click.echo("\n\n".join(text for _, text in rows))
    click.echo("\nhardware.rpu_config may also be module:function of your own; see\ndocs/hardware.md.")
    click.echo("\n\nWhat an inference costs (cost.chip):\n")
    click.echo("\n\n".join(map(_costing, costing)))
    click.echo(
        "\nEach constant may be replaced (cost.constants). cost.chip may also be own, with\n"
        "constants of yours alone, or module:name; see docs/cost.md."
    )


def _chip(name: str, chip: Preset, tiles: TileShape) -> str:
    layers = f"aihwkit's layers, about ten times as slow ({chip.slow})" if chip.slow else "fast layers"
    return _paragraphs(f"{name}: tiles of {tiles}, {layers}", [chip.note, f"source: {chip.source}"])


def _costing(chip: CostChip) -> str:
    many = f", {chip.tiles} of them" if chip.tiles else ""
    lines = [chip.note, f"source: {chip.source}"]
    for constant in chip.constants:  # what all have in common stands above
        lines.append(str(constant).replace(f"; {chip.source}", "").replace(f"{chip.source}: ", ""))
    return _paragraphs(f"{chip.name}: tiles of {chip.shape}{many}", lines)


def _paragraphs(first: str, lines: Iterable[str]) -> str:
    """Return a line and what is said of it below, folded for 80 columns at spaces alone."""
    head = _folded(first, "", "  ")
    return "\n".join([*head, *chain.from_iterable(_folded(line, "    ", "      ") for line in lines)])


def _folded(line: str, begin: str, further: str) -> list[str]:
    return textwrap.wrap(
        line, WIDTH, initial_indent=begin, subsequent_indent=further, break_long_words=False, break_on_hyphens=False
    )


def _added(plugins: Iterable[Plugin], show: Callable[[Plugin], Row]) -> Iterator[Row]:
    """Yield the rows of what packages add; of what cannot be used, why."""
    from analognas.errors import AnalogNASError

    for plugin in plugins:
        try:
            yield show(plugin)
        except Exception as error:  # somebody else's code may fail in any way
            why = str(error) if isinstance(error, AnalogNASError) else own_code(error)
            row = {"name": plugin.name, "package": plugin.package, "error": why}
            yield row, f"{plugin.name} ({plugin.package}) cannot be used:\n    {why}"
