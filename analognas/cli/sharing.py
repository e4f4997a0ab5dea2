"""``analognas push``, ``analognas pull`` and ``analognas merge``."""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from analognas.cli.options import json_option

_remote = click.option("--remote", metavar="NAME", help="DVC remote; left out: the default one.")


@click.command()
@_remote
@json_option
def push(remote: str | None, as_json: bool) -> None:
    """Share what was measured here: results, and what DVC has recorded, to a DVC remote."""
    from analognas.versioning.sharing import push as share

    _exchange("push", share, remote, as_json)


@click.command()
@_remote
@json_option
def pull(remote: str | None, as_json: bool) -> None:
    """Fetch what others have shared: results, and what dvc.lock names, from a DVC remote."""
    from analognas.versioning.sharing import pull as fetch

    _exchange("pull", fetch, remote, as_json)


@click.command()
@json_option
def merge(as_json: bool) -> None:
    """Settle what git could not merge: both people's rounds stay, what follows from them is made anew by a run."""
    from analognas.versioning.merging import merge as settle
    from analognas.workspace import Paths

    done = settle(Paths.find())
    click.echo(json.dumps(done.to_dict(), sort_keys=True) if as_json else str(done))
    if done.left:
        sys.exit(1)


def _exchange(direction: str, share: Any, remote: str | None, as_json: bool) -> None:
    from analognas.cli.progress import StageProgress
    from analognas.workspace import Paths

    paths = Paths.find()
    with StageProgress(direction, visible=not as_json) as progress:
        done = share(paths, remote, progress.update)
    click.echo(json.dumps(done.to_dict(), sort_keys=True) if as_json else str(done))
    for problem in done.problems:
        click.echo(f"analognas: {problem}", err=True)
    if done.problems:
        sys.exit(1)
