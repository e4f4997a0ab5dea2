"""The champion by hand: another registered evaluator promoted, brought here, or the one before it again.

MLflow knows the versions, their aliases and their files; the workspace has ``data/evaluator/`` and the rounds from
which ``fit`` makes it. What is done here moves all of them, so that they stay one thing: the files of a version are put
in their place as the stage ``fit`` would, and the rounds say of themselves what that evaluator learned from.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from analognas import notices, tracking
from analognas.errors import InputError
from analognas.evaluators.registry import load_evaluator
from analognas.files import file_digest, write_bytes, writing_directory
from analognas.params import Params
from analognas.progress import Progress, silent
from analognas.retraining.steps import follow
from analognas.stages import identity, inputs, run_stage
from analognas.stages.running import limit_threads
from analognas.tracking.champions import champion_of, opened_registry, versions
from analognas.versioning import Versioning
from analognas.workspace import Paths, alone, round_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analognas.tracking.registry import Version


@dataclass(frozen=True)
class Moved:
    """What was done.

    Args:
        champion: the version that is champion now, or None.
        instead_of: the version that was, if another one is now.
        evaluator: the version whose files ``data/evaluator/`` has now.
        withdrawn: numbers of the rounds from which nothing learns any more.
        accepted: numbers of the rounds that are learned from again.
        warning: why MLflow does not know of it yet, or what else is to be said.
    """

    champion: int | None
    instead_of: int | None
    evaluator: int
    withdrawn: tuple[int, ...]
    accepted: tuple[int, ...]
    warning: str | None = None

    def __str__(self) -> str:
        text = []
        if self.instead_of is not None:
            text.append(f"Version {self.champion} is the champion now, instead of version {self.instead_of}.")
        elif self.champion == self.evaluator:
            text.append(f"Version {self.champion} is the champion.")
        text.append(f"data/evaluator/ is version {self.evaluator}; `analognas run` searches and trains with it.")
        if self.withdrawn:
            text.append(f"Withdrawn, so that nothing learns from it any more: {_rounds(self.withdrawn)}.")
        if self.accepted:
            text.append(f"Accepted, because this evaluator learned from it: {_rounds(self.accepted)}.")
        return " ".join([*text, *([self.warning] if self.warning else [])])

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {**vars(self), "withdrawn": list(self.withdrawn), "accepted": list(self.accepted)}


def promote(params: Params, paths: Paths, number: int, why: str = "by hand", progress: Progress = silent) -> Moved:
    """Make a registered version the champion, in MLflow and as ``data/evaluator/``.

    A call that was interrupted may be repeated.

    Args:
        params: of the workspace.
        paths: of the workspace.
        number: of the version.
        why: what the registry keeps as the reason.
        progress: called as it gets on.

    Raises:
        InputError: if there is no such version, its files are not there, or it is for something else.
        StageError: if MLflow cannot be reached, or does not let this person promote (then nothing is changed), or a
            stage fails.
        WorkspaceError: if another run works in the workspace.
    """
    with alone(paths):
        known = versions(paths)
        return _moved(params, paths, known, _version(known, number), progress, why=why)


def check_out(params: Params, paths: Paths, number: int, progress: Progress = silent) -> Moved:
    """Make ``data/evaluator/`` a registered version; the champion in MLflow stays. See ``promote``."""
    with alone(paths):
        known = versions(paths)
        return _moved(params, paths, known, _version(known, number), progress)


def roll_back(params: Params, paths: Paths, progress: Progress = silent) -> Moved:
    """Make the version in whose place the champion came the champion again. See ``promote``.

    Raises:
        InputError: if it is not known which version that is, or its files are not there.
    """
    with alone(paths):
        known = versions(paths)
        champion = champion_of(known)
        if champion is None:
            raise InputError(
                "There is no champion: `analognas champion promote N` makes a version the champion."
                if known
                else "There is no champion yet: the first evaluator that `analognas run` logs becomes it."
            )
        before = next((version for version in known if version.number == champion.previous), None)
        if before is None:
            others = ", ".join(str(version.number) for version in reversed(known) if version is not champion)
            if not others:
                raise InputError(f"Version {champion.number} is the only one: there is none to go back to.")
            gone = f"version {champion.previous}, which was champion before version {champion.number}, is not there"
            unknown = f"MLflow does not say which version was champion before version {champion.number}"
            raise InputError(
                f"{unknown if champion.previous is None else gone}: `analognas champion promote N` takes one of the "
                f"others ({others})."
            )
        return _moved(params, paths, known, before, progress, back=True)


def _version(known: Sequence[Version], number: int) -> Version:
    version = next((version for version in known if version.number == number), None)
    if version is None:
        listed = ", ".join(str(version.number) for version in reversed(known))
        raise InputError(
            f"There is no version {number} of the evaluator: "
            + (f"there are {listed}, see `analognas champion`." if listed else "none is registered.")
        )
    return version


def _moved(
    params: Params, paths: Paths, known: Sequence[Version], version: Version, progress: Progress,
    *, why: str | None = None, back: bool = False,
) -> Moved:  # fmt: skip
    """Put a version in its place, and move the alias if there is a reason to, or the champion is taken back."""
    champion = champion_of(list(known))
    moves = (why is not None or back) and (champion is None or champion.number != version.number)
    if moves:  # before anything is changed here
        with opened_registry(paths, params) as registry:
            registry.ask_to_write(version)
    withdrawn, accepted = _put(params, paths, version, progress)
    if moves:
        with opened_registry(paths, params) as registry:
            if back and champion is not None:
                registry.take_back(champion.number, instead=version.number)
            else:
                registry.promote(version.number, why=why or "by hand")
    warning = tracking.sync(paths, params, Versioning.find(paths.root)).warning or tracking.standing.sentence(paths)
    before = None if champion is None else champion.number
    if moves:
        text = f"Version {version.number} of the evaluator is the champion of {paths.root} now, by hand."
        notices.tell(paths, "promoted", uuid4().hex, text, version=version.number, previous=before)
    return Moved(
        version.number if moves else before, before if moves else None, version.number, withdrawn, accepted, warning
    )


def _put(params: Params, paths: Paths, version: Version, progress: Progress) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Make ``data/evaluator/`` a version, with its figures and plots, and let the rounds follow; return those."""
    space = inputs.space(params, paths)
    limit_threads(params)
    with _fetched(params, paths, version) as fetched:
        load_evaluator(fetched.evaluator, params.fit.evaluator).check(
            space=space.name, **identity.context(params, paths)
        )
        withdrawn, accepted = follow(paths, space, version.digest, f"version {version.number} was taken by hand")
        versioning = Versioning.find(paths.root)
        if withdrawn or accepted:
            run_stage("characterize", params, paths, progress)
            if versioning is not None:
                versioning.commit("characterize")
        for name in ("metrics/fit.json", "plots/fit.csv", "plots/fit.png"):
            write_bytes(paths.data / name, (fetched.data / name).read_bytes())
        # Last, because it is what tells which evaluator is here.
        if not paths.evaluator.is_dir() or file_digest(paths.evaluator) != version.digest:
            with writing_directory(paths.evaluator) as folder:
                shutil.copytree(fetched.evaluator, folder, dirs_exist_ok=True)
        if versioning is not None:
            versioning.commit("fit")
    return withdrawn, accepted


@contextmanager
def _fetched(params: Params, paths: Paths, version: Version) -> Iterator[Paths]:
    """Yield where the files of a version lie, for a moment."""
    with tempfile.TemporaryDirectory(dir=paths.private()) as folder:
        fetched = Paths(Path(folder))
        with opened_registry(paths, params) as registry:
            registry.fetch(version, fetched)
        yield fetched


def _rounds(numbers: Sequence[int]) -> str:
    return ("round " if len(numbers) == 1 else "rounds ") + ", ".join(map(round_name, numbers))
