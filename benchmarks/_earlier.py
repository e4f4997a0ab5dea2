"""The package as it was in an earlier commit, for benchmarks that compare with it."""

from __future__ import annotations

import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def code_of(commit: str) -> Iterator[Path]:
    """Give a temporary folder with the package as it was in a commit of this repository.

    Raises:
        SystemExit: if git knows no such code.
    """
    packed = subprocess.run(
        ["git", "-C", str(_ROOT), "archive", "--format=zip", commit, "analognas"], capture_output=True, check=False
    )
    if packed.returncode:
        said = packed.stderr.decode(errors="replace").strip()
        raise SystemExit(f"git knows no code of {commit!r} ({said}): name another commit.")
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(BytesIO(packed.stdout)) as files:
            files.extractall(folder)
        yield Path(folder)
