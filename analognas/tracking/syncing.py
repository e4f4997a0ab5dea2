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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from analognas.errors import AnalogNASError
from analognas.files import write_sealed
from analognas.tracking import moved
from analognas.tracking.connection import check_database, configure, one_process, tracking_uri
from analognas.tracking.failures import AwayError, Failure, explain, reach
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
    from analognas.tracking.runs import Synchroniser
    from analognas.versioning import Versioning
    from analognas.workspace import Paths


@dataclass(frozen=True)
class SyncReport:
    """What :func:`sync` did.

    Attributes:
        run_id: of the parent run.
        logged: the stages that it logged.
        warning: one sentence if nothing could be logged.
        page: of the parent run, below the address of MLflow's pages.
    """

    run_id: str | None = None
    logged: tuple[str, ...] = ()
    warning: str | None = None
    page: str | None = None


def sync(
    paths: Paths, params: Params, versioning: Versioning | None, page: str | None = None, failed: bool = False,
    began: float | None = None,
) -> SyncReport:  # fmt: skip
    """Log what is not logged yet. A server that is away is no error: it is a warning in the report.

    Args:
        paths: the workspace.
        params: its parameters.
        versioning: DVC in it, or None.
        page: address of the page that shows the run in Prefect, if there is one.
        failed: whether the run ended with an error.
        began: when it began, in seconds since the epoch, if it is a retraining that has decided.
    """
    try:
        rounds = unlogged(paths, params)
        lacking = untracked(paths, params, versioning)
        if not lacking and not rounds:
            return SyncReport()
        names = (*lacking, *(f"the decision about round {round_name(number)}" for number in rounds))
        attempt = partial(_sync, paths, params, versioning, rounds, page=page, failed=failed, began=began)
        return _tried(attempt, tracking_uri(paths), names)
    except AnalogNASError as error:
        return SyncReport(warning=f"{error} Until then nothing is logged to MLflow; the results are kept.")


def _tried(
    attempt: Callable[[list[Synchroniser]], SyncReport], uri: str, names: Sequence[str], *, again: bool = True
) -> SyncReport:
    connected: list[Synchroniser] = []
    try:
        return attempt(connected)
    except AnalogNASError:
        raise
    except Exception as error:  # MLflow raises whatever its database, its server and its disk raise
        logging.getLogger(__name__).debug("sync failed", exc_info=True)
        failure = explain(error, uri, connected[0].place if connected else None)
        # What a server only stumbled over is tried once more, after a look whether it is still there.
        if again and not failure.lasting and not isinstance(error, AwayError):
            return _tried(attempt, uri, names, again=False)
        return SyncReport(warning=_warning(failure, names))


def _sync(
    paths: Paths,
    params: Params,
    versioning: Versioning | None,
    rounds: Mapping[int, str],
    connected: list[Synchroniser],
    page: str | None,
    failed: bool,
    began: float | None,
) -> SyncReport:
    """Log what is not logged yet; ``connected`` takes what does it, also where it fails."""
    hashes = stage_hashes(paths, versioning)
    moved.settle(paths, params)
    # What MLflow and SQLAlchemy deprecate among themselves is nothing a user can mend.
    with warnings.catch_warnings(), one_process(paths):
        warnings.simplefilter("ignore")
        configure()
        uri = tracking_uri(paths)
        check_database(uri)
        reach(uri)
        from analognas.tracking.runs import Synchroniser

        connected.append(Synchroniser(paths, params, versioning, uri))
        run_id, logged = connected[0].run(hashes, page, failed=failed) if hashes else (None, ())
        done = connected[0].decide(list(rounds), page, began) if rounds else []
    known = known_hashes(paths, params)
    kept = {name: value for name, value in known.items() if name.startswith(ROUND_PREFIX)}
    kept |= {f"{ROUND_PREFIX}{round_name(number)}": rounds[number] for number in done}
    marker = read_or_empty(marker_file(paths)) | {place(paths, params): {**hashes, **kept}}
    write_sealed(marker_file(paths), marker)
    return SyncReport(run_id, logged, page=connected[0].page(run_id) if run_id else None)


def forget(paths: Paths, params: Params) -> None:
    """Forget what is known to be logged, so that :func:`sync` looks in MLflow itself; what is there is not doubled."""
    marker = read_or_empty(marker_file(paths))
    if marker.pop(place(paths, params), None) is not None:
        write_sealed(marker_file(paths), marker)


def _warning(failure: Failure, names: Sequence[str]) -> str:
    """Return the sentence about what could not be logged, and by which command it is."""
    listed = " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)
    what = f"{failure.what}, so {listed} {'is' if len(names) == 1 else 'are'} not logged"
    if failure.lasting:
        return f"{what}: {failure.remedy}. The results are kept, and `analognas run` logs them as soon as it can."
    return f"{what}: the results are kept, and the next `analognas run` logs them."


def download(paths: Paths, name: str, alias: str, to: Path) -> Path:
    """Fetch a registered model's folder below the folder ``to`` and return it; see :func:`registered_name`.

    ``alias`` is ``champion`` or ``challenger``. Raises CorruptFileError if the version is not the folder of a run.
    """
    configure()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in sync()
        from analognas.tracking.runs import download as fetch

        return fetch(tracking_uri(paths), name, alias, to)
