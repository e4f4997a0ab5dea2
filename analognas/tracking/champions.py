"""The registered evaluators: which one is champion, how old it is, how good each is.

MLflow knows the versions and their aliases; it is loaded when they are asked for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from analognas.errors import AnalogNASError
from analognas.params import Params
from analognas.tracking import connection
from analognas.tracking.failures import Place
from analognas.tracking.reading import opened_client

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
    name = connection.registered_name(paths, params, "evaluator")
    with opened_client(paths, params, Place("registered_model", name, name)) as client:
        from analognas.tracking.registry import Registry

        yield Registry(client, name)
