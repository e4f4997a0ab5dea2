"""The champion: which registered evaluator it is, how old, and the way back to the one before it.

MLflow knows the versions and their aliases; the workspace knows the rounds, from which ``fit`` makes the same bytes
again. A rollback moves both: the alias, and the round that brought the champion, which is withdrawn.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from analognas import tracking
from analognas.errors import InputError, StageError
from analognas.files import file_digest
from analognas.params import Params
from analognas.redaction import first_line, redact
from analognas.rounds import read_rounds
from analognas.stages import Progress, _inputs, run_stage, silent
from analognas.versioning import Versioning
from analognas.workspace import alone

if TYPE_CHECKING:
    from analognas._registry import Registry, Version
    from analognas.workspace import Paths


@dataclass(frozen=True)
class RolledBack:
    """What a rollback did.

    Args:
        champion: the version that is champion again.
        instead_of: the version that was.
        round: number of the round that was withdrawn, or None.
        restored: whether ``data/evaluator/`` is, byte for byte, the champion's again.
        warning: why the stages that were made anew are not in MLflow yet, or None.
    """

    champion: int
    instead_of: int
    round: int | None
    restored: bool
    warning: str | None = None

    def __str__(self) -> str:
        text = f"Version {self.champion} is the champion again, instead of version {self.instead_of}."
        if self.round is not None:
            text += f" Round {self.round:03d} is withdrawn: nothing learns from it any more."
        if self.warning is not None:
            text += f" {self.warning}"
        if self.restored:
            return text + " data/evaluator/ is this champion; `analognas run` searches and trains with it."
        return (
            text + " data/evaluator/ is another evaluator (its parameters, versions or rounds are others than then): "
            "`git checkout REVISION -- data/rounds data/metrics dvc.lock && dvc checkout` brings files of a revision "
            "back."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return vars(self).copy()


def versions(paths: Paths) -> list[Version]:
    """Return the registered evaluators, newest first.

    Raises:
        StageError: if MLflow cannot be reached.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI") and not (paths.root / "mlflow.db").exists():
        return []  # asking would make the database
    with _registry(paths, Params.load(paths.params)) as registry:
        return registry.versions()


def age_days(paths: Paths) -> float | None:
    """Return how long ago the champion was registered, in days; None if there is none or MLflow is away."""
    try:
        champion = _champion(versions(paths))
    except StageError:
        return None
    return None if champion is None else (datetime.now(UTC) - champion.created).total_seconds() / 86_400


def describe(found: list[Version]) -> str:
    """Return the versions as lines for a terminal."""
    if not found:
        return "No evaluator is registered yet: `analognas run` registers the first one, which becomes the champion."
    lines = []
    for one in found:
        tau, covered, sentinel = (
            "-" if value is None else f"{value:.2f}" for value in (one.tau, one.coverage, one.sentinel_tau)
        )
        names = ", ".join(one.aliases) or ("rolled back" if one.rolled_back else "")
        lines.append(
            f"version {one.number:<4}{names:<12} {one.created:%Y-%m-%d %H:%M} UTC   "
            f"Kendall tau {sentinel} on the sentinel set, {tau} out of fold, coverage {covered}   {one.digest[:12]}"
        )
    return "\n".join(lines)


def roll_back(params: Params, paths: Paths, progress: Progress = silent) -> RolledBack:
    """Make the version before the champion the champion again, and the workspace's evaluator with it.

    The round that brought the champion is withdrawn, then the table and the evaluator are made anew from what is
    left and committed to DVC. A call that was interrupted may be repeated.

    Raises:
        InputError: if there is no version before the champion.
        StageError: if MLflow cannot be reached, or a stage fails.
        WorkspaceError: if another run works in the workspace.
    """
    with alone(paths):
        known = versions(paths)
        champion = _champion(known)
        if champion is None:
            raise InputError("There is no champion yet: `analognas run` registers the first one.")
        before = next((one for one in known if one.number == champion.before), None)
        if before is None:
            raise InputError(f"Version {champion.number} is the first champion: there is none to go back to.")
        withdrawn = _follow(params, paths, champion.digest, progress)
        with _registry(paths, params) as registry:
            registry.take_back(champion.number, instead=before.number)
        warning = tracking.sync(paths, params, Versioning.find(paths.root)).warning
        restored = file_digest(paths.evaluator) == before.digest
        return RolledBack(before.number, champion.number, withdrawn, restored, warning)


def _follow(params: Params, paths: Paths, digest: str, progress: Progress) -> int | None:
    """Withdraw the round that brought the evaluator with this digest, and fit again without it."""
    from analognas import retraining

    brought = [
        one
        for one in read_rounds(paths, _inputs.space(params, paths))
        if one.purpose == retraining.RETRAIN and one.record.get("challenger", {}).get("digest") == digest
    ]
    if not brought:
        return None
    if brought[-1].decision == "accepted":
        retraining.withdraw(paths, brought[-1], "rolled back")
    if file_digest(paths.evaluator) == digest:
        versioning = Versioning.find(paths.root)
        for stage in ("characterize", "fit"):
            run_stage(stage, params, paths, progress)
            if versioning is not None:
                versioning.commit(stage)
    return brought[-1].number


def _champion(found: list[Version]) -> Version | None:
    return next((one for one in found if "champion" in one.aliases), None)


@contextmanager
def _registry(paths: Paths, params: Params) -> Iterator[Registry]:
    """Yield the evaluator's versions; what MLflow raises becomes one sentence."""
    uri = tracking.tracking_uri(paths)
    try:
        with warnings.catch_warnings(), tracking.one_process(paths):
            warnings.simplefilter("ignore")  # what MLflow and SQLAlchemy deprecate among themselves
            tracking.configure()
            tracking.check_database(uri)
            from mlflow import MlflowClient

            from analognas._registry import Registry

            client = MlflowClient(tracking_uri=uri, registry_uri=uri)
            yield Registry(client, tracking.registered_name(paths, params, "evaluator"))
    except Exception as error:  # MLflow raises whatever its database, its server and its disk raise
        logging.getLogger(__name__).debug("MLflow failed", exc_info=True)
        raise StageError(
            f"MLflow at {redact(uri)} cannot be reached ({first_line(error)}): start it, or unset "
            "MLFLOW_TRACKING_URI for the database of the workspace."
        ) from error
