"""An earlier run back again: its parameters, evaluator and winner, and whatever else is kept of it.

What git holds of a run comes from where it is kept, what stages wrote from DVC's cache, its remote, or MLflow. What was
in the workspace is kept aside first, whole, so nothing is lost, and a call that fails leaves everything as it was.
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analognas.errors import AnalogNASError, CorruptFileError, InputError
from analognas.files import digest, file_digest, read_sealed, write_bytes, writing_directory
from analognas.params import Params
from analognas.params.file import Draft
from analognas.progress import Progress, silent
from analognas.runs.sources import OUTPUTS, copy
from analognas.stages.protocols import STAGES
from analognas.tracking import history as tracked
from analognas.versioning import Versioning
from analognas.versioning.branch import WRITTEN
from analognas.versioning.sharing import pull
from analognas.workspace import Paths, alone

if TYPE_CHECKING:
    from analognas.runs.finding import Run

#: Where, below the private folder, a workspace is kept aside.
ASIDE = "kept"
#: Without these a run is not back.
_NEEDED = ("data/evaluator", "data/winner")
_DIGITS = 12


@dataclass(frozen=True)
class Restored:
    """What was done.

    Attributes:
        run: that is back; None: what was kept aside is, whether a run had come to its end in it or not.
        kept: the folder with what was in the workspace before.
        lacking: outputs of stages that are kept nowhere: the next run makes them anew.
        problem: what a remote of DVC could not give, a sentence; None: it was not asked, or gave all.
    """

    run: Run | None
    kept: Path
    lacking: tuple[str, ...] = ()
    problem: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        told = {"kept": str(self.kept), "lacking": list(self.lacking), "problem": self.problem}
        return {"run": None if self.run is None else self.run.to_dict(), **told}

    def sentences(self) -> list[str]:
        """Return what was done, in words."""
        if self.run is None:
            said = ["What was kept aside is back, byte for byte."]
        else:
            winner = self.run.train["winner"]["id"]
            said = [f"The run {self.run.name} is back: its parameters, its evaluator, and its winner {winner}."]
        if self.lacking:
            names = ", ".join(self.lacking)
            said.append(f"Kept nowhere are {names} of it: the next `analognas run` makes them anew.")
        return [*said, f"What was here before is kept: `analognas restore {self.kept}` brings it back."]


def restore(paths: Paths, run: Run, progress: Progress = silent) -> Restored:
    """Bring an earlier run back into a workspace.

    Args:
        paths: the workspace.
        run: as ``finding.find`` gives it.
        progress: called as it gets on.

    Raises:
        InputError: if its parameters are another version's.
        CorruptFileError: if its evaluator or its winner is kept nowhere.
        BusyError: if another run works in the workspace.
        AnalogNASError: if git, DVC or MLflow fail. The workspace is as it was, whatever is raised.
    """
    with alone(paths), tempfile.TemporaryDirectory(dir=paths.private()) as folder:
        progress(0, 3, f"looking for the run {run.name}")
        there = Paths(Path(folder) / "run")
        there.root.mkdir()
        run.source.fetch(there.root)
        _look(there, paths, run)
        progress(1, 3, "keeping aside what is here")
        kept = keep_aside(paths)
        try:
            progress(2, 3, f"bringing back the run {run.name}")
            problem = _put(paths, there)
            if _lacking(paths, _NEEDED):
                _from_mlflow(paths, run, Path(folder) / "tracked")
            lacking = _lacking(paths, OUTPUTS)
            gone = _lacking(paths, _NEEDED)
            if gone:
                raise CorruptFileError(
                    f"{' and '.join(gone)} of the run {run.name} are in none of MLflow, DVC's cache and its remote: "
                    "whoever has them pushes them (`analognas push`), or run with its parameters again; "
                    f"nothing was changed.{'' if problem is None else f' {problem}'}"
                )
        except BaseException:
            _replace(paths, kept)
            raise
        progress(3, 3, f"the run {run.name} is back")
    return Restored(run, kept, lacking, problem if lacking else None)


def is_kept(paths: Paths, folder: Path) -> bool:
    """Return whether a folder is what was kept aside of a workspace."""
    return folder.is_dir() and folder.resolve().parent == (paths.private() / ASIDE).resolve()


def bring_back(paths: Paths, folder: Path) -> Restored:
    """Bring back what was kept aside, byte for byte, and keep aside what is there.

    Raises:
        BusyError: if another run works in the workspace.
        WorkspaceError: if it cannot be written.
    """
    with alone(paths):
        kept = keep_aside(paths)
        try:
            _replace(paths, folder)
        except BaseException:
            _replace(paths, kept)
            raise
    return Restored(None, kept)


def _lacking(paths: Paths, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in names if not (paths.root / name).exists())


def _from_mlflow(paths: Paths, run: Run, folder: Path) -> None:
    """Take what MLflow has of the outputs of a run that is kept elsewhere, too, if it knows it."""
    params = Params.load(paths.params)
    with suppress(AnalogNASError):  # it is away, or its files were deleted
        for known, _ in tracked.logged(paths, params, wanted=lambda logged: tracked.state_of(logged) == run.state)[:1]:
            tracked.fetch(paths, params, known, folder)
            for name in _lacking(paths, OUTPUTS):
                copy(folder / name, paths.root / name)


def keep_aside(paths: Paths) -> Path:
    """Copy all that ``restore`` may change into a folder of its own, named by its content, and return that folder."""
    names = [name for name in (*WRITTEN, *OUTPUTS) if (paths.root / name).exists()]
    identity = digest([[name, file_digest(paths.root / name)] for name in names])[:_DIGITS]
    place = paths.private() / ASIDE / identity
    if not place.exists():
        with writing_directory(place) as folder:
            for name in names:
                copy(paths.root / name, folder / name)
    return place


def _look(there: Paths, paths: Paths, run: Run) -> None:
    """Look whether what was fetched is the run, and let its parameters be those that it ran with."""
    if read_sealed(there.metrics("train"), remedy="take another run, see `analognas runs`") != dict(run.train):
        raise CorruptFileError(f"The files of the run {run.name} have changed meanwhile: call it again.")
    if run.source.recorded:  # no file, but values: they go into the file that is here
        copy(paths.params, to := there.root / "here.yaml")
        to.replace(there.params)
    try:
        draft = Draft(there.params)
        now = draft.params().model_dump(mode="json")
        differing = {
            f"{section}.{key}": value
            for section, values in run.params.items()
            for key, value in values.items()
            if now.get(section, {}).get(key) != value
        }
        draft.assign(differing)
        draft.save()
        Params.load(there.params)
    except InputError as error:
        raise InputError(
            f"The parameters of the run {run.name} are none of this version's ({str(error).rstrip('.')}): install the "
            "version that it ran with, or take another run."
        ) from None


def _put(paths: Paths, there: Paths) -> str | None:
    """Put the small files and the outputs of a run in their places; return what DVC's remote could not give."""
    problem = None
    _replace(paths, there.root, WRITTEN, OUTPUTS)
    versioning = Versioning.find(paths.root)
    if versioning is not None and (there.root / "dvc.lock").is_file():
        versioning.checkout(*STAGES)
        if any(not (paths.root / name).exists() and not (there.root / name).exists() for name in OUTPUTS):
            problem = _from_remote(paths)
    for name in OUTPUTS:
        if not (paths.root / name).exists():
            copy(there.root / name, paths.root / name)
    return problem


def _from_remote(paths: Paths) -> str | None:
    try:
        problems = pull(paths).problems
    except AnalogNASError as error:  # there is none, or it is away
        return str(error)
    return problems[0] if problems else None


def _replace(
    paths: Paths,
    source: Path,
    names: tuple[str, ...] = (*WRITTEN, *OUTPUTS),
    gone: tuple[str, ...] = (*WRITTEN, *OUTPUTS),
) -> None:
    """Take files and folders of a workspace from another folder; of ``gone`` what that one lacks is removed."""
    for name in dict.fromkeys((*names, *gone)):
        path, other = paths.root / name, source / name
        if name in gone and (name not in names or not other.exists()):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        elif other.is_dir():
            with writing_directory(path) as folder:
                shutil.copytree(other, folder, dirs_exist_ok=True)
        elif other.is_file():
            write_bytes(path, other.read_bytes())
