"""What went wrong with MLflow, in our words: whether it is away, does not let this person, or cannot be used.

Nothing here loads MLflow: whether anybody is there is asked before that, which takes seconds itself.
"""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from analognas.causes import quoted, reached
from analognas.redaction import redact

#: Seconds in which a server has to say that it is there.
PATIENCE = 4.0
_STATUS = re.compile(r"(?:failed with error code|too many) (\d{3})\b")
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
#: What MLflow keeps runs in, by the beginning of the address.
_DATABASES = ("sqlite", *_PORTS)
#: What neither a server nor a database raises, but a fault of the code that writes.
_FAULTS = (KeyError, IndexError, AttributeError, TypeError, AssertionError)
_KNOWN = ("http", "https", *_DATABASES, "file", "", "databricks", "databricks-uc", "uc")


class AwayError(Exception):
    """Nobody answers at an address; the text says why, to follow "it"."""


@dataclass(frozen=True)
class Place:
    """What is being written in MLflow, in case it is refused: ``kind`` as MLflow's permissions call it."""

    kind: str
    name: str
    identity: str


@dataclass(frozen=True)
class Failure:
    """What went wrong: ``what`` is a sentence without its full stop, ``remedy`` what helps.

    ``lasting`` is whether the same will happen again until somebody does that.
    """

    what: str
    remedy: str
    lasting: bool = True


def reach(uri: str) -> None:
    """Ask within seconds whether anybody is at an address: MLflow itself would try for minutes.

    Raises:
        AwayError: if nobody answers.
    """
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:  # no address: MLflow says so
        return
    if parts.scheme in ("http", "https"):
        import requests

        try:
            requests.get(f"{uri.rstrip('/')}/health", timeout=PATIENCE)
        except (requests.exceptions.SSLError, requests.exceptions.InvalidURL, requests.exceptions.InvalidProxyURL):
            return  # somebody is there, or nowhere to look: MLflow tells the rest
        except requests.RequestException as error:
            raise AwayError(reached(error) or "cannot be reached") from error
        return
    scheme = parts.scheme.partition("+")[0]
    if scheme in _PORTS and parts.hostname:
        _connect(parts.hostname, port or _PORTS[scheme])


