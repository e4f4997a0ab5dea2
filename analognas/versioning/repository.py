"""What the drivers ask of DVC: what is up to date, and to record what a stage wrote.

DVC runs as a program (``python -m dvc``): a call takes about a second, so questions about several stages are one
call. Its stage scheduler is never used here, and git is touched by :meth:`Versioning.init` only.
"""

from __future__ import annotations

import configparser
import contextlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analognas.errors import StageError, WorkspaceError
from analognas.files import write_text
from analognas.versioning.dvc_inside import DAMAGED, complaint, default_site_cache
from analognas.versioning.fetched import CachedObject, put
from analognas.versioning.lock import Lock

#: Seconds, longer than any single call, shorter than for ever: a call may wait for the lock of another DVC command.
_TIMEOUT = 600
#: As the configuration of this package's own repository: nothing calls home, nothing touches git's index.
_SITE_CACHE = ("core", "site_cache_dir")
#: What DVC says of an output that its cache lacks, whether it is here or not.
NOT_IN_CACHE = ": not in cache"
_IGNORED = "/config.local\n/tmp\n/cache\n"
_CONFIG = "[core]\n    analytics = false\n    check_update = false\n    autostage = false\n"

#: What DVC says of a file that it cannot use.
_BROKEN = re.compile(r"'(?:\./)?(dvc\.(?:yaml|lock))' (?:is invalid|validation failed)")


class Versioning(Lock):
    """DVC in one workspace.

    Args:
        root: the workspace, a folder with ``dvc.yaml`` inside a DVC repository.
    """

    @classmethod
    def find(cls, workspace: Path) -> Versioning | None:
        """Return DVC in ``workspace``, or None where it cannot be used (:meth:`problem` says why)."""
        return None if cls.problem(workspace) else cls(workspace)

    @staticmethod
    def problem(workspace: Path) -> str | None:
        """Return why nothing can be versioned in ``workspace``, with the remedy; None if all is well."""
        if importlib.util.find_spec("dvc") is None:
            return "DVC is not installed: pip install dvc"
        repository = _above(workspace, ".dvc")
        if repository is None:
            return f"{workspace} is not in a DVC repository: run `git init` (unless it is in git) and `dvc init` there"
        if _above(repository, ".git") is None and not _without_git(repository):
            return f"{repository} is not in a git repository: run `git init` there"
        return None

    @classmethod
    def init(cls, workspace: Path) -> Versioning | None:
        """Make ``workspace`` a DVC repository, and a git repository unless it is in one; None where that cannot be.

        Raises:
            WorkspaceError: if git or DVC refuse.
        """
        git = shutil.which("git")
        if git is None or importlib.util.find_spec("dvc") is None:
            return None
        if not (workspace / ".dvc").is_dir():
            inside = _above(workspace, ".git")
            if inside is None:
                _checked([git, "init", "--quiet", str(workspace)], workspace, WorkspaceError)
            # As if there were no git, and then with it: DVC would add its files to the index of the repository around
            # the workspace, under the name that the folder has while it is built.
            cls(workspace)._dvc("init", "--no-scm", "--quiet", error=WorkspaceError)
            write_text(workspace / ".dvc" / "config", _CONFIG)
            write_text(workspace / ".dvc" / ".gitignore", _IGNORED)
        return cls.find(workspace)

    def status(self, stages: Sequence[str]) -> dict[str, list[str]]:
        """Return why each of ``stages`` is not up to date; a stage that is up to date has no reasons.

        A stage whose outputs are here as they were recorded is up to date also if DVC's cache has lost them: it gets
        them again.

        Raises:
            StageError: if DVC fails.
            CorruptFileError: if ``dvc.lock`` is damaged.
        """
        self.stages()  # a damaged one is named here: DVC only says that it cannot be parsed
        reasons = self._asked(stages)
        lost = [stage for stage in stages if any(reason.endswith(NOT_IN_CACHE) for reason in reasons[stage])]
        if not lost:
            return reasons
        for stage in lost:
            # Without --force DVC refuses where a file, a parameter or an input is another one now.
            with contextlib.suppress(StageError):
                self._dvc("commit", stage, timeout=None)
        return reasons | self._asked(lost)

    def _asked(self, stages: Sequence[str]) -> dict[str, list[str]]:
        output = self._dvc("status", "--json", *stages)
        answer: dict[str, Any] = {}
        for line in output.splitlines():  # anything else that DVC says is not JSON
            if line.startswith("{"):
                answer = json.loads(line)
        changes = {name.rpartition(":")[2]: entries for name, entries in answer.items()}
        return {stage: _reasons(changes.get(stage, [])) for stage in stages}

    def looked(self, stages: Sequence[str]) -> dict[str, list[str]]:
        """Return what :meth:`status` does, and repair nothing: an output that the cache has lost is a reason."""
        self.stages()
        return self._asked(stages)

    def commit(self, *stages: str) -> None:
        """Record in ``dvc.lock`` what stages have just read and written, and keep their outputs in the cache."""
        self._dvc("commit", "--force", *stages, timeout=None)  # a push may take long, and a stage may be hours of work

    def checkout(self, *stages: str) -> None:
        """Bring here what ``dvc.lock`` names of stages, as far as DVC's cache has it; what is there is overwritten."""
        # DVC ends with an error where its cache lacks something, and the rest is here then.
        with contextlib.suppress(StageError):
            self._dvc("checkout", "--force", *(f"dvc.yaml:{stage}" for stage in stages), timeout=None)

    def kept(self, md5: str, to: Path) -> bool:
        """Write below a new folder what DVC's cache holds of a folder; return whether it has all of it.

        Args:
            md5: hash of the folder in a ``dvc.lock``, of whatever commit.
            to: where it is written, whole or not at all.

        Raises:
            StageError: if DVC fails.
        """
        cache = Path(self._dvc("cache", "dir").strip()) / "files" / "md5"
        return put(CachedObject(md5, cache / md5[:2] / md5[2:]), to)

    def _dvc(
        self,
        *arguments: str,
        error: type[StageError | WorkspaceError] = StageError,
        timeout: float | None = _TIMEOUT,
    ) -> str:
        command = [sys.executable, "-m", "dvc", "--wait-for-lock", *arguments]
        return _checked(command, self.root, error, timeout)


