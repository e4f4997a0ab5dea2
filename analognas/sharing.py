"""What a team shares: ``analognas push`` and ``analognas pull`` over a DVC remote.

What stages wrote travels by ``dvc push`` and ``dvc pull``. Results of characterizations are never added to DVC;
they travel here, through the file system that DVC opens for the remote (a folder, SSH, an object store). There
they are a set that only grows: ``analognas/results/KEY-DIGEST.json``, one file for each result, named by its key
and the digest of its content, never changed and never removed. So one listing tells all that is missing, pushes
at the same time cannot disturb each other, and in whatever order stores meet, they end up equal. Which of several
results of one key is used follows from their digests (``ResultStore.take``).
"""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from analognas.errors import AnalogNASError, CorruptFileError, WorkspaceError
from analognas.files import json_bytes
from analognas.results import ResultStore, checked_record, result_key
from analognas.stages import Progress, silent
from analognas.versioning import Versioning
from analognas.workspace import Paths

#: A result on a remote or in a store: its key and the digest of its content.
Entry = tuple[str, str]

_FOLDER = ("analognas", "results")
_NAME = re.compile(r"([0-9a-f]{64})-([0-9a-f]{64})\.json")
_TEMPORARY = ".tmp-"
# So many failures without one success are enough to tell that the rest would fail too.
_HOPELESS = 16
_UNSAVED = "Can't remove the following unsaved files"
_MISSING = "Missing cache files"


class SharingError(AnalogNASError):
    """A remote cannot be reached, read or written."""


@dataclass
class Exchange:
    """What a push or a pull did.

    Attributes:
        direction: ``push`` or ``pull``.
        remote: the DVC remote.
        copied: results that were copied now.
        known: results that were there already.
        replaced: of the copied, those that took the place of another result of their key (pull).
        replicates: of the copied, those that are kept beside the result of their key (pull).
        data: what became of what DVC tracks.
        problems: what could not be copied and why, one sentence each.
    """

    direction: str
    remote: str
    copied: int = 0
    known: int = 0
    replaced: int = 0
    replicates: int = 0
    data: str = ""
    problems: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)

    def __str__(self) -> str:
        verb, side = ("Pushed", "to") if self.direction == "push" else ("Pulled", "from")
        text = f"{verb} {_results(self.copied)} {side} {self.remote} ({self.known:,} were there already)"
        if self.replaced or self.replicates:
            text += f"; {self.replaced} took the place of another platform's, {self.replicates} are kept as replicates"
        return f"{text}. {self.data}".strip()


def push(paths: Paths, remote: str | None = None, progress: Progress = silent) -> Exchange:
    """Copy to a DVC remote what it lacks: results first, then what stages wrote.

    Args:
        paths: the workspace.
        remote: name of a DVC remote; None: the default one.
        progress: told how many results are copied.

    Raises:
        WorkspaceError: if there is no DVC repository or no such remote.
        SharingError: if the remote cannot be reached or written.
    """
    there = _Remote(paths.root, remote)
    store = ResultStore.of(paths.root)
    done = Exchange("push", there.name)
    here, damaged = _inventory(store)
    done.problems += damaged.values()
    listed = there.entries()
    # A file of another length is one that was cut short there: the whole one takes its place.
    missing = [entry for entry, size in here.items() if listed.get(entry, -1) not in (size, None)]
    done.known = len(here) - len(missing)

    def send(entry: Entry) -> str:
        there.write(entry, json_bytes(_record(store, entry)))
        return "new"

    if missing:
        there.prepare()
    _transfer(there, "push", missing, send, done, progress)
    _share_data(there, paths, done, progress)
    return done


