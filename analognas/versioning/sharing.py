"""What a team shares: ``analognas push`` and ``analognas pull`` over a DVC remote.

What stages wrote travels by ``dvc push`` and ``dvc pull``. Results of characterizations are never added to DVC;
they travel here, through the file system that DVC opens for the remote (a folder, SSH, an object store). There
they are a set that only grows: ``analognas/results/KEY-DIGEST.json``, one file for each result, named by its key
and the digest of its content, never changed and never removed. So one listing tells all that is missing, pushes
at the same time cannot disturb each other, and in whatever order stores meet, they end up equal. Which of several
results of one key is used follows from their digests (``ResultStore.take``).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from analognas.errors import AnalogNASError, CorruptFileError, WorkspaceError
from analognas.files import json_bytes
from analognas.progress import Progress, silent
from analognas.results import Record, ResultStore
from analognas.versioning.dvc_inside import MISSING, UNSAVED, NoRemoteError, complaint, reason_of
from analognas.versioning.fetched import spoiled
from analognas.versioning.merging import install_driver
from analognas.versioning.remote import LARGEST, Entry, Remote
from analognas.versioning.repository import Versioning, dvc_environment
from analognas.workspace import Paths, alone

# So many failures without one success are enough to tell that the rest would fail too.
_HOPELESS = 16


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
    there = Remote(paths.root, remote)
    store = ResultStore.of(paths.home)
    done = Exchange("push", there.name)
    stored, damaged = _inventory(store)
    done.problems += damaged.values()
    listed = there.entries()
    # A file of another length is one that was cut short there: the whole one takes its place.
    missing = [entry for entry, size in stored.items() if listed.get(entry, -1) not in (size, None)]
    done.known = len(stored) - len(missing)

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

    Outputs of stages that are in no version are never overwritten: then nothing of the data is taken. Neither is it
    while a run works in the workspace.

    Args:
        paths: the workspace.
        remote: name of a DVC remote; None: the default one.
        progress: told how many results are copied.
        data: whether to take what stages wrote, too.

    Raises:
        WorkspaceError: if there is no DVC repository or no such remote, or the store cannot be written.
        SharingError: if the remote cannot be reached.
    """
    there = Remote(paths.root, remote)
    store = ResultStore.of(paths.home)
    done = Exchange("pull", there.name)
    install_driver(paths.root)  # a clone has not been told by `analognas init`
    listed = there.entries()
    store.settle()
    stored, damaged = _inventory(store)
    missing = sorted(entry for entry in listed if entry not in stored)
    done.known = len(listed) - len(missing)
    for entry in [entry for entry in missing if (listed[entry] or 0) > LARGEST]:
        missing.remove(entry)
        done.problems.append(f"{there.path(entry)} is too large for a result: it was left out; delete it there.")

    def receive(entry: Entry) -> str:
        outcome = store.take(there.read(entry))
        if outcome == "restored":
            damaged.pop(entry[0], None)
        return outcome

    _transfer(there, "pull", missing, receive, done, progress)
    done.problems += damaged.values()
    if data:
        try:
            with alone(paths):  # a stage that is going on would read one version and record another
                _share_data(there, paths, done, progress)
        except WorkspaceError as error:
            done.data = "No data was taken."
            done.problems.append(f"No data was taken: {error}")
    return done


def refresh(paths: Paths) -> str | None:
    """Pull results if a default remote is set; return what went wrong, one sentence, or None."""
    if Versioning.problem(paths.root) is not None:
        return None
    try:
        done = pull(paths, data=False)
    except NoRemoteError:
        return None
    except AnalogNASError as error:
        return f"Shared results were not fetched: {error}"
    return f"Not all shared results were fetched: {done.problems[0]}" if done.problems else None


def _inventory(store: ResultStore) -> tuple[dict[Entry, int], dict[str, str]]:
    """Return all whole results of a store with their sizes in bytes, and a sentence about each damaged one by key."""
    sizes: dict[Entry, int] = {}
    damaged: dict[str, str] = {}
    listed: list[tuple[str, str | None]] = [(key, None) for key in store.keys()]  # noqa: SIM118
    for key, replicate in [*listed, *store.replicates()]:
        try:
            record = store.record(key) if replicate is None else store.replicate(key, replicate)
        except CorruptFileError as error:
            damaged[key if replicate is None else f"{key}-{replicate}"] = str(error)
        else:
            sizes[key, record["digest"]] = len(json_bytes(record))
    return sizes, damaged


