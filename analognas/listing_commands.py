"""``analognas spaces`` and ``analognas hardware``: what can be named in ``params.yaml``."""

from __future__ import annotations

import json

import click

from analognas.command_options import json_option


@click.command()
@json_option
def spaces(as_json: bool) -> None:
    """Show the configuration space: that of this workspace, or those that are known by name."""
    from analognas.errors import WorkspaceError
    from analognas.params import Params
    from analognas.plugins import plugins
    from analognas.search_spaces import ConfigSpace
    from analognas.search_spaces.config_space import DATASETS
    from analognas.search_spaces.family import KNOWN
    from analognas.stages import _inputs
    from analognas.workspace import Paths

    added = plugins("space")
    try:
        paths = Paths.find()
        described = [_inputs.space(Params.load(paths.params), paths)]
    except WorkspaceError:
        described = [ConfigSpace(name) for name in DATASETS]
        described += [ConfigSpace("digits", family=one.name) for one in added]
    if as_json:
        click.echo(json.dumps([space.to_dict() for space in described]))
        return
    click.echo("\n\n".join(str(space) for space in described))
    names = [*KNOWN, *(f"{one.name} ({one.package})" for one in added)]
    click.echo(f"\nspace.name may be {', '.join(names)}, or module:Class of your own.")


@click.command()
@json_option
def hardware(as_json: bool) -> None:
    """List the chips that can be named in params.yaml: where they come from, and who computes their layers."""
    from analognas.hardware.presets import PRESETS

    if as_json:
        click.echo(json.dumps([{"name": name, **preset.to_dict()} for name, preset in PRESETS.items()]))
        return
    for name, preset in PRESETS.items():
        layers = f"aihwkit's layers, about ten times as slow ({preset.slow})" if preset.slow else "fast layers"
        click.echo(f"{name}: tiles of {preset.tile_size}, {layers}\n    {preset.note}\n    source: {preset.source}\n")
    click.echo("hardware.rpu_config may also be module:function of your own; see docs/hardware.md.")