def pull(paths: Paths, remote: str | None = None, progress: Progress = silent, *, data: bool = True) -> Exchange:
    """Copy from a DVC remote what this workspace lacks: results first, then what stages wrote.

    Outputs of stages that are in no version are never overwritten: then nothing of the data is taken.

    Args:
        paths: the workspace.
        remote: name of a DVC remote; None: the default one.
        progress: told how many results are copied.
        data: whether to take what stages wrote, too.

    Raises:
        WorkspaceError: if there is no DVC repository or no such remote, or the store cannot be written.
        SharingError: if the remote cannot be reached.
    """
    there = _Remote(paths.root, remote)
    store = ResultStore.of(paths.root)
    done = Exchange("pull", there.name)
    listed = there.entries()
    store.settle()
    here, damaged = _inventory(store)
    missing = sorted(entry for entry in listed if entry not in here)
    done.known = len(listed) - len(missing)

    def receive(entry: Entry) -> str:
        outcome = store.take(there.read(entry))
        if outcome == "restored":
            damaged.pop(entry[0], None)
        return outcome

    _transfer(there, "pull", missing, receive, done, progress)
    done.problems += damaged.values()
    if data:
        _share_data(there, paths, done, progress)
    return done


def refresh(paths: Paths) -> str | None:
    """Pull results if a default remote is set; return what went wrong, one sentence, or None."""
    if Versioning.problem(paths.root) is not None:
        return None
    try:
        done = pull(paths, data=False)
    except NoRemote:
        return None
    except AnalogNASError as error:
        return f"Shared results were not fetched: {error}"
    return f"Not all shared results were fetched: {done.problems[0]}" if done.problems else None


class NoRemote(WorkspaceError):
    """No remote is named and there is no default one."""


