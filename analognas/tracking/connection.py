"""Where MLflow keeps runs, what they are called there, and what it must be told before it is loaded."""

from __future__ import annotations

import getpass
import os
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from filelock import FileLock

from analognas.errors import CorruptFileError, WorkspaceError
from analognas.files import is_damaged_database

if TYPE_CHECKING:
    from analognas.params import Params
    from analognas.workspace import Paths

_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output is the command's own
    # A server that ends in the middle is noticed in seconds: `sync` asks whether anybody is there before it tries
    # again.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "8",
}


def tracking_uri(paths: Paths) -> str:
    """Return where MLflow keeps runs: ``MLFLOW_TRACKING_URI``, or a database in the workspace."""
    return os.environ.get("MLFLOW_TRACKING_URI") or database_uri(paths.root / "mlflow.db")


def own_database(paths: Paths) -> Path | None:
    """Return the database in the workspace, there or not; None if runs are kept elsewhere."""
    return None if os.environ.get("MLFLOW_TRACKING_URI") else paths.root / "mlflow.db"


def database_uri(path: Path) -> str:
    """Return the address of an SQLite database, as SQLAlchemy and MLflow read it.

    A question mark ends the path of an address, and SQLAlchemy knows no way to write it (its ``URL`` object does not
    quote a database either); SQLite's own addresses do. With a driver's name MLflow does not take these for folders.
    """
    return f"sqlite+pysqlite:///{path.as_uri()}?uri=true" if "?" in str(path) else f"sqlite:///{path}"


def database_path(uri: str) -> Path | None:
    """Return the SQLite database that an address is of; None if it is another's."""
    if not uri.startswith("sqlite"):
        return None
    from sqlalchemy.engine import make_url

    name = make_url(uri).database or ""
    return Path(unquote(urlsplit(name).path) if name.startswith("file:") else name)


def experiment_name(paths: Paths, params: Params) -> str:
    """Return the MLflow experiment: ``run.experiment``, or the name of the workspace's folder."""
    return params.run.experiment or paths.root.name


def registered_name(paths: Paths, params: Params, model: str) -> str:
    """Return the name in MLflow's registry of this workspace's ``evaluator`` or ``winner``.

    Names there are the server's, not the experiment's. So on a server that others may use (``MLFLOW_TRACKING_URI``)
    the name ends in that of the experiment: workspaces of one experiment share a champion, others never touch it.
    """
    name = f"analognas-{model}"
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return name
    # MLflow allows neither slash nor colon in a name, and a quote ends it where versions are searched for.
    return f"{name}-" + re.sub(r"[/:'\"]", "_", experiment_name(paths, params))


def person() -> str:
    """Return who works here: the account on MLflow's server, else the one of this machine."""
    try:
        return os.environ.get("MLFLOW_TRACKING_USERNAME") or getpass.getuser()
    except (KeyError, OSError):  # a process whose user has no name
        return f"user {os.getuid()}"


def check_database(uri: str) -> None:
    """Look at a local database, which MLflow would try for minutes.

    Raises:
        CorruptFileError: if it is damaged.
        WorkspaceError: if it cannot be opened.
    """
    path = database_path(uri)
    if path is None:
        return
    if path.parent.is_dir():  # otherwise MLflow makes the folder
        try:
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("PRAGMA user_version")
        except sqlite3.OperationalError:  # also of one that is locked, which MLflow waits for
            if not path.is_file() or not os.access(path, os.R_OK | os.W_OK):
                raise WorkspaceError(
                    f"MLflow's database {path} cannot be opened: see to it that it and its folder may be written."
                ) from None
        except sqlite3.DatabaseError:
            pass  # it is damaged
    if is_damaged_database(path):
        raise CorruptFileError(f"MLflow's database {path} is damaged: move it away, and a new one is made.")


def configure() -> None:
    """Set what MLflow reads when it is first imported; what the user has set stays."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)


def one_process(paths: Paths) -> FileLock:
    """Return a lock that lets one process at a time in: several that open a new SQLite database at once break it."""
    return FileLock(paths.private() / "tracking.lock")
