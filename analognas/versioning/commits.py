"""The commit that a workspace is at, for records of what was run: git is asked, and never told."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

_SECONDS = 20


@dataclass(frozen=True)
class Commit:
    """A commit of git.

    Attributes:
        sha: its 40 hexadecimal digits.
        dirty: whether a tracked file differs from it.
    """

    sha: str
    dirty: bool

    @property
    def short(self) -> str:
        """The digits by which people call it, with a mark if files differ from it."""
        return f"{self.sha[:9]}{'+' if self.dirty else ''}"


def commit_of(root: Path) -> Commit | None:
    """Return the commit that the files of a folder are at, None without git or a first commit."""
    sha = _asked(root, "rev-parse", "--verify", "HEAD")
    if not sha:
        return None
    return Commit(sha, bool(_asked(root, "status", "--porcelain", "--untracked-files=no", "--", ".")))


def _asked(root: Path, *arguments: str) -> str | None:
    # The lock is optional: it only refreshes what git remembers of files, and another program may hold it.
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