class _Remote:
    """The results on a DVC remote.

    Args:
        root: the workspace.
        name: the remote; None: the default one.
    """

    def __init__(self, root: Path, name: str | None) -> None:
        problem = Versioning.problem(root)
        if problem is not None:
            raise WorkspaceError(f"Sharing goes over DVC, but {problem}.")
        os.environ.setdefault("DVC_NO_ANALYTICS", "true")
        from dvc.config import NoRemoteError, RemoteNotFoundError
        from dvc.exceptions import DvcException
        from dvc.repo import Repo
        from dvc_objects.fs.base import ObjectFileSystem
        from dvc_objects.fs.errors import RemoteMissingDepsError

        try:
            with Repo(str(root)) as repo:
                known = ", ".join(sorted(repo.config["remote"]))
                found = repo.cloud.get_remote(name)
                self.targets = sorted(_targets(repo.index.stages, root.resolve()))
        except NoRemoteError:
            remedy = f"name one with --remote ({known})" if known else "`dvc remote add -d team ssh://HOST/FOLDER`"
            remedy += " or `dvc remote default NAME`" if known else " (or a local folder, or s3://BUCKET/FOLDER)"
            raise NoRemote(f"No DVC remote is set in {root}: {remedy}.") from None
        except RemoteNotFoundError:
            raise WorkspaceError(f"There is no DVC remote '{name}' (known: {known or 'none'}).") from None
        except RemoteMissingDepsError as error:
            package = "analognas[ssh]" if error.protocol == "ssh" else f"dvc[{error.protocol}]"
            raise WorkspaceError(
                f"The DVC remote needs a package for {error.protocol}: pip install '{package}'."
            ) from None
        except DvcException as error:
            raise WorkspaceError(f"DVC cannot work in {root}: {_reason(error)}.") from None
        self.name: str = found.name
        self.fs: Any = found.fs
        if found.worktree or not self.fs.CAN_TRAVERSE:
            raise WorkspaceError(
                f"The DVC remote '{self.name}' cannot hold results (it is a worktree, or cannot be listed): "
                "use a folder, SSH or an object store."
            )
        self._folder: str = self.fs.join(found.path, *_FOLDER)
        # An object store shows an object when it is whole; elsewhere a file is renamed when it is.
        self._whole = isinstance(self.fs, ObjectFileSystem)

    def entries(self) -> dict[Entry, int | None]:
        """Return all results there with their sizes in bytes, where these are told, by one listing.

        Raises:
            SharingError: if the remote cannot be reached.
        """
        try:
            listed = self.fs.ls(self._folder, detail=True)
        except FileNotFoundError:
            return {}
        except Exception as error:
            raise SharingError(
                f"The DVC remote '{self.name}' cannot be read: {_reason(error)}; see `dvc remote list`."
            ) from error
        found: dict[Entry, int | None] = {}
        for info in listed:
            match = _NAME.fullmatch(self.fs.name(info["name"]))
            if match:
                found[match[1], match[2]] = info.get("size")
        return found

    def prepare(self) -> None:
        """Make the folder of the results.

        Raises:
            SharingError: if that cannot be.
        """
        try:
            self.fs.makedirs(self._folder, exist_ok=True)
        except Exception as error:
            raise self._unwritable(_reason(error)) from error

    def read(self, entry: Entry) -> dict[str, Any]:
        """Return the record of a result.

        Raises:
            CorruptFileError: if it is damaged, or not what its name says.
        """
        path = self._path(entry)
        remedy = "it was left out; delete it there, and whoever has this result pushes it again"
        try:
            record = json.loads(self.fs.cat_file(path))
        except (ValueError, RecursionError):
            record = None
        found = checked_record(record, path, remedy)
        if (result_key(found["inputs"]), found["digest"]) != entry:
            raise CorruptFileError(f"{path} holds the result of something else: {remedy}.")
        return found

    def write(self, entry: Entry, content: bytes) -> None:
        """Put a result there; it appears whole or not at all."""
        path = self._path(entry)
        if self._whole:
            self.fs.pipe_file(path, content)
            return
        temporary = self.fs.join(self._folder, f"{_TEMPORARY}{secrets.token_hex(8)}")
        try:
            with self.fs.open(temporary, "wb") as file:
                file.write(content)
            self.fs.mv(temporary, path)
        except BaseException:
            with suppress(Exception):
                self.fs.rm_file(temporary)
            raise

    def each(self, work: Callable[[Entry], str], entries: Iterable[Entry]) -> Iterator[tuple[Entry, str | Exception]]:
        """Do ``work`` for many results side by side; yield what it returned or raised, in any order."""
        from dvc_objects.executors import ThreadPoolExecutor

        def guarded(entry: Entry) -> tuple[Entry, str | Exception]:
            try:
                return entry, work(entry)
            except Exception as error:
                return entry, error

        with ThreadPoolExecutor(max_workers=self.fs.jobs, cancel_on_error=True) as pool:
            yield from pool.imap_unordered(guarded, entries)

    def hopeless(self, direction: str, reason: str) -> SharingError:
        """Return the error for a remote that takes or gives nothing."""
        if direction == "push":
            return self._unwritable(reason)
        return SharingError(f"The DVC remote '{self.name}' cannot be read: {reason}; see `dvc remote list`.")

    def _unwritable(self, reason: str) -> SharingError:
        return SharingError(
            f"The DVC remote '{self.name}' cannot be written: {reason}; ask its owner for write access, or free space."
        )

    def _path(self, entry: Entry) -> str:
        return str(self.fs.join(self._folder, f"{entry[0]}-{entry[1]}.json"))


def _inventory(store: ResultStore) -> tuple[dict[Entry, int], dict[str, str]]:
    """Return all whole results of a store with their sizes in bytes, and a sentence about each damaged one by key."""
    found: dict[Entry, int] = {}
    damaged: dict[str, str] = {}
    listed: list[tuple[str, str | None]] = [(key, None) for key in store.keys()]
    for key, replicate in [*listed, *store.replicates()]:
        try:
            record = store.record(key) if replicate is None else store.replicate(key, replicate)
        except CorruptFileError as error:
            damaged[key if replicate is None else f"{key}-{replicate}"] = str(error)
        else:
            found[key, record["digest"]] = len(json_bytes(record))
    return found, damaged


def _record(store: ResultStore, entry: Entry) -> dict[str, Any]:
    key, digest = entry
    if store.replicate_path(key, digest).exists():
        return store.replicate(key, digest)
    record = store.record(key)
    # Another pull may just have made it a replicate.
    return record if record["digest"] == digest else store.replicate(key, digest)


