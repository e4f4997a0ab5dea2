"""``analognas datasets``: what there is, download it, look whether it is whole."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from analognas.cli.options import json_option
from analognas.cli.printing import folded, hanging, plain_table
from analognas.errors import DatasetError

if TYPE_CHECKING:
    from analognas.datasets import Dataset
    from analognas.datasets.published import Published

#: Columns of the names before what is told of a dataset.
_NAMED = 15


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def datasets(context: click.Context, as_json: bool) -> None:
    """List, fetch and check the datasets that can be named in params.yaml."""
    if context.invoked_subcommand is None:
        _list(as_json)


@datasets.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the datasets, and whether they are here."""
    _list(as_json)


@datasets.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Take the published files from this folder instead of the network.",
)
@json_option
def fetch(names: tuple[str, ...], source: Path | None, as_json: bool) -> None:
    """Bring published datasets to this machine, checked by their checksums.

    They are kept in one folder for all workspaces: ANALOGNAS_DATA, or the cache folder of this user.
    """
    from analognas.datasets import download

    brought: dict[str, list[str]] = {}
    for entry, files in [_published(name) for name in names]:  # all names are looked at before the first download
        brought[entry] = [
            str(
                download.fetch(file, what=f"{entry} ({file.name})")
                if source is None
                else download.take(file, source.expanduser(), what=entry)
            )
            for file in files
        ]
    if as_json:
        click.echo(json.dumps(brought))
    else:
        for entry, paths in brought.items():
            click.echo(f"{entry}: {', '.join(paths)}")


@datasets.command()
@click.argument("name", required=False)
@click.option("--path", type=click.Path(path_type=Path), metavar="DIR", help="Folder or archive of the dataset.")
@json_option
def check(name: str | None, path: Path | None, as_json: bool) -> None:
    """Read a dataset from the first to the last file and tell what is in it; without NAME, that of this workspace."""
    from analognas.cli.progress import StageProgress
    from analognas.datasets.looking import lines, look, table
    from analognas.errors import AnalogNASWarning

    with StageProgress("dataset", visible=not as_json) as progress, warnings.catch_warnings():
        warnings.simplefilter("ignore", AnalogNASWarning)  # they are among the notes
        if name is None:
            if path is not None:
                from analognas.datasets import catalogue

                loaders = ", ".join(entry.name for entry in catalogue() if "path" in entry.accepts)
                raise DatasetError(f"--path needs the NAME of what reads it: {loaders}.")
            dataset = _of_workspace(progress.update)
        else:
            from analognas.datasets import load

            if path is None and ":" not in name:
                _verify(name)
            given = None if path is None else str(path.expanduser())
            dataset = load(name, path=given, progress=progress.update)
        looked = look(dataset)
    if as_json:
        click.echo(json.dumps(looked))
        return
    told = (hanging(line, _NAMED) for line in lines(looked))
    click.echo("\n".join([*told, *table(looked)]))


def _list(as_json: bool) -> None:
    from analognas.datasets import catalogue
    from analognas.datasets.registry import problem

    rows = []
    for entry in catalogue():
        error = problem(entry)
        rows.append((entry, entry.to_dict() | ({} if error is None else {"available": False, "error": error})))
    if as_json:
        click.echo(json.dumps([row for _, row in rows]))
        return
    from rich.console import Console

    told = []
    for entry, row in rows:
        shape = "x".join(map(str, entry.input_shape)) if entry.input_shape else "any"
        available = "-" if "path" in entry.accepts and not entry.files else "yes" if row["available"] else "no"
        available = "no" if "error" in row else available
        # What is to be typed must not be cut short, and no word is to be broken.
        how = folded(f"{row.get('error', entry.note)}; licence: {entry.licence}", 36)
        told.append((entry.name, shape, str(entry.classes or "any"), available, how))
    Console().print(plain_table(("name", "input", "classes", "here", "how to get it, and its licence"), told))


def _published(name: str) -> tuple[str, tuple[Published, ...]]:
    from analognas.datasets import find

    entry = find(name)
    if not entry.files:
        raise DatasetError(f"Dataset {entry.name} is not downloaded: {entry.note}.")
    return entry.name, entry.files


def _verify(name: str) -> None:
    """Hold the downloaded files against their checksums: they may have been damaged since."""
    from analognas.datasets import download, find

    for file in find(name).files:
        if file.path.is_file() and not download.matches(file, file.path):
            raise DatasetError(f"{file.path} is damaged (its checksum is wrong): remove it, and it is fetched again.")


def _of_workspace(progress: Any) -> Dataset:
    from analognas.params import Params
    from analognas.stages.recorded import load_dataset
    from analognas.workspace import Paths

    paths = Paths.find()
    return load_dataset(Params.load(paths.params), paths, progress)
