"""Downloads of published files: once, checked, with progress."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from analognas.datasets import cache
from analognas.datasets.base import Progress
from analognas.errors import DatasetError


def fetch(url: str, md5: str, *, what: str, progress: Progress | None = None) -> Path:
    """Return the file that ``url`` names, in the cache folder; download it if it is not there yet.

    The file appears under its name only after its MD5 checksum was right. Without ``progress`` a bar is shown
    on standard error. Raises ``DatasetError`` that names ``what``, the reason and the remedy.
    """
    target = cache.folder() / url.rsplit("/", 1)[-1]
    if target.is_file():
        return target
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _shown(progress, what) as report:
            downloader = pooch.HTTPDownloader(progressbar=_Reporter(report, what), chunk_size=1 << 16)
            pooch.retrieve(url, known_hash=f"md5:{md5}", fname=target.name, path=target.parent, downloader=downloader)
        target.chmod(0o644)  # the cache may be shared
    except (requests.RequestException, OSError, ValueError) as error:  # ValueError: wrong checksum
        reason = " ".join(str(error).split())
        raise DatasetError(
            f"{what} could not be downloaded from {url} ({reason}); "
            "get it some other way and name the archive or its folder with --path."
        ) from error
    return target


class _Reporter:
    """What pooch calls while it downloads (the four names are pooch's)."""

    def __init__(self, report: Progress, what: str) -> None:
        self.total = 0
        self._done = 0
        self._report = report
        self._what = what

    def update(self, count: int) -> None:
        self._done = min(self._done + count, self.total)
        self._report(self._done, self.total, f"downloading {self._what}")

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None:
        pass


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
