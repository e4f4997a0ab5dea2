"""What the drivers log to MLflow, from the files that the stages wrote.

One idempotent :func:`sync` logs what is not logged yet: after a run, after ``dvc repro``, after an outage. A stage
is recognised by the hash of its entry in ``dvc.lock`` (parameters, inputs, outputs), so a result is logged once,
however often and by whichever driver it was reached. A parent run stands for one state of the whole pipeline;
it owns the stages that were new and points to the others by tag.

Nothing here loads MLflow (seconds) before there is something to log.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analognas.errors import AnalogNASError, CorruptFileError
from analognas.files import digest, file_digest, is_damaged_database, read_json, write_json
from analognas.redaction import first_line, redact
from analognas.stages import STAGES

if TYPE_CHECKING:
    from analognas.params import Params
    from analognas.versioning import Versioning
    from analognas.workspace import Paths

#: Stages that write a model, and its folder in ``data/``; :func:`registered_name` is what it is registered under.
MODELS = {"fit": "evaluator", "train": "winner"}

# What marks a round in the file that tells what is logged.
_ROUND = "round-"

_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output is the command's own
    # A server that is away is noticed in seconds: the results are safe, and the next sync logs them.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}


@dataclass(frozen=True)
class SyncReport:
    """What :func:`sync` did.

    Attributes:
        run_id: the parent run of the pipeline's state, if there was anything to log.
        logged: stages that were logged now.
        warning: why nothing could be logged, one sentence; None if all is well.
    """

    run_id: str | None = None
    logged: tuple[str, ...] = ()
    warning: str | None = None


def tracking_uri(paths: Paths) -> str:
    """Return where MLflow keeps runs: ``MLFLOW_TRACKING_URI``, or a database in the workspace."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{paths.root / 'mlflow.db'}"


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


def stage_hashes(paths: Paths, versioning: Versioning | None) -> dict[str, str]:
    """Return the hash of each stage whose results are there, in order, up to the first without."""
    hashes: dict[str, str] = {}
    for name in STAGES:
        found = versioning.recorded_hash(name) if versioning else _content_hash(paths, name)
        if found is None or not paths.metrics(name).is_file():
            break
        hashes[name] = found
    return hashes


def untracked(paths: Paths, params: Params, versioning: Versioning | None) -> tuple[str, ...]:
    """Return the stages with results that are not known to be in MLflow; asks a small file, not MLflow."""
    known = _known(paths, params)
    return tuple(name for name, value in stage_hashes(paths, versioning).items() if known.get(name) != value)


def decisions(paths: Paths) -> dict[int, dict[str, Any]]:
    """Return what the files of the decided rounds of ``analognas retrain`` hold, by number."""
    found = {int(path.stem): read_or_empty(path) for path in sorted(paths.rounds.glob("[0-9][0-9][0-9].json"))}
    return {
        number: content
        for number, content in found.items()
        if content.get("purpose") == "retrain" and "comparison" in (content.get("record") or {})
    }


def unlogged_decisions(paths: Paths, params: Params) -> tuple[int, ...]:
    """Return the rounds whose decision is not known to be in MLflow and can be logged now.

    The newest accepted one can as soon as ``data/evaluator/`` is the evaluator that it brought.
    """
    found = _unlogged(paths, params)
    if not found:
        return ()
    decided = decisions(paths)
    newest = max((one for one, content in decided.items() if content.get("decision") == "accepted"), default=0)
    if newest in found:
        brought = decided[newest]["record"].get("challenger", {}).get("digest")
        if not paths.evaluator.is_dir() or file_digest(paths.evaluator) != brought:
            del found[newest]
    return tuple(found)


def challenger_folder(paths: Paths) -> Path:
    """Return where a challenger is fitted: in the ignored folder, never in ``data/evaluator/``."""
    return paths.private() / "challenger"


def note_duration(paths: Paths, stage: str, versioning: Versioning | None, seconds: float) -> None:
    """Keep how long a stage took, for MLflow; in a file of its own, because no result may hold a duration."""
    found = versioning.stage_hash(stage) if versioning else _content_hash(paths, stage)
    noted = {stage: {"stage_hash": found, "seconds": round(seconds, 1)}}
    write_json(timings_file(paths), read_or_empty(timings_file(paths)) | noted)