def reach_store(location: str) -> None:
    """Ask within seconds whether anybody is where MLflow's client itself writes files: S3, which it tries for minutes.

    Args:
        location: of an experiment's artifacts. Others than ``s3:`` are the server's or a folder, and are not asked.

    Raises:
        AwayError: if nobody answers.
    """
    if not location.startswith("s3:"):
        return
    # In the order in which MLflow and botocore ask them; without one it is Amazon's, perhaps by a proxy.
    named = ("MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    endpoint = next((os.environ[name] for name in named if os.environ.get(name)), None)
    if endpoint is None:
        return
    try:
        parts = urlsplit(endpoint)
        port = parts.port or {"http": 80, "https": 443}[parts.scheme]
        if not parts.hostname:
            return
    except (ValueError, KeyError):  # no address: the client says so
        return
    try:
        _connect(parts.hostname, port)
    except AwayError as error:
        raise AwayError(f"keeps files in {redact(location)}, and {redact(endpoint)} {error}") from error


def _connect(host: str, port: int) -> None:
    try:
        with socket.create_connection((host, port), timeout=PATIENCE):
            return
    except OSError as error:
        raise AwayError(reached(error) or "cannot be reached") from error


def explain(error: BaseException, uri: str, place: Place | None = None) -> Failure:
    """Return what an error means that MLflow, its server, its database or its disk raised.

    Args:
        error: that was raised.
        uri: where MLflow keeps runs.
        place: what was being written.
    """
    at = f"MLflow at {redact(uri)}"
    scheme = uri.partition(":")[0].partition("+")[0] if ":" in uri else ""
    away = str(error) if isinstance(error, AwayError) else reached(error)
    if away is not None:
        return Failure(
            f"{at} {away}", "start it, or unset MLFLOW_TRACKING_URI for the database of the workspace", lasting=False
        )
    if isinstance(error, _FAULTS):
        return Failure(
            f"analognas itself failed when it wrote to {at} ({type(error).__name__}: {quoted(error)})",
            "report that with what `analognas doctor` says",
        )
    if scheme not in _KNOWN:
        return Failure(
            f"MLFLOW_TRACKING_URI is {redact(uri)!r}, which MLflow knows no way to",
            "write http://HOST:PORT, or unset it",
        )
    if scheme in ("", "file") or not _is_address(uri):
        return Failure(
            f"MLFLOW_TRACKING_URI is {redact(uri)!r}, where MLflow keeps no runs",
            "write http://HOST:PORT or sqlite:///FILE, or unset it",
        )
    status = _status(error)
    if status == 401:
        remedy = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD to an account of that server"
        return Failure(f"{at} takes no one without a valid name and password", remedy)
    if status == 403:
        return _refused(at, uri, place)
    if status is not None and status >= 500:
        return Failure(f"{at} fails at what it is asked (status {status})", "look into its log", lasting=False)
    if status is not None and "API request to endpoint" in str(error):  # no answer in MLflow's own form
        return Failure(f"What answers at {redact(uri)} is no MLflow server (status {status})", "mend the address")
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return Failure(f"{at} cannot be written: {where}{error.strerror.lower()}", "mend that")
    if scheme in _DATABASES:
        return _of_database(at, error)
    return Failure(f"{at} refuses what it is asked: it says {quoted(error)}", "look into its log")


def _is_address(uri: str) -> bool:
    try:
        return urlsplit(uri).port != 0
    except ValueError:
        return False


def _status(error: BaseException) -> int | None:
    """Return the status of an answer that MLflow's client did not like, None if that is not what it is about."""
    told = _STATUS.search(str(error))
    if told:
        return int(told[1])
    # What has no code of its own is an internal error (500) for the client, whatever it is about.
    ask: Any = getattr(error, "get_http_status_code", None)
    return int(ask()) if type(error).__name__ == "RestException" and ask is not None else None


def _refused(at: str, uri: str, place: Place | None) -> Failure:
    """Say what a person may not do, and by which call that is granted."""
    person = os.environ.get("MLFLOW_TRACKING_USERNAME")
    whom = f"'{person}'" if person else "this account"
    if place is None:
        return Failure(f"{at} does not let {whom} do this", "ask its administrator for the permission EDIT")
    words = {"experiment": "experiment", "registered_model": "model"}[place.kind]
    granted = f'grant_user_permission("{person or "NAME"}", "{place.kind}", "{place.identity}", "EDIT")'
    remedy = (
        f"whoever manages the {words} grants that by `mlflow.server.get_app_client("
        f'"basic-auth", "{redact(uri)}").{granted}`, or set ANALOGNAS_RUN_EXPERIMENT to a name of your own'
    )
    return Failure(f"{at} does not let {whom} write the {words} '{place.name}'", remedy)


def _of_database(at: str, error: BaseException) -> Failure:
    said = str(error).lower()
    if "locked" in said:
        return Failure(f"{at} is being written by somebody else", "end what holds it", lasting=False)
    if "readonly" in said or "unable to open" in said:
        return Failure(f"{at} cannot be opened or written", "see to it that the file and its folder may be written")
    if "out-of-date database schema" in said or "can't locate revision" in said:
        return Failure(
            f"{at} is of another version of MLflow", "install that version, or move the database away for a new one"
        )
    if "password authentication" in said or "access denied" in said:
        return Failure(f"{at} takes no one without a valid name and password", "mend MLFLOW_TRACKING_URI")
    if isinstance(error, ImportError):
        return Failure(f"{at} needs a driver that is not installed", f"pip install it ({quoted(error)})")
    return Failure(f"{at} cannot be used: the database says {quoted(error)}", "mend that, or move the database away")
