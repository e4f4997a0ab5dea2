"""What is taken from inside of DVC, which promises nothing of it between versions.

Its public API is its command line and ``dvc.api``; neither gives the file system of a remote, nor where the cache holds
an output. ``pyproject.toml`` bounds DVC to the minor version that this was written for, and ``tests/test_insides.py``
names what a newer one lacks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from analognas.causes import quoted, reached
from analognas.errors import WorkspaceError
from analognas.versioning.fetched import CachedObject

Item = TypeVar("Item")
Result = TypeVar("Result")

#: What its commands say, in their own words: of changes that a checkout would overwrite, and of files that neither
#: cache nor remote hold.
UNSAVED = "Can't remove the following unsaved files"
MISSING = "Missing cache files"
#: What SQLite says of a database that is damaged; DVC adds neither which one nor a remedy.
DAMAGED = ("database disk image is malformed", "file is not a database")


# What is no reason: a warning, or a line of a traceback.
_INSIDE = re.compile(r"Traceback|File |WARNING|.*Warning:")


class NoRemoteError(WorkspaceError):
    """No remote is named and there is no default one."""


@dataclass(frozen=True)
class Opened:
    """A remote of a repository, and what the repository has recorded in a workspace.

    ``path`` is its root on its file system ``fs``; ``worktree`` says whether it mirrors a work tree instead of holding
    objects, ``whole`` whether it shows a file only when all of it is there, as object stores do. ``targets`` is what is
    recorded, as arguments for DVC's commands, ``objects`` where the cache holds each of that, or would.
    """

    name: str
    path: str
    fs: Any
    worktree: bool
    whole: bool
    targets: tuple[str, ...]
    objects: tuple[CachedObject, ...]


def open_remote(root: Path, name: str | None, site: str | None) -> Opened:
    """Open a remote of the repository that a workspace is in.

    Args:
        root: the workspace.
        name: the remote; None: the default one.
        site: where DVC is to keep its index; None: where it is configured.

    Raises:
        NoRemoteError: if no remote is named and there is no default one.
        WorkspaceError: if there is no such remote, a package for it is missing, or DVC refuses.
    """
    from dvc.config import NoRemoteError as NoDvcRemoteError
    from dvc.config import RemoteNotFoundError
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc_objects.fs.base import ObjectFileSystem
    from dvc_objects.fs.errors import RemoteMissingDepsError

    known = ""
    try:
        with Repo(str(root), config=None if site is None else {"core": {"site_cache_dir": site}}) as repo:
            known = ", ".join(sorted(repo.config["remote"]))
            remote = repo.cloud.get_remote(name)
            stages = [stage for stage in repo.index.stages if _is_target(stage, root.resolve())]
            targets = tuple(sorted(_target(stage, root.resolve()) for stage in stages))
            objects = tuple(_cached(out) for stage in stages for out in stage.outs if out.use_cache)
    except NoDvcRemoteError:
        remedy = f"name one with --remote ({known})" if known else "`dvc remote add -d team ssh://HOST/FOLDER`"
        remedy += " or `dvc remote default NAME`" if known else " (or a local folder, or s3://BUCKET/FOLDER)"
        raise NoRemoteError(f"No DVC remote is set in {root}: {remedy}.") from None
    except RemoteNotFoundError:
        raise WorkspaceError(f"There is no DVC remote '{name}' (known: {known or 'none'}).") from None
    except (ImportError, RemoteMissingDepsError) as error:
        named = re.search(r"\bdvc-\w+", str(error))
        package = named[0] if named else f"dvc-{getattr(error, 'protocol', 'all')}"
        package = "analognas[ssh]" if package == "dvc-ssh" else package
        raise WorkspaceError(
            f"The DVC remote needs a package that is not installed: pip install '{package}'."
        ) from None
    except (DvcException, OSError) as error:
        raise WorkspaceError(
            f"DVC cannot work in {root} ({reason_of(error)}): look into .dvc/config, and see `dvc remote list`."
        ) from None
    fs: Any = remote.fs
    worktree = bool(remote.worktree) or not fs.CAN_TRAVERSE
    return Opened(remote.name, remote.path, fs, worktree, isinstance(fs, ObjectFileSystem), targets, objects)


def side_by_side(fs: Any, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield the results of ``work`` in any order, computed in as many threads as suit a remote's file system."""
    from dvc_objects.executors import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=fs.jobs, cancel_on_error=True) as pool:
        yield from pool.imap_unordered(work, items)


def default_site_cache(configured: str | None) -> str:
    """Return where DVC keeps its index by itself, or as it is configured."""
    from dvc.dirs import site_cache_dir

    return str(site_cache_dir(configured))


def complaint(text: str) -> str:
    """Return what DVC or git said was wrong, from all that a command printed, as a sentence without secrets."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    named = [line.removeprefix("ERROR: ") for line in lines if line.startswith(("ERROR: ", "fatal: "))]
    text = next((line for line in named or lines if not _INSIDE.match(line)), "")
    if not text:
        return "it gave no reason; call it yourself to see more."
    return f"it says {quoted(text, longest=300)}."


def reason_of(error: BaseException | str) -> str:
    """Return what an error of a remote's library means, for the middle of a sentence."""
    away = reached(error) if isinstance(error, BaseException) else None
    if away is not None:
        return f"it {away}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return f"its library says {quoted(error)}"


def _is_target(stage: Any, root: Path) -> bool:
    """Return whether DVC has recorded all that a stage of a workspace wrote."""
    outs = [out for out in stage.outs if out.use_cache]
    return bool(outs) and all(out.hash_info for out in outs) and Path(stage.path).is_relative_to(root)


def _target(stage: Any, root: Path) -> str:
    name = getattr(stage, "name", None)
    return str(Path(stage.path).relative_to(root)) + (f":{name}" if name else "")


def _cached(out: Any) -> CachedObject:
    value = str(out.hash_info.value)
    return CachedObject(value, Path(out.cache.oid_to_path(value)), lines=out.hash_info.name == "md5-dos2unix")
