"""What the drivers log to MLflow, from the files that the stages wrote.

One idempotent :func:`sync` logs what is not logged yet: after a run, after ``dvc repro``, after an outage. A stage
is recognised by the hash of its entry in ``dvc.lock`` (parameters, inputs, outputs), so a result is logged once,
however often and by whichever driver it was reached. A parent run stands for one state of the whole pipeline;
it owns the stages that were new and points to the others by tag.

Nothing here loads MLflow (seconds) before there is something to log.
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analognas.files import write_json
from analognas.redaction import first_line, redact
from analognas.tracking import moved
from analognas.tracking.connection import check_database, configure, one_process, tracking_uri
from analognas.tracking.state import (
    ROUND_PREFIX,
    known_hashes,
    marker_file,
    place,
    read_or_empty,
    stage_hashes,
    unlogged,
    untracked,
)
from analognas.workspace import round_name

if TYPE_CHECKING:
    from analognas.params import Params
    from analognas.versioning import Versioning
    from analognas.workspace import Paths


@dataclass(frozen=True)
class SyncReport:
    """What :func:`sync` did: the parent run, the stages that it logged, and one sentence if nothing could be logged."""

    run_id: str | None = None
    logged: tuple[str, ...] = ()
    warning: str | None = None


def sync(paths: Paths, params: Params, versioning: Versioning | None) -> SyncReport:
    """Log what is not logged yet. A server that is away is no error: it is a warning in the report."""
    try:
        rounds = unlogged(paths, params)
        if not untracked(paths, params, versioning) and not rounds:
            return SyncReport()
        hashes = stage_hashes(paths, versioning)
        moved.settle(paths, params)
        # What MLflow and SQLAlchemy deprecate among themselves is nothing a user can mend.
        with warnings.catch_warnings(), one_process(paths):
            warnings.simplefilter("ignore")
            connected = _connected(paths, params, versioning)
            run_id, logged = connected.run(hashes) if hashes else (None, ())
            done = connected.decide(list(rounds)) if rounds else []
        known = known_hashes(paths, params)
        kept = {name: value for name, value in known.items() if name.startswith(ROUND_PREFIX)}
        kept |= {f"{ROUND_PREFIX}{round_name(number)}": rounds[number] for number in done}
        marker = read_or_empty(marker_file(paths)) | {place(paths, params): {**hashes, **kept}}
        write_json(marker_file(paths), marker)
    except Exception as error:  # MLflow raises whatever its database, its server and its disk raise
        logging.getLogger(__name__).debug("sync failed", exc_info=True)
        return SyncReport(
            warning=f"MLflow at {redact(tracking_uri(paths))} could not be reached or written ({first_line(error)}): "
            "the results are kept, and the next `analognas run` logs them."
        )
    return SyncReport(run_id, logged)


def forget(paths: Paths, params: Params) -> None:
    """Forget what is known to be logged, so that :func:`sync` looks in MLflow itself; what is there is not doubled."""
    marker = read_or_empty(marker_file(paths))
    if marker.pop(place(paths, params), None) is not None:
        write_json(marker_file(paths), marker)


def download(paths: Paths, name: str, alias: str, to: Path) -> Path:
    """Fetch a registered model's folder below the folder ``to`` and return it; see :func:`registered_name`.

    ``alias`` is ``champion`` or ``challenger``. Raises CorruptFileError if the version is not the folder of a run.
    """
    configure()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in sync()
        from analognas.tracking.runs import download as fetch

        return fetch(tracking_uri(paths), name, alias, to)


def _connected(paths: Paths, params: Params, versioning: Versioning | None) -> Any:
    configure()
    uri = tracking_uri(paths)
    check_database(uri)
    from analognas.tracking.runs import Synchroniser

    return Synchroniser(paths, params, versioning, uri)
