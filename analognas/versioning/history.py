"""What git remembers of a workspace: the commits that changed its runs, and the files that each of them holds."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from analognas.errors import CorruptFileError
from analognas.files import inside, write_bytes
from analognas.versioning import git

#: What a run leaves in git: ``dvc.lock`` is another one after every run that did anything.
_RUNS = ("dvc.lock", "data/metrics/train.json")
#: The references that are followed: branches, those of servers, and DVC's experiments.
_REFERENCES = ("HEAD", "--branches", "--remotes", "--glob=refs/exps/[0-9a-f][0-9a-f]/*")


@dataclass(frozen=True)
class Kept:
    """A commit: its hexadecimal digits, when it was made (UTC), and the first line of its message."""

    sha: str
    when: datetime
    subject: str


def commits(root: Path, most: int) -> list[Kept]:
    """Return the newest commits that changed what runs leave in a workspace, newest first; none outside of git."""
    told = git.ask(root, "log", f"--max-count={most}", "-z", _FORMAT, *_REFERENCES, "--", *_RUNS)
    return [_kept(entry) for entry in (told or "").split("\0") if entry]


def named(root: Path, name: str) -> Kept | None:
    """Return the commit that somebody calls so (a branch, a tag, ``HEAD~2``, some digits); None if there is none."""
    if name.startswith("-"):  # an option of git
        return None
    told = git.ask(root, "rev-parse", "--quiet", "--verify", "--end-of-options", f"{name}^{{commit}}")
    if not told:
        return None
    return _kept((git.ask(root, "log", "--max-count=1", "-z", _FORMAT, told.strip()) or "").strip("\0"))


def extract(root: Path, sha: str, to: Path, names: Sequence[str]) -> None:
    """Write files of a workspace as a commit holds them.

    Args:
        root: the workspace.
        sha: the commit.
        to: the folder below which they are written, as in the workspace.
        names: of files, or of folders whose files are all meant; what the commit lacks is left out.

    Raises:
        CorruptFileError: if git cannot give one of them.
    """
    listed = git.ask_bytes(root, "ls-tree", "-r", "-z", sha, "--", *names)
    entries = [entry.split(b"\t", 1) for entry in (listed or b"").split(b"\0")[:-1]]
    places = {os.fsdecode(path): described.split()[2] for described, path in entries}
    remedy = f"see `git fsck` in {root}"
    for path, content in zip(places, _contents(root, list(places.values())), strict=True):
        if content is None:
            raise CorruptFileError(f"git cannot give {path} of the commit {sha[:9]}: {remedy}.")
        write_bytes(inside(to, path, remedy=remedy), content)


def _contents(root: Path, blobs: Sequence[bytes]) -> Iterator[bytes | None]:
    """Yield what blobs hold, from one process of git; None for each from the first on that it cannot give."""
    told = git.ask_bytes(root, "cat-file", "--batch", given=b"".join(blob + b"\n" for blob in blobs)) or b""
    for blob in blobs:
        # "SHA blob SIZE", a line feed, so many bytes, a line feed; or "SHA missing"
        header, _, told = told.partition(b"\n")
        words = header.split()
        if len(words) != 3 or words[:2] != [blob, b"blob"] or len(told) < int(words[2]):
            told = b""
            yield None
            continue
        yield told[: int(words[2])]
        told = told[int(words[2]) + 1 :]


_FORMAT = "--format=%H%x1f%ct%x1f%s"


def _kept(entry: str) -> Kept:
    sha, when, subject = entry.split("\x1f")
    return Kept(sha, datetime.fromtimestamp(int(when), UTC), subject)
