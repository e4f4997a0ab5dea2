"""What an unattended retraining takes from its team before it begins, and gives to it when it ends.

Results and data go over the DVC remote, rounds, metrics and ``dvc.lock`` over git, on a branch of its own or by a
command of the user's. Whatever cannot be done is told in a sentence, kept for ``analognas doctor``, and tried again by
the next retraining; it never keeps this one from going on.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analognas.causes import quoted
from analognas.errors import AnalogNASError
from analognas.files import read_sealed, write_sealed
from analognas.params import Params, personal
from analognas.versioning import Versioning, branch, sharing
from analognas.versioning.dvc_inside import NoRemoteError
from analognas.workspace import Paths, alone, round_name

if TYPE_CHECKING:
    from analognas.retraining.records import RetrainingSummary

#: What is said of a commit of what a run left that was cut off, or that somebody did not commit.
_LEFT = "What no commit held"
#: Seconds for a command of the user's: it may push, or open a request for somebody's review.
_PATIENCE = 600
#: More problems of one kind tell nobody more.
_MOST = 3


def wanted(params: Params, *, scheduled: bool) -> bool:
    """Return whether a retraining takes and gives, by ``run.share``."""
    return params.run.share == "always" or (params.run.share == "scheduled" and scheduled)


def begin(paths: Paths, params: Params) -> list[str]:
    """Take what the team has: git first, then results and data; return what went wrong, a sentence each.

    What was left uncommitted is committed before, on the branch of its own. Parameters and rounds may be others
    afterwards.

    Raises:
        BusyError: if another run works in the workspace.
    """
    told: list[str] = []
    own = params.run.branch
    with alone(paths):
        with _told(told):
            if own is not None:
                branch.keep(paths.root, own, _LEFT)
            if own is not None or _in_git(paths.root):
                branch.follow(paths.root, own)
        if Versioning.problem(paths.root) is None:
            with _told(told), contextlib.suppress(NoRemoteError):
                told += sharing.pull(paths).problems[:_MOST]
    _remember(paths, told)
    return told


def end(paths: Paths, params: Params, done: RetrainingSummary | None) -> list[str]:
    """Give to the team what a retraining made: data first, so that nobody finds a version without it.

    Args:
        paths: the workspace.
        params: its parameters.
        done: the retraining's summary; None: it failed, so only results are pushed.

    Returns:
        What went wrong, a sentence each.
    """
    told: list[str] = []
    whole = True
    own = params.run.branch
    with _told(told), alone(paths):
        if Versioning.problem(paths.root) is None:
            with _told(told), contextlib.suppress(NoRemoteError):
                told += sharing.push(paths).problems[:_MOST]
            whole = not told
        if done is None:
            return told
        commit = None
        files = branch.written(paths.root)
        with _told(told):
            if own is not None:
                commit = branch.keep(paths.root, own, _message(done))
                if whole:  # otherwise the next retraining pushes both
                    _publish(paths.root, own)
        with _told(told):
            command = personal.own(paths.root, "hand_over")
            if command is not None and files:
                _hand_over(command, paths, {"commit": commit, "branch": own, "files": files, "retraining": dict(done)})
    _remember(paths, [*_remembered(paths), *told])
    return told


def problem(paths: Paths) -> str | None:
    """Return what last went wrong between a workspace and its team, in one sentence; None if nothing did."""
    told = _remembered(paths)
    return told[0] if told else None


def _publish(root: Path, own: str) -> None:
    try:
        branch.publish(root, own)
    except branch.BehindError:
        branch.follow(root, own)
        branch.publish(root, own)


def _message(done: RetrainingSummary) -> str:
    if not done.get("retrained"):
        return _LEFT
    text = f"Round {round_name(done['round'])} {done['decision']}"
    return f"{text}\n\n{done['reason']}" if done.get("reason") else text


def _hand_over(command: str, paths: Paths, what: Mapping[str, Any]) -> None:
    """Give what was written to a command of the user's, as JSON on its standard input, in the workspace.

    Raises:
        AnalogNASError: if it fails.
    """
    text = json.dumps({"workspace": str(paths.root), **what}, sort_keys=True)
    name = "The command of run.hand_over"
    process = subprocess.Popen(
        ["/bin/sh", "-c", command], cwd=paths.root, text=True, errors="replace", start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        _, said = process.communicate(text, timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise AnalogNASError(f"{name} did not end within {_PATIENCE // 60} minutes: it was ended.") from None
    if process.returncode:
        raise AnalogNASError(f"{name} ended with code {process.returncode} ({quoted(said)}): call it by hand to see.")


def _in_git(root: Path) -> bool:
    return any((folder / ".git").exists() for folder in (root, *root.parents))


@contextlib.contextmanager
def _told(told: list[str]) -> Iterator[None]:
    """Make of an error of this library a sentence more, and go on."""
    try:
        yield
    except AnalogNASError as error:
        told.append(str(error))


def _file(paths: Paths) -> Path:
    return paths.private() / "exchange.json"


def _remember(paths: Paths, told: list[str]) -> None:
    with contextlib.suppress(AnalogNASError):  # it only helps whoever looks later
        write_sealed(_file(paths), {"at": datetime.now(UTC).isoformat(timespec="seconds"), "problems": told})


def _remembered(paths: Paths) -> list[str]:
    try:
        return [str(text) for text in read_sealed(_file(paths), remedy="")["problems"]]
    except (AnalogNASError, KeyError, TypeError):
        return []
