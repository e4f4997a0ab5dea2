"""The registered evaluators: which one is champion, how old it is, how good each is.

MLflow knows the versions and their aliases; it is loaded when they are asked for.
"""

from __future__ import annotations

import os
import textwrap
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

#: Columns of a terminal, and of the names of a version.
_WIDTH, _NAMES = 80, 22
#: Of the versions without a name, so many of the newest are told.
_NEWEST = 8


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


def describe(registered: list[Version], local: Version | None = None, *, whole: bool = False) -> str:
    """Return the versions as lines for a terminal of 80 columns.

    Args:
        registered: newest first.
        local: the one that ``data/evaluator/`` is.
        whole: all of them, each with its digest and how it became champion; otherwise those that have a name or are
            here, the newest ones, and how the champion became it.
    """
    if not registered:
        return "No evaluator is registered: the first one that `analognas run` logs becomes the champion."
    named = [version for version in registered if version.aliases or version is local]
    shown = [version for version in registered if whole or version in named or version in registered[:_NEWEST]]
    lines = ["version  which                 registered, UTC   sentinel  out of fold  coverage"]
    for version in shown:
        known = [*version.aliases, *(["here"] if version is local else []), *(["rolled back"] * version.rolled_back)]
        names = ", ".join(known)
        tau, covered, sentinel = (
            "-" if value is None else f"{value:.2f}" for value in (version.tau, version.coverage, version.sentinel_tau)
        )
        lines.append(
            f"{version.number:>7}  {names if len(names) < _NAMES else names[: _NAMES - 2] + '…':<{_NAMES}}"
            f"{version.created:%Y-%m-%d %H:%M}  {sentinel:>8}  {tau:>11}  {covered:>8}"
        )
        if whole:
            lines += [f"{'':9}digest {version.digest[:12] or 'unknown'}", *_promoted(version, 9)]
    if left := len(registered) - len(shown):
        lines.append(f"{left} older {'one' if left == 1 else 'ones'}: `analognas champion --all`.")
    champion = champion_of(registered)
    if champion is not None and not whole:
        lines += _promoted(champion, 0)
    return "\n".join([*lines, "Sentinel, out of fold: Kendall tau after 1 day. Coverage: of 90 % intervals."])


def _promoted(version: Version, margin: int) -> list[str]:
    """Return how a version became champion, in lines that begin after a margin; none if nobody knows."""
    if version.promoted_at is None:
        return []
    place = "" if version.previous is None else f" in the place of version {version.previous}"
    text = f"Version {version.number}: promoted {version.promoted_at} by {version.promoted_by}{place}: {version.why}"
    return textwrap.wrap(
        text, _WIDTH, initial_indent=" " * margin, subsequent_indent=" " * (margin + 2), break_on_hyphens=False
    )


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
