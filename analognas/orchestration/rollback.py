"""The way back from the champion to the registered evaluator before it.

MLflow knows the versions and their aliases; the workspace knows the rounds, from which ``fit`` makes the same bytes
again. A rollback moves both: the alias, and the round that brought the champion, which is withdrawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analognas import tracking
from analognas.errors import InputError
from analognas.files import file_digest
from analognas.params import Params
from analognas.progress import Progress, silent
from analognas.stages import inputs, run_stage
from analognas.stages.rounds import read_rounds
from analognas.tracking.champions import champion_of, opened_registry, versions
from analognas.versioning import Versioning
from analognas.workspace import alone

if TYPE_CHECKING:
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
        champion = champion_of(known)
        if champion is None:
            raise InputError("There is no champion yet: `analognas run` registers the first one.")
        before = next((version for version in known if version.number == champion.before), None)
        if before is None:
            raise InputError(f"Version {champion.number} is the first champion: there is none to go back to.")
        withdrawn = _follow(params, paths, champion.digest, progress)
        with opened_registry(paths, params) as registry:
            registry.take_back(champion.number, instead=before.number)
        warning = tracking.sync(paths, params, Versioning.find(paths.root)).warning
        restored = file_digest(paths.evaluator) == before.digest
        return RolledBack(before.number, champion.number, withdrawn, restored, warning)


def _follow(params: Params, paths: Paths, digest: str, progress: Progress) -> int | None:
    """Withdraw the round that brought the evaluator with this digest, and fit again without it."""
    from analognas.retraining import need, steps

    brought = [
        added
        for added in read_rounds(paths, inputs.space(params, paths))
        if added.purpose == need.RETRAIN and added.record.get("challenger", {}).get("digest") == digest
    ]
    if not brought:
        return None
    if brought[-1].decision == "accepted":
        steps.withdraw(paths, brought[-1], "rolled back")
    if file_digest(paths.evaluator) == digest:
        versioning = Versioning.find(paths.root)
        for stage in ("characterize", "fit"):
            run_stage(stage, params, paths, progress)
            if versioning is not None:
                versioning.commit(stage)
    return brought[-1].number
