"""Handing one notice to whoever is to be told.

A webhook gets it as the body of a request, a command on standard input.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: Seconds in which a receiver has to take a notice.
PATIENCE = 4.0


def receives(receiver: str, notice: Mapping[str, Any], folder: Path, seconds: float = PATIENCE) -> bool:
    """Hand a notice over and return whether it was taken: a status of 200 to 299, or a command that ends with 0.

    Args:
        receiver: an address (``http://`` or ``https://``), or a command for the shell.
        notice: what happened; its ``id`` is also sent as ``Idempotency-Key``.
        folder: where the command runs.
        seconds: how long it may take.
    """
    if receiver.startswith(("http://", "https://")):
        return _posted(receiver, notice, seconds)
    return _commanded(receiver, notice, folder, seconds)


def _posted(address: str, notice: Mapping[str, Any], seconds: float) -> bool:
    import requests

    try:
        # Of a redirection the request that follows would be a GET; whoever moved says so in her settings.
        answer = requests.post(
            address, json=dict(notice), headers={"Idempotency-Key": str(notice["id"])}, timeout=seconds,
            allow_redirects=False, stream=True,
        )  # fmt: skip
    except (requests.RequestException, ValueError):  # also what is no address at all
        return False
    answer.close()  # what it says besides is not read
    return 200 <= answer.status_code < 300


def _commanded(command: str, notice: Mapping[str, Any], folder: Path, seconds: float) -> bool:
    try:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command], cwd=folder, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    except OSError:
        return False
    try:
        process.communicate(json.dumps(dict(notice), sort_keys=True) + "\n", timeout=seconds)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return False
    return process.returncode == 0