def _record(store: ResultStore, entry: Entry) -> Record:
    key, digest = entry
    if store.replicate_path(key, digest).exists():
        return store.replicate(key, digest)
    record = store.record(key)
    # Another pull may just have made it a replicate.
    return record if record["digest"] == digest else store.replicate(key, digest)


def _transfer(
    there: Remote,
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
            failures[reason_of(outcome)] += 1
            if not done.copied and failures.total() >= min(_HOPELESS, len(missing)):
                raise there.hopeless(direction, failures.most_common(1)[0][0]) from outcome
        else:
            done.copied += outcome != "known"
            done.replaced += outcome == "replaced"
            done.replicates += outcome == "replicate"
        progress(count, len(missing), f"results, {there.name}")
    for reason, count in failures.most_common():
        done.problems.append(f"{_results(count)} could not be copied ({reason}): {direction} again.")


def _share_data(there: Remote, paths: Paths, done: Exchange, progress: Progress) -> None:
    """Let DVC push or pull what it has recorded of this workspace."""
    if not there.targets:
        done.data = "Nothing is recorded in dvc.lock yet, so there is no data to share."
        return
    progress(0, 1, f"data, {there.name}")
    # A plain `dvc pull` removes the old output before it finds that the new one is missing.
    steps = [["fetch", "--remote", there.name], ["checkout"]] if done.direction == "pull" else []
    wrong: list[str] = []
    for step in steps or [["push", "--remote", there.name]]:
        # DVC remembers a listing that it fetched, whatever it is: not before it was looked at.
        with tempfile.TemporaryDirectory() as folder:
            site = {"DVC_SITE_CACHE_DIR": folder} if step[0] == "fetch" else {}
            ended = subprocess.run(
                [sys.executable, "-m", "dvc", "--wait-for-lock", *step, *there.targets],
                cwd=paths.root, env=dvc_environment(paths.root) | site,
                stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            )  # fmt: skip
        said = [line.strip() for line in ended.stderr.splitlines() if line.strip()]
        if step[0] == "fetch":
            wrong = spoiled(there.objects, paths.private() / "fetched.json")
        if wrong or ended.returncode or any(MISSING in line for line in said):
            break
    if wrong:
        names = ", ".join(wrong[:3]) + (f" and {len(wrong) - 3} more" if len(wrong) > 3 else "")
        done.data = "No data was taken."
        done.problems.append(
            f"No data was taken, because files on '{there.name}' are not what was recorded ({names}): delete them "
            "there, and whoever has them pushes them again."
        )
    elif any(UNSAVED in line for line in said):
        unsaved = [Path(line) for line in said if line.startswith(str(paths.root.resolve()))]
        names = ", ".join(str(path.relative_to(paths.root.resolve())) for path in unsaved[:3])
        names += f" and {len(unsaved) - 3} more" if len(unsaved) > 3 else ""
        done.data = "No data was taken."
        done.problems.append(
            f"No data was taken, because changes of yours would be overwritten ({names}): keep them by `dvc commit`, "
            "or give them up by `dvc checkout --force`, then pull again."
        )
    elif any(MISSING in line for line in said):
        done.data = "Not all of the data is there."
        done.problems.append(
            f"Files that dvc.lock names are neither here nor on '{there.name}': "
            "whoever recorded them has to push them first."
        )
    elif ended.returncode:
        done.data = "The data was not shared."
        done.problems.append(f"DVC failed to {done.direction} the data: {complaint(ended.stderr)}")
    else:
        lines = [line.strip() for line in ended.stdout.splitlines() if line.strip()]
        if done.direction == "pull":  # one line for each output that is another one now
            lines = [f"{len(lines)} output{'' if len(lines) == 1 else 's'} taken"] if lines else []
        done.data = f"Data: {lines[-1].rstrip('.').lower() if lines else 'everything is up to date'}."
    progress(1, 1, done.data)


def _results(count: int) -> str:
    return f"{count:,} result{'' if count == 1 else 's'}"
