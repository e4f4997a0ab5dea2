"""The registered evaluators: which one is champion, how old it is, how good each is.

MLflow knows the versions and their aliases; it is loaded when they are asked for.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from analognas.errors import AnalogNASError, StageError
from analognas.params import Params
from analognas.tracking import connection, moved
from analognas.tracking.failures import Place, explain, look

if TYPE_CHECKING:
    from analognas.tracking.registry import Registry, Version
    from analognas.workspace import Paths


def versions(paths: Paths) -> list[Version]:
    """Return the registered evaluators, newest first; raises StageError if MLflow cannot be used."""
    if not os.environ.get("MLFLOW_TRACKING_URI") and not (paths.root / "mlflow.db").exists():
        return []  # asking would make the database
    with opened_registry(paths, Params.load(paths.params)) as registry:
        return registry.versions()


def age_days(paths: Paths) -> float | None:
    """Return how long ago the champion was registered, in days; None if there is none or MLflow is away."""
    try:
        champion = champion_of(versions(paths))
    except AnalogNASError:
        return None
    return None if champion is None else (datetime.now(UTC) - champion.created).total_seconds() / 86_400


def describe(registered: list[Version]) -> str:
    """Return the versions as lines for a terminal."""
    if not registered:
        return "No evaluator is registered: the first one that `analognas run` logs becomes the champion."
    lines = []
    for version in registered:
        tau, covered, sentinel = (
            "-" if value is None else f"{value:.2f}" for value in (version.tau, version.coverage, version.sentinel_tau)
        )
        names = ", ".join(version.aliases) or ("rolled back" if version.rolled_back else "")
        lines.append(
            f"version {version.number:<4}{names:<12} {version.created:%Y-%m-%d %H:%M} UTC   "
            f"Kendall tau {sentinel} on the sentinel set, {tau} out of fold, coverage {covered}   {version.digest[:12]}"
        )
        if version.promoted_at is not None:
            place = "" if version.previous is None else f" in the place of version {version.previous}"
            lines.append(f"             promoted {version.promoted_at} by {version.promoted_by}{place}: {version.why}")
    return "\n".join(lines)


def champion_of(registered: list[Version]) -> Version | None:
    """Return the version that is champion, None if there is none."""
    return next((version for version in registered if "champion" in version.aliases), None)


@contextmanager
def opened_registry(paths: Paths, params: Params) -> Iterator[Registry]:
    """Yield the evaluator's versions; what MLflow raises becomes one sentence."""
    uri = connection.tracking_uri(paths)
    name = connection.registered_name(paths, params, "evaluator")
    opened = False
    try:
        moved.settle(paths, params)
        with warnings.catch_warnings(), connection.one_process(paths):
            warnings.simplefilter("ignore")  # what MLflow and SQLAlchemy deprecate among themselves
            connection.configure()
            connection.check_database(uri)
            look(uri)
            from mlflow import MlflowClient

            from analognas.tracking.registry import Registry

            client = MlflowClient(tracking_uri=uri, registry_uri=uri)
            opened = True
            yield Registry(client, name)
    except AnalogNASError:
        raise
    except Exception as error:  # MLflow raises whatever its database, its server and its disk raise
        if opened and isinstance(error, AnalogNASError):  # of what is registered
            raise
        logging.getLogger(__name__).debug("MLflow failed", exc_info=True)
        failure = explain(error, uri, Place("registered_model", name, name))
        raise StageError(f"{failure.what}: {failure.remedy}.") from error
