"""What is asked of git: the commit that a workspace is at, whether git would keep what it needs, and a first commit.

git runs as a program. Its index is the user's: nothing is added to it but the files of a new workspace, and only where
nothing else waits there.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from analognas.errors import WorkspaceError

#: What git holds of a workspace: a file of each kind that may not be there yet, and how it is written in a rule.
KEPT = {
    "params.yaml": "params.yaml",
    "dvc.yaml": "dvc.yaml",
    "dvc.lock": "dvc.lock",
    "prefect.yaml": "prefect.yaml",
    "flows/any.py": "flows/*.py",
    "data/dataset.json": "data/dataset.json",
    "data/environment.json": "data/environment.json",
    "data/metrics/any.json": "data/metrics/*.json",
    "data/rounds/any.json": "data/rounds/*.json",
    ".dvc/config": ".dvc/config",
}
#: Without these DVC records nothing: it refuses files of its own that git ignores.
_NEEDED = ("dvc.yaml", "dvc.lock", ".dvc/config")
#: Seconds for a call that needs no network.
SECONDS = 60


@dataclass(frozen=True)
class Ignored:
    """A file that git ignores, and the line of the file that says so."""

    name: str
    file: Path
    line: int
    rule: str


@dataclass(frozen=True)
class Commit:
    """A commit of git.

    Attributes:
        sha: its hexadecimal digits.
        dirty: whether a tracked file of the workspace differs from it.
    """

    sha: str
    dirty: bool

    @property
    def short(self) -> str:
        """The digits by which people call it, with a mark if files differ from it."""
        return f"{self.sha[:9]}{'+' if self.dirty else ''}"


def commit_of(root: Path) -> Commit | None:
    """Return the commit that the files of a workspace are at, None without git or a first commit."""
    sha = (ask(root, "rev-parse", "--quiet", "--verify", "HEAD") or "").strip()
    if not sha:
        return None
    # The lock is optional: it only refreshes what git remembers of files, and another program may hold it.
    changed = ask(root, "--no-optional-locks", "status", "--porcelain", "--untracked-files=no", "--", ".")
    return Commit(sha, bool(changed))


def ignored(root: Path) -> list[Ignored]:
    """Return what git would not keep of a workspace, there or not yet; nothing without git or a repository."""
    folder = next(place for place in (root, *root.parents) if place.is_dir())
    top = ask(folder, "rev-parse", "--show-toplevel")
    if top is None:
        return []
    names = {str((root / name).relative_to(folder)): name for name in KEPT}
    told = ask(folder, "check-ignore", "-z", "--verbose", "--stdin", text="\0".join(names)) or ""
    fields = told.split("\0")[:-1]
    return [
        Ignored(names[name], Path(top.rstrip("\n")) / file, int(line), rule)
        for file, line, rule, name in zip(fields[::4], fields[1::4], fields[2::4], fields[3::4], strict=True)
        if not rule.startswith("!")
    ]


def refuse_ignored(root: Path, called: Path | None = None) -> None:
    """Refuse a folder in which DVC can record nothing, because git ignores it or DVC's own files.

    ``called`` is what it will be called, where that is not what it is called now.

    Raises:
        WorkspaceError: with the rule, and the file and line that it stands in.
    """
    needed = [entry for entry in ignored(root) if entry.name in _NEEDED]
    if not needed:
        return
    first, root = needed[0], called or root
    what = str(root) if len(needed) == len(_NEEDED) else str(root / first.name)
    remedy = "name a folder elsewhere, or take" if what == str(root) else "take"
    raise WorkspaceError(
        f"git ignores {what}, by the rule '{first.rule}' in line {first.line} of {first.file}, and DVC records nothing "
        f"there: {remedy} that rule away."
    )


def lost(root: Path) -> list[str]:
    """Return a sentence for each rule by which a clone would lack what the workspace needs."""
    rules: dict[tuple[Path, int, str], list[str]] = {}
    for entry in ignored(root):
        rules.setdefault((entry.file, entry.line, entry.rule), []).append(entry.name)
    return [
        f"git ignores {_listed(names)}, by the rule '{rule}' in line {line} of {file}, so a clone lacks what is "
        f"written there: take that rule away, or add {' and '.join(_kept_again(root, names))} at the end of "
        f"{root / '.gitignore'}."
        for (file, line, rule), names in rules.items()
    ]


def first_commit(root: Path) -> None:
    """Commit the files of a new workspace, and no other ones, where that can be done without asking anybody.

    It is left to the user where git does not know her, other changes wait in the index, or git is in the middle of
    something; :func:`uncommitted` tells that.
    """
    top = ask(root, "rev-parse", "--show-toplevel")
    if top is None or unknown(root) or not uncommitted(root):
        return
    staged = ask(root, "diff", "--cached", "--name-only", "-z")
    resolved = root.resolve()
    if staged is None or any(
        not (Path(top.rstrip("\n")) / name).is_relative_to(resolved) for name in staged.split("\0")[:-1]
    ):
        return
    folder = Path((ask(root, "rev-parse", "--absolute-git-dir") or "").rstrip("\n"))
    if any((folder / name).exists() for name in ("MERGE_HEAD", "rebase-merge", "rebase-apply", "CHERRY_PICK_HEAD")):
        return
    if ask(root, "add", "--", ".") is not None:
        ask(root, "commit", "--quiet", "--message", f"A workspace of analognas: {root.name}", "--", ".")


def uncommitted(root: Path) -> str | None:
    """Return a sentence if no commit holds the workspace, so that there is nothing to compare with, else None."""
    if ask(root, "rev-parse", "--git-dir") is None or ask(root, "cat-file", "-e", "HEAD:./dvc.yaml") is not None:
        return None
    place = shlex.quote(str(root))
    who = " git config --global user.name NAME; git config --global user.email ADDRESS;" if unknown(root) else ""
    return (
        f"No commit holds {root} yet, so `dvc metrics diff` has nothing to compare with:{who} git add {place} && git "
        f"commit {place}."
    )


def unknown(root: Path) -> bool:
    """Return whether git has been told no name or address to commit with; what it would guess counts for nothing."""
    asked = ("-c", "user.useConfigOnly=true", "var")
    return any(ask(root, *asked, who) is None for who in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"))


def _kept_again(root: Path, names: Sequence[str]) -> list[str]:
    """Return the rules that let git keep files again: one for a folder, if the folder is ignored as a whole."""
    again: dict[str, None] = {}
    for name in names:
        folders = [place.as_posix() for place in reversed(Path(name).parents) if place != Path()]
        whole = next((place for place in folders if _is_ignored(root, f"{place}/")), None)
        again[f"!/{whole}/" if whole else f"!/{KEPT[name]}"] = None
    return list(again)


def _is_ignored(root: Path, name: str) -> bool:
    return ask(root, "check-ignore", "--quiet", name) is not None


def _listed(names: Sequence[str]) -> str:
    shown = [KEPT[name] for name in names]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def ask(folder: Path, *arguments: str, text: str = "") -> str | None:
    """Return what git prints in a folder; None if it says no or fails, or is not there."""
    printed = ask_bytes(folder, *arguments, given=os.fsencode(text))
    return None if printed is None else os.fsdecode(printed)


def ask_bytes(folder: Path, *arguments: str, given: bytes = b"") -> bytes | None:
    """Return what ``ask`` does, byte for byte: the content of files."""
    program = shutil.which("git")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, *arguments], cwd=folder, input=given, capture_output=True, check=False,
            timeout=SECONDS, env=os.environ | {"GIT_TERMINAL_PROMPT": "0"},
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