def sync(paths: Paths, params: Params, versioning: Versioning | None) -> SyncReport:
    """Log what is not logged yet. A server that is away is no error: it is a warning in the report."""
    try:
        rounds = _unlogged(paths, params)
        if not untracked(paths, params, versioning) and not rounds:
            return SyncReport()
        hashes = stage_hashes(paths, versioning)
        # What MLflow and SQLAlchemy deprecate among themselves is nothing a user can mend.
        with warnings.catch_warnings(), one_process(paths):
            warnings.simplefilter("ignore")
            connected = _connected(paths, params, versioning)
            run_id, logged = connected.run(hashes) if hashes else (None, ())
            done = connected.decide(list(rounds)) if rounds else []
        known = _known(paths, params)
        kept = {name: value for name, value in known.items() if name.startswith(_ROUND)}
        kept |= {f"{_ROUND}{number:03d}": rounds[number] for number in done}
        marker = read_or_empty(_marker(paths)) | {_place(paths, params): {**hashes, **kept}}
        write_json(_marker(paths), marker)
    except Exception as error:  # MLflow raises whatever its database, its server and its disk raise
        logging.getLogger(__name__).debug("sync failed", exc_info=True)
        return SyncReport(
            warning=f"MLflow at {redact(tracking_uri(paths))} could not be reached or written ({first_line(error)}): "
            "the results are kept, and the next `analognas run` logs them."
        )
    return SyncReport(run_id, logged)


def download(paths: Paths, name: str, alias: str, to: Path) -> Path:
    """Fetch a registered model's folder, for ``XGBoostEvaluator.load`` or ``analognas.training.winner.load_winner``.

    Args:
        paths: the workspace, for its tracking server.
        name: as MLflow shows it, see :func:`registered_name`.
        alias: ``champion`` or ``challenger``.
        to: an existing folder to write below.

    Returns:
        The folder.

    Raises:
        CorruptFileError: if the version is not the folder of a run.
    """
    configure()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in sync()
        from analognas._mlflow import download as fetch

        return fetch(tracking_uri(paths), name, alias, to)


def stage_data(paths: Paths, stage: str) -> tuple[list[Path], list[Path]]:
    """Return the data (tables and folders) that a stage reads and what it writes."""
    data: dict[str, tuple[list[Path], list[Path]]] = {
        "sample": ([], [paths.architectures]),
        "characterize": ([paths.architectures], [paths.surrogate]),
        "fit": ([paths.surrogate], [paths.evaluator]),
        "search": ([paths.evaluator], [paths.search]),
        "train": ([paths.search], [paths.winner]),
    }
    return data[stage]


def timings_file(paths: Paths) -> Path:
    """Return the file (in git's ignore list) that holds how long each stage took."""
    return paths.data / "timings.json"


def read_or_empty(path: Path) -> dict[str, Any]:
    """Return a JSON object of our own; one that cannot be read is as if it were not there."""
    try:
        found = read_json(path, remedy="")
    except (AnalogNASError, OSError):
        return {}
    return found if isinstance(found, dict) else {}


def _connected(paths: Paths, params: Params, versioning: Versioning | None) -> Any:
    configure()
    uri = tracking_uri(paths)
    check_database(uri)
    from analognas._mlflow import Synchroniser

    return Synchroniser(paths, params, versioning, uri)


def check_database(uri: str) -> None:
    """Look whether a local database is whole: MLflow would try a damaged one for minutes.

    Raises:
        CorruptFileError: if it is damaged.
    """
    path = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and is_damaged_database(path):
        raise CorruptFileError(f"it is damaged: move {path} away")


def configure() -> None:
    """Set what MLflow reads when it is first imported; what the user has set stays."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)


def _content_hash(paths: Paths, stage: str) -> str | None:
    """Return a stage's hash where nothing is versioned: of its metrics and of the data it wrote."""
    files = [paths.metrics(stage), *stage_data(paths, stage)[1]]
    if not all(path.exists() for path in files):
        return None
    return digest([stage, [file_digest(path) for path in files]])


def _unlogged(paths: Paths, params: Params) -> dict[int, str]:
    """Return the digest of each decision about a round that is not known to be in MLflow, by number."""
    known = _known(paths, params)
    found = {number: digest(content) for number, content in decisions(paths).items()}
    return {number: value for number, value in found.items() if known.get(f"{_ROUND}{number:03d}") != value}


def _known(paths: Paths, params: Params) -> dict[str, str]:
    """Return the hashes that are known to be in MLflow; none if its database is gone, empty or damaged."""
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        database = paths.root / "mlflow.db"
        if not database.exists() or not database.stat().st_size or is_damaged_database(database):
            return {}
    known: dict[str, str] = read_or_empty(_marker(paths)).get(_place(paths, params), {})
    return known


def _place(paths: Paths, params: Params) -> str:
    # A password in the address is not written to the disk.
    return f"{redact(tracking_uri(paths))} {experiment_name(paths, params)}"


def _marker(paths: Paths) -> Path:
    return paths.root / ".analognas" / "tracked.json"


@contextlib.contextmanager
def one_process(paths: Paths) -> Iterator[None]:
    """Let one process at a time in: several that open a new SQLite database at once break it for good."""
    with (paths.private() / "tracking.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