def _transfer(
    there: _Remote,
    direction: str,
    missing: list[Entry],
    work: Callable[[Entry], str],
    done: Exchange,
    progress: Progress,
) -> None:
    failures: Counter[str] = Counter()
    for count, (_, outcome) in enumerate(there.each(work, missing), start=1):
        if isinstance(outcome, CorruptFileError):
            done.problems.append(str(outcome))
        elif isinstance(outcome, AnalogNASError):  # this machine's disk: no other result would fare better
            raise outcome
        elif isinstance(outcome, Exception):
            failures[_reason(outcome)] += 1
            if not done.copied and failures.total() >= min(_HOPELESS, len(missing)):
                raise there.hopeless(direction, failures.most_common(1)[0][0]) from outcome
        else:
            done.copied += outcome != "known"
            done.replaced += outcome == "replaced"
            done.replicates += outcome == "replicate"
        progress(count, len(missing), f"results, {there.name}")
    for reason, count in failures.most_common():
        done.problems.append(f"{_results(count)} could not be copied ({reason}): {direction} again.")


def _share_data(there: _Remote, paths: Paths, done: Exchange, progress: Progress) -> None:
    """Let DVC push or pull what it has recorded of this workspace."""
    if not there.targets:
        done.data = "Nothing is recorded in dvc.lock yet, so there is no data to share."
        return
    direction = done.direction
    progress(0, 1, f"data, {there.name}")
    ended = subprocess.run(
        [sys.executable, "-m", "dvc", "--wait-for-lock", direction, "--remote", there.name, *there.targets],
        cwd=paths.root, env=os.environ | {"DVC_NO_ANALYTICS": "true", "PYTHONWARNINGS": "ignore"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = [line.strip() for line in ended.stderr.splitlines() if line.strip()]
    if any(_UNSAVED in line for line in said):
        unsaved = [Path(line) for line in said if line.startswith(str(paths.root.resolve()))]
        names = ", ".join(str(path.relative_to(paths.root.resolve())) for path in unsaved[:3])
        names += f" and {len(unsaved) - 3} more" if len(unsaved) > 3 else ""
        done.data = "No data was taken."
        done.problems.append(
            f"No data was taken, because changes of yours would be overwritten ({names}): keep them by `dvc commit`, "
            "or give them up by `dvc checkout --force`, then pull again."
        )
    elif any(_MISSING in line for line in said):
        done.data = "Not all of the data is there."
        done.problems.append(
            f"Files that dvc.lock names are neither here nor on '{there.name}': "
            "whoever recorded them has to push them first."
        )
    elif ended.returncode:
        error = next((line for line in said if line.startswith("ERROR: ")), said[0] if said else "it gave no reason")
        done.data = "The data was not shared."
        done.problems.append(f"DVC failed to {direction} the data: {error.removeprefix('ERROR: ').rstrip('.')}.")
    else:
        lines = [line.strip() for line in ended.stdout.splitlines() if line.strip()]
        done.data = f"Data: {lines[-1].rstrip('.').lower() if lines else 'up to date'}."
    progress(1, 1, done.data)


def _targets(stages: Iterable[Any], root: Path) -> Iterator[str]:
    """Yield what DVC has recorded in a workspace, as arguments for its commands that run there."""
    for stage in stages:
        outs = [out for out in stage.outs if out.use_cache]
        path = Path(stage.path)
        if outs and all(out.hash_info for out in outs) and path.is_relative_to(root):
            name = getattr(stage, "name", None)
            yield str(path.relative_to(root)) + (f":{name}" if name else "")


def _results(count: int) -> str:
    return f"{count:,} result{'' if count == 1 else 's'}"


def _reason(error: BaseException) -> str:
    """Return the first line of an error, without what stands before an @ in an address (a password may)."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return re.sub(r"//[^/@\s]*@", "//", text.strip().splitlines()[0])[:200].rstrip(".").lower()