def called_by_dvc() -> bool:
    """Return whether this process is the command of a stage that DVC runs: it records that itself, under its lock."""
    return bool(os.environ.get("DVC_STAGE"))


def dvc_environment(workspace: Path) -> dict[str, str]:
    """Return the environment for DVC's commands in a workspace."""
    return os.environ | {
        "DVC_NO_ANALYTICS": "true",
        "PYTHONWARNINGS": "ignore",
        **({} if (site := site_cache(workspace)) is None else {"DVC_SITE_CACHE_DIR": site}),
    }


def site_cache(workspace: Path) -> str | None:
    """Return where DVC is to keep its index of a workspace; None where the user has said so, or there is no DVC.

    By itself it keeps it in ``/var/tmp/dvc``, as pickles, in a folder that everybody on the machine can write.
    """
    repository = _above(workspace, ".dvc")
    if repository is None or os.environ.get("DVC_SITE_CACHE_DIR") or _config(repository).has_option(*_SITE_CACHE):
        return None
    return str(repository / ".dvc" / "tmp" / "site")


def certainly_stale(reasons: Sequence[str]) -> bool:
    """Return whether a stage must run whatever the stages before it write."""
    return any(not reason.startswith("input ") for reason in reasons)


def _reasons(entries: Sequence[Any]) -> list[str]:
    reasons = []
    for entry in entries:
        if isinstance(entry, str):  # "changed command", "always changed"
            reasons.append(entry)
            continue
        for path, change in entry.get("changed deps", {}).items():
            if isinstance(change, dict):  # a file of parameters: the keys that changed
                reasons += [f"parameter {key} of {path}: {what}" for key, what in change.items()]
            elif change == "new":
                reasons.append("it has not run yet")
            else:
                reasons.append(f"input {path}: {change}")
        reasons += [f"output {path}: {change}" for path, change in entry.get("changed outs", {}).items()]
        if "changed command" in entry:
            reasons.append("changed command")
    return list(dict.fromkeys(reasons))


def _checked(
    command: Sequence[str],
    folder: Path,
    error: type[StageError | WorkspaceError],
    timeout: float | None = _TIMEOUT,
) -> str:
    program = "git" if "dvc" not in command else "DVC"
    what = " ".join(part for part in command[1:] if part not in ("-m", "dvc", "--wait-for-lock", "--quiet"))
    try:
        done = subprocess.run(
            command, cwd=folder, env=dvc_environment(folder), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False, timeout=timeout,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise error(
            f"{program} did not finish `{what}` in {_TIMEOUT // 60} minutes: "
            "end the other DVC command that works in this repository, then run again."
        ) from None
    if done.returncode:
        if any(sign in done.stderr for sign in DAMAGED):
            raise error(
                f"DVC failed at `{what}`, because its memo of file hashes is damaged: delete {_memo(folder)}, "
                "which DVC makes anew, then run again."
            )
        broken = _BROKEN.search(done.stderr)
        if broken:
            other = "delete it and run again" if broken[1] == "dvc.lock" else "take that of a new `analognas init`"
            raise WorkspaceError(f"{folder / broken[1]} is damaged: restore it from git, or {other}.")
        raise error(f"{program} failed at `{what}`: {complaint(done.stderr or done.stdout)}")
    return done.stdout


def _memo(workspace: Path) -> Path:
    """Return the folder in which DVC remembers the hashes of files; no result is in it."""
    repository = _above(workspace, ".dvc")
    configured = None if repository is None else _config(repository).get(*_SITE_CACHE, fallback=None)
    return Path(site_cache(workspace) or default_site_cache(configured)) / "repo"


def _above(folder: Path, name: str) -> Path | None:
    return next((parent for parent in (folder, *folder.parents) if (parent / name).exists()), None)


def _without_git(repository: Path) -> bool:
    try:
        return _config(repository).getboolean("core", "no_scm", fallback=False)
    except (configparser.Error, ValueError):
        return False


def _config(repository: Path) -> configparser.ConfigParser:
    config = configparser.ConfigParser(interpolation=None)
    with contextlib.suppress(configparser.Error, UnicodeDecodeError):  # DVC says what is wrong with it
        config.read([repository / ".dvc" / "config", repository / ".dvc" / "config.local"])
    return config
