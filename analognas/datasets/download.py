"""Downloads of published files: once, checked, with progress, going on where they were interrupted."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from filelock import FileLock

from analognas.causes import quoted
from analognas.datasets.published import Published
from analognas.errors import DatasetError
from analognas.files import cache_folder, workspace_root
from analognas.progress import Progress

_CHUNK = 1 << 16
_TIMEOUT = 30.0


def fetch(file: Published, *, what: str, progress: Progress | None = None) -> Path:
    """Return a published file in the cache folder; download it if it is not there yet.

    The file appears under its name only after its checksum was right. What an interrupted download has brought is
    kept beside it (``.part``), and the next one goes on from there. Without ``progress`` a bar is shown on standard
    error.

    Raises:
        DatasetError: naming ``what``, the reason and the remedy.
    """
    target = file.path
    if target.is_file():
        return target
    _outside_workspaces(target.parent)
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.parent / ".lock"), _shown(progress, what) as report:
            if not target.is_file():  # another process may have brought it meanwhile
                pooch.retrieve(
                    file.url,
                    known_hash=file.checksum,
                    fname=target.name,
                    path=target.parent,
                    downloader=_Resuming(target.with_name(f"{target.name}.part"), report, f"downloading {what}"),
                )
                target.chmod(0o644)  # the cache may be shared
    except (requests.RequestException, OSError, ValueError) as error:  # ValueError: wrong checksum
        # What requests says of a missing network is half a screen of other libraries' words.
        offline = isinstance(error, requests.ConnectionError)
        reason = "the server cannot be reached" if offline else quoted(error)
        raise DatasetError(
            f"{what} could not be downloaded from {file.url} ({reason}); get {file.name} some other way and name the "
            "folder it is in: `analognas datasets fetch NAME --from DIR`, or --path with the archive or its folder."
        ) from error
    return target


def take(file: Published, folder: Path, *, what: str) -> Path:
    """Copy a published file from a folder into the cache folder, after checking it, and return where it is.

    Raises:
        DatasetError: if the folder lacks it, or what is there is not the published file.
    """
    target = file.path
    if target.is_file() and matches(file, target):
        return target
    _outside_workspaces(target.parent)
    if not folder.is_dir():
        raise DatasetError(f"There is no folder {folder}; name the one that {file.name} is in.")
    source = folder / file.name
    if not source.is_file():
        raise DatasetError(f"{folder} lacks {file.name} of {what}; get it from {file.url}.")
    if not matches(file, source):
        raise DatasetError(
            f"{source} is not the published file (wrong {file.checksum.partition(':')[0]}): get it again, or if it was "
            "only packed anew, name its folder with --path."
        )
    temporary = target.with_name(f"{target.name}.{secrets.token_hex(8)}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, temporary)
        temporary.replace(target)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise DatasetError(
            f"{source} cannot be copied to {target.parent} ({error.strerror}); "
            "set ANALOGNAS_DATA to a folder that can be written."
        ) from error
    return target


def matches(file: Published, path: Path) -> bool:
    """Return whether what stands at ``path`` is the published file, by its checksum.

    Raises:
        DatasetError: if it cannot be read.
    """
    import pooch

    algorithm, _, expected = file.checksum.partition(":")
    try:
        return bool(pooch.file_hash(str(path), alg=algorithm) == expected)
    except OSError as error:
        raise DatasetError(f"{path} cannot be read ({error.strerror}); check its permissions.") from error


class _Resuming:
    """What pooch calls to download: appends to a file that outlives an interruption."""

    def __init__(self, part: Path, report: Progress, text: str) -> None:
        self._part = part
        self._report = report
        self._text = text

    def __call__(self, url: str, output_file: str, _pooch: Any) -> None:
        """Download ``url`` to ``output_file``; a broken connection is taken up again while that brings anything."""
        import requests

        while True:
            before = self._size()
            try:
                self._get(url, before)
                break
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
                if self._size() <= before:
                    raise
        shutil.move(self._part, output_file)

    def _size(self) -> int:
        return self._part.stat().st_size if self._part.is_file() else 0

    def _get(self, url: str, have: int) -> None:
        import requests

        # Not compressed on the way: a range counts the bytes of the file.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            if have and response.status_code == requests.codes.requested_range_not_satisfiable:
                return  # nothing is missing, or it is another file: the checksum tells
            response.raise_for_status()
            done = have if response.status_code == requests.codes.partial_content else 0
            total = done + int(response.headers.get("Content-Length", 0))
            with self._part.open("ab" if done else "wb") as file:
                for chunk in response.iter_content(_CHUNK):
                    file.write(chunk)
                    done += len(chunk)
                    self._report(done, max(done, total), self._text)


def _outside_workspaces(folder: Path) -> None:
    """Refuse to put downloads into a workspace, where git and DVC would see them."""
    root = workspace_root(folder.absolute())
    if root is not None:
        raise DatasetError(
            f"The folder for downloads, {cache_folder()}, is in the workspace {root}; "
            "set ANALOGNAS_DATA to one outside it."
        )


class _Bar(AbstractContextManager[Progress]):
    """A progress bar on standard error, as a progress callback."""

    def __init__(self, what: str) -> None:
        from rich import progress
        from rich.console import Console

        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.DownloadColumn(),
            progress.TransferSpeedColumn(),
            progress.TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task(f"downloading {what}", total=None)

    def __enter__(self) -> Progress:
        self._bar.start()
        return lambda done, total, text: self._bar.update(self._task, completed=done, total=total, description=text)

    def __exit__(self, *_: Any) -> None:
        self._bar.stop()


def _shown(progress: Progress | None, what: str) -> AbstractContextManager[Progress]:
    return _Bar(what) if progress is None else nullcontext(progress)
