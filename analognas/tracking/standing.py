"""The champion in MLflow's registry and ``data/evaluator/``, compared: they are one thing, or it is said.

They may differ: the alias was moved by hand or by somebody else, a model or a version was deleted, `git` or DVC brought
another evaluator, or a run fitted one that nobody compared. Nothing here changes anything.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analognas.errors import StageError
from analognas.files import file_digest, write_sealed
from analognas.tracking import champions, state

if TYPE_CHECKING:
    from pathlib import Path

    from analognas.tracking.registry import Version
    from analognas.workspace import Paths

_AGAIN = "`analognas track --again` registers it"


@dataclass(frozen=True)
class Standing:
    """Which version is champion, and which one is here.

    Args:
        champion: the version of that alias, or None.
        digest: of ``data/evaluator/``; None: there is none.
        version: the version with that digest, or None.
        registered: how many versions there are.
    """

    champion: Version | None
    digest: str | None
    version: Version | None
    registered: int

    @classmethod
    def of(cls, paths: Paths, registered: list[Version]) -> Standing:
        """Compare ``data/evaluator/`` with the registered versions."""
        digest = file_digest(paths.evaluator) if paths.evaluator.is_dir() else None
        same = [version for version in registered if digest is not None and version.digest == digest]
        champion = champions.champion_of(registered)
        # The same files may be registered twice; the champion among them is the one that is meant.
        version = champion if champion in same else same[0] if same else None
        return cls(champion, digest, version, len(registered))

    @property
    def sentence(self) -> str | None:
        """Which is which and what mends it, in one sentence; None if they are the same, or there is nothing yet."""
        champion, version = self.champion, self.version
        if self.digest is None:
            if champion is None:
                return None
            return (
                f"data/evaluator/ is missing, the champion in MLflow is version {champion.number}: "
                f"`analognas champion checkout {champion.number}` fetches it."
            )
        this = f"data/evaluator/ ({self.digest[:12]})"
        if champion is None:
            if version is None:
                return f"{this} is not registered in MLflow, which has no champion: {_AGAIN}, as the champion."
            return (
                f"{this} is version {version.number}, and MLflow has no champion: "
                f"`analognas champion promote {version.number}` makes it the champion."
            )
        if version is champion:
            return None
        known = f"version {version.number}" if version else "not registered in MLflow"
        mend = f"`analognas champion promote {version.number}` makes it the champion" if version else _AGAIN
        return (
            f"{this} is {known}, the champion in MLflow is version {champion.number} ({champion.digest[:12]}): {mend}, "
            f"`analognas champion checkout {champion.number}` brings the champion here."
        )


def sentence(paths: Paths) -> str | None:
    """Return what is to be said of champion and ``data/evaluator/``; None if they are one thing, or nothing is tracked.

    A database in the workspace that did not change since is not asked again, which would load MLflow.
    """
    database = None if os.environ.get("MLFLOW_TRACKING_URI") else paths.root / "mlflow.db"
    if database is not None and not database.exists():
        return None
    known = None if database is None else _fingerprint(paths, database)
    if known is not None:
        remembered = state.read_or_empty(_memo(paths))
        if remembered.get("of") == known:
            said: str | None = remembered.get("sentence")
            return said
    try:
        said = Standing.of(paths, champions.versions(paths)).sentence
    except StageError as error:
        return f"data/evaluator/ was not compared with the champion. {error}"
    if database is not None and known == _fingerprint(paths, database):
        write_sealed(_memo(paths), {"of": known, "sentence": said})
    return said


def _fingerprint(paths: Paths, database: Path) -> list[Any]:
    """Return what changes when the database or ``data/evaluator/`` does."""
    files = [path for path in (database, database.with_name(f"{database.name}-wal")) if path.exists()]
    times = [[path.stat().st_mtime_ns, path.stat().st_size] for path in files]
    return [*times, file_digest(paths.evaluator) if paths.evaluator.is_dir() else None]


def _memo(paths: Paths) -> Path:
    return paths.private() / "compared.json"
