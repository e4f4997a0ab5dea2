"""What an unattended workspace does in git: it follows its team's branch, and commits on a branch of its own.

A branch that people work on is only ever fast-forwarded here. The branch of its own, which somebody has named in the
settings, starts where the workspace is and follows the same branch of the team: what comes from there is merged into
it, what a retraining wrote is committed on it, and it alone is pushed. A merge that asks for a person is taken back.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from analognas.errors import AnalogNASError
from analognas.versioning import git, merging
from analognas.versioning.dvc_inside import complaint
from analognas.workspace import Paths

#: What a retraining writes of what git holds.
WRITTEN = ("params.yaml", "dvc.lock", "data/dataset.json", "data/environment.json", "data/metrics", "data/rounds")
#: Seconds for a call that goes over a network.
_PATIENCE = 300
#: How the message of a merge begins that is made here, so that one that was cut off is known again.
_MERGES = "analognas takes in "


class GitError(AnalogNASError):
    """git refuses what an unattended workspace asks of it; the message says what helps."""


class BehindError(GitError):
    """The branch has commits on the server that are not here."""


@dataclass(frozen=True)
class _Place:
    """Where a workspace is in git: its branch, and the remote and the branch there that it follows, if it does."""

    root: Path
    branch: str
    remote: str | None
    follows: str | None


def follow(root: Path, own: str | None) -> None:
    """Take what the team has committed: fetch it, and fast-forward; on a branch of its own also merge.

    Args:
        root: the workspace.
        own: the branch of its own; None: it has none, and without a branch to follow there is nothing to do.

    Raises:
        GitError: if that cannot be; the files are as they were.
    """
    place = _at(root, own)
    if place.remote is None or place.follows is None:
        if own is None:
            return
        raise GitError(
            f"The branch {place.branch} of {root} follows no branch of a server, so nothing of your team is taken: "
            f"`git branch --set-upstream-to=REMOTE/BRANCH {place.branch}`."
        )
    _over_network(root, f"fetch from '{place.remote}'", "fetch", "--quiet", place.remote)
    published = _published(place, own)
    for source in (place.follows, *([published] if published else [])):
        if _is_in(root, source, "HEAD"):
            continue
        if _is_in(root, "HEAD", source):
            _forward(place, source, own)
        elif own is None:
            raise GitError(
                f"The branch {place.branch} of {root} and {_short(source)} have each commits that the other has not, "
                "so nothing of your team was taken: `git pull --no-rebase` there, or name a branch for it "
                "(`run.branch`), on which it merges by itself."
            )
        else:
            _merge(place, source)


def keep(root: Path, own: str, message: str) -> str | None:
    """Commit on the branch of its own what runs have written, and nothing else; return the commit's hash.

    It is None if everything is committed.

    Raises:
        GitError: if git refuses.
    """
    place = _at(root, own)
    names = _written(root)
    if not names:
        return None
    _known(root)
    top = _top(root)
    _do(top, f"add what a run wrote in {root}", "add", "--all", "--", *names)
    _do(top, f"commit on {place.branch}", "commit", "--quiet", "--message", message, "--", *names)
    return (git.ask(root, "rev-parse", "HEAD") or "").strip()


def written(root: Path) -> list[str]:
    """Return what runs have written and no commit holds, relative to the workspace; nothing outside of git."""
    if git.ask(root, "rev-parse", "--git-dir") is None:
        return []
    top = _top(root)
    return sorted(str((top / name).relative_to(root.resolve())) for name in _written(root))


def publish(root: Path, own: str) -> bool:
    """Push the branch of its own, and nothing else; return whether there was anything that the server lacked.

    Raises:
        BehindError: if the branch has commits there that are not here.
        GitError: if it cannot be pushed.
    """
    place = _at(root, own)
    if place.remote is None:
        raise GitError(f"{root} has no server to push to: `git remote add origin ADDRESS`, and follow a branch of it.")
    published = _published(place, own)
    known = [source for source in (published, place.follows) if source is not None]
    if any(_is_in(root, "HEAD", source) for source in known):
        return False
    what = f"push {own} to '{place.remote}'"
    try:
        _over_network(root, what, "push", "--porcelain", place.remote, f"HEAD:refs/heads/{own}")
    except GitError as error:
        # In the words of its porcelain, which it promises: other reasons (a hook, a protected branch) are "remote".
        if "[rejected]" in str(error.__cause__):
            raise BehindError(
                f"git cannot {what}: the branch has commits there that are not here; they are taken in the next time."
            ) from None
        raise
    return True


def _at(root: Path, own: str | None) -> _Place:
    """Return where a workspace is; if it is to be on a branch of its own, go there first."""
    if git.ask(root, "rev-parse", "--git-dir") is None:
        raise GitError(f"{root} is not in a git repository, so there is no team to follow and nothing to commit to.")
    branch = (git.ask(root, "symbolic-ref", "--quiet", "--short", "HEAD") or "").strip()
    if not branch:
        raise GitError(f"{root} is on no branch: `git switch BRANCH` there.")
    _unfinished(root, own)
    if own is not None and branch != own:
        _go(root, branch, own)
        branch = own
    remote = (git.ask(root, "config", f"branch.{branch}.remote") or "").strip() or None
    follows = (git.ask(root, "rev-parse", "--symbolic-full-name", f"{branch}@{{upstream}}") or "").strip() or None
    return _Place(root, branch, remote, follows)


def _go(root: Path, branch: str, own: str) -> None:
    what = f"go from {branch} to the branch {own} in {root}"
    if git.ask(root, "check-ref-format", "--branch", own) is None:
        raise GitError(f"run.branch is {own!r}, which is no name of a branch: mend it, e.g. retrain.")
    if git.ask(root, "show-ref", "--verify", "--quiet", f"refs/heads/{own}") is not None:
        _do(root, what, "switch", "--quiet", own)
        return
    upstream = (git.ask(root, "rev-parse", "--abbrev-ref", f"{branch}@{{upstream}}") or "").strip()
    _do(root, what, "switch", "--quiet", "--no-track", "--create", own)
    if upstream:
        _do(root, what, "branch", "--quiet", f"--set-upstream-to={upstream}")
        # A plain `git pull` by whoever logs in merges as is done here, instead of asking how.
        merging.install_driver(root)
        _do(root, what, "config", f"branch.{own}.rebase", "false")


def _unfinished(root: Path, own: str | None) -> None:
    """Take back a merge of ours that was cut off; refuse to work in the middle of anything else."""
    folder = Path((git.ask(root, "rev-parse", "--absolute-git-dir") or "").rstrip("\n"))
    if own is not None and (folder / "MERGE_HEAD").exists():
        with contextlib.suppress(OSError):
            if (folder / "MERGE_MSG").read_text(errors="replace").startswith(_MERGES):
                _do(root, "take back a merge that was cut off", "merge", "--abort")
    for name, word in (("MERGE_HEAD", "merge"), ("rebase-merge", "rebase"), ("rebase-apply", "rebase")):
        if (folder / name).exists():
            raise GitError(
                f"{root} is in the middle of a {word}, so nothing was pulled or committed: end it there "
                f"(`analognas merge`), or give it up (`git {word} --abort`)."
            )


def _forward(place: _Place, source: str, own: str | None) -> None:
    try:
        _do(place.root, f"take {_short(source)}", "merge", "--ff-only", "--quiet", source)
    except GitError as error:
        raise _in_the_way(place, source, own, error) from None


def _merge(place: _Place, source: str) -> None:
    root = place.root
    _known(root)
    merging.install_driver(root)
    before = (git.ask(root, "rev-parse", "HEAD") or "").strip()
    try:
        _do(root, f"merge {_short(source)}", "merge", "--quiet", "-m", f"{_MERGES}{_short(source)}", source)
        return
    except GitError as error:
        if git.ask(root, "rev-parse", "--quiet", "--verify", "MERGE_HEAD") is None:
            raise _in_the_way(place, source, place.branch, error) from None
    try:
        left = merging.merge(Paths(root)).left
        if not left:
            _do(root, f"merge {_short(source)}", "commit", "--quiet", "--no-edit")
            return
    except AnalogNASError:
        left = ("what git names",)
    git.ask(root, "merge", "--abort")
    if (git.ask(root, "rev-parse", "HEAD") or "").strip() != before:
        return  # it was committed after all
    raise GitError(
        f"{place.branch} in {root} and {_short(source)} have both changed {', '.join(left)}, which only a person can "
        f"merge, so nothing of your team was taken: `git merge {_short(source)}` there."
    )


def _in_the_way(place: _Place, source: str, own: str | None, error: GitError) -> GitError:
    """Return the error about changes that no commit holds, if that is what git complains of."""
    names = [line.strip() for line in str(error.__cause__).splitlines() if line.startswith("\t")]
    if not names:
        return error
    listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    remedy = "commit them there, or give them up by `git checkout`"
    if own is None:
        remedy += ", or name a branch on which a scheduled retraining commits what it writes (`run.branch`)"
    return GitError(
        f"{_short(source)} was not taken in {place.root}, because of changes there that no commit holds ({listed}): "
        f"{remedy}."
    )


def _published(place: _Place, own: str | None) -> str | None:
    """Return the branch of its own as the server was last seen to have it, None if it had none."""
    name = f"refs/remotes/{place.remote}/{own}"
    if own is None or git.ask(place.root, "show-ref", "--verify", "--quiet", name) is None:
        return None
    return name


def _is_in(root: Path, commit: str, other: str) -> bool:
    return git.ask(root, "merge-base", "--is-ancestor", commit, other) is not None


def _short(source: str) -> str:
    return source.removeprefix("refs/remotes/")


def _top(root: Path) -> Path:
    return Path((git.ask(root, "rev-parse", "--show-toplevel") or "").rstrip("\n"))


def _written(root: Path) -> list[str]:
    """Return what runs have written and no commit holds, relative to the repository."""
    told = git.ask(root, "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all", "--", *WRITTEN)
    return [entry[3:] for entry in (told or "").split("\0")[:-1]]


def _known(root: Path) -> None:
    if git.unknown(root):
        raise GitError(
            f"git knows no name to commit with in {root}: `git config user.name NAME` and `git config user.email "
            "ADDRESS` there."
        )


class _SaidError(Exception):
    """What git said."""


def _over_network(root: Path, what: str, *arguments: str) -> None:
    _do(root, what, *arguments, seconds=_PATIENCE)


def _do(folder: Path, what: str, *arguments: str, seconds: float = git.SECONDS) -> None:
    """Let git do something.

    Raises:
        GitError: if it refuses; what it said is its cause.
    """
    program = shutil.which("git")
    if program is None:
        raise GitError(f"git is not installed, so it cannot {what}.")
    # In a session of its own: neither git nor ssh can ask at a terminal, where nobody may sit.
    process = subprocess.Popen(
        [program, *arguments], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, errors="replace", start_new_session=True,
        env=os.environ | {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "GIT_MERGE_AUTOEDIT": "no"},
    )  # fmt: skip
    try:
        printed, said = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise GitError(f"git did not {what} within {seconds:g} s: see to it that its server answers.") from None
    if process.returncode:
        raise GitError(f"git cannot {what}: {complaint(said or printed)}") from _SaidError(f"{said}\n{printed}")
