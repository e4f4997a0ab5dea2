"""A workspace that was moved or copied, and the database of MLflow that came along with it.

MLflow keeps the folder of each run's files as an absolute path, also where it was given a relative one, and has no call
that changes it. So what lies in a database of the workspace's own is mended in its tables, when it is opened: otherwise
a copy would write its files into the workspace that it was made from, and a moved one into a folder that is gone.
"""

from __future__ import annotations

import sqlite3
import warnings
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from analognas.errors import AnalogNASWarning
from analognas.files import is_damaged_database
from analognas.tracking.connection import one_process, own_database

if TYPE_CHECKING:
    from analognas.params import Params
    from analognas.workspace import Paths

ARTIFACTS = "mlartifacts"
#: Where MLflow's tables name folders. Experiments come first: they tell where the workspace was.
PLACES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
)
_OURS = (
    "SELECT DISTINCT experiments.rowid, experiments.name, experiments.artifact_location FROM experiments "
    "JOIN runs USING (experiment_id) JOIN tags USING (run_uuid) WHERE tags.key = 'analognas.stage'"
)


def settle(paths: Paths, params: Params) -> None:
    """Let the workspace's own database name the folder that the workspace is in now, and warn if it named another.

    Files that are only in the other folder stay there, and are found there. An experiment that has the name of the
    folder gets the new one's, unless ``run.experiment`` names it.

    Raises:
        sqlite3.Error: if the database cannot be written, or has other tables.
    """
    database = own_database(paths)
    if database is None or not database.is_file() or not database.stat().st_size or is_damaged_database(database):
        return
    with one_process(paths), closing(sqlite3.connect(database, timeout=20)) as opened, opened:
        if not opened.execute("SELECT 1 FROM sqlite_master WHERE name = 'experiments'").fetchone():
            return
        ours = {row: (name, _path(place or "")) for row, name, place in opened.execute(_OURS)}
        homes = {place.parents[1] for _, place in ours.values() if place.parent.name == ARTIFACTS} - {paths.root}
        for home in sorted(homes):
            _carry_over(opened, home, paths.root, set(ours))
        renamed = None if params.run.experiment else _rename(opened, homes, ours, paths.root.name)
    for home in sorted(homes):
        text = f"This workspace was {home} when it was last logged to MLflow; its database names {paths.root} now"
        text += f", and experiment {renamed} is called {paths.root.name}." if renamed == home.name else "."
        warnings.warn(text, AnalogNASWarning, stacklevel=2)


def _carry_over(opened: sqlite3.Connection, home: Path, root: Path, ours: set[int]) -> None:
    for table, column in PLACES:
        for row, value in opened.execute(f"SELECT rowid, {column} FROM {table}").fetchall():  # noqa: S608
            moved = _moved(value or "", home, root)
            if moved is None:
                continue
            is_ours = table == "experiments" and row in ours
            if is_ours or _path(moved).exists() or not _path(value).exists():
                opened.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (moved, row))  # noqa: S608


def _moved(value: str, home: Path, root: Path) -> str | None:
    """Return a place below ``root`` instead of ``home``, as an address or a path as it was; None: it is elsewhere."""
    for before, after in ((home.as_uri(), root.as_uri()), (str(home), str(root))):
        if value.startswith((f"{before}/{ARTIFACTS}/", f"{before}/mlruns/")):
            return after + value.removeprefix(before)
    return None


def _rename(
    opened: sqlite3.Connection, homes: set[Path], ours: dict[int, tuple[str, Path]], name: str
) -> str | None:  # fmt: skip
    """Give the experiment that is called as its folder was the new folder's name; return the old one, if it was."""
    taken = {other for (other,) in opened.execute("SELECT name FROM experiments")}
    for row, (before, place) in sorted(ours.items()):
        if name not in taken and place.parent.name == ARTIFACTS and before in {home.name for home in homes}:
            opened.execute("UPDATE experiments SET name = ? WHERE rowid = ?", (name, row))
            return before
    return None


def _path(place: str) -> Path:
    return Path(unquote(urlsplit(place).path)) if place.startswith("file:") else Path(place)
