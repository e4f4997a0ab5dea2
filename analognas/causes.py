"""What an error of somebody else's means, in our words; what is left of theirs is quoted, short and marked as theirs.

A message of analognas says what happened and what helps. What Python, a library or another program wrote about the same
thing is in the language of its insides (class names, installed paths, return codes), and none of it reaches a user but
through this module.
"""

from __future__ import annotations

import errno
import re
import socket
import traceback
from collections.abc import Iterator
from pathlib import Path

from analognas.errors import AnalogNASError
from analognas.redaction import redact

_LONGEST = 120
#: How an exception begins where it was printed: the name of its class, with modules before it.
_CLASS = re.compile(r"^(?:\([A-Za-z_][\w.]*\) +|[A-Za-z_][\w.]*(?:Error|Exception|Warning|Interrupt|Exit): *)+")
#: A file of an installed package or of Python itself.
_INSTALLED = re.compile(
    r"(?:file )?['\"]?[^\s'\":,]*/(?:site-packages|dist-packages|lib/python3[.\d]*)/[^\s'\",:)]*['\"]?", re.IGNORECASE
)
_ADDRESS = re.compile(r" at 0x[0-9a-f]+|https?://errors\.pydantic\.dev\S*|\(Background on this error at: \S+\)")
#: What the system says where no way leads to a machine.
_NO_WAY = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.EADDRNOTAVAIL)
_SECONDS = re.compile(r"timed? ?out|timeout", re.IGNORECASE)


def quoted(error: BaseException | str, longest: int = _LONGEST) -> str:
    """Return the first line of what another program or library said, in quotation marks and cut short.

    Secrets, names of exception classes, paths of installed packages and addresses in memory are left out.
    """
    text = _ADDRESS.sub("", redact(str(error).strip()))
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    line = _INSTALLED.sub("a file of its own", _CLASS.sub("", line)).strip().rstrip(".:")
    if not line:
        return "no reason was given"
    return f'"{line[: longest - 3].rstrip()}..."' if len(line) > longest else f'"{line}"'


def wrong(error: BaseException) -> str:
    """Return why something that was read is not what it should be, to follow "because" or in brackets."""
    if isinstance(error, AnalogNASError):
        return str(error).rstrip(".")
    if isinstance(error, KeyError):
        return f"it lacks {error}"
    if isinstance(error, TypeError | AttributeError | IndexError):
        return "a value is of another kind"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return quoted(error)


def reached(error: BaseException) -> str | None:
    """Return why a server was not reached, to follow "it", if that is what an error is about; else None."""
    chain = list(_chain(error))
    for cause in chain:
        if isinstance(cause, socket.gaierror) or type(cause).__name__ == "NameResolutionError":
            return "has a host name that nobody knows"
    for cause in chain:
        if isinstance(cause, ConnectionRefusedError):
            return "refuses connections"
        if isinstance(cause, ConnectionResetError | BrokenPipeError):
            return "ends connections without an answer"
    for cause in chain:
        if isinstance(cause, TimeoutError) or _SECONDS.search(type(cause).__name__):
            return "does not answer"
    for cause in chain:
        if isinstance(cause, OSError) and cause.errno in _NO_WAY and cause.strerror:
            return f"cannot be reached ({cause.strerror.lower()})"
    return None


def own_code(error: BaseException, module: str = "") -> str:
    """Return where an error in the user's own code came from and what it was, as Python tells it to who wrote it.

    Args:
        error: that her code raised.
        module: the name of her module, to leave out what only says that this one is missing.
    """
    if isinstance(error, ModuleNotFoundError) and module and error.name == module.partition(".")[0]:
        return "there is no such module"
    name = type(error).__name__
    if isinstance(error, SyntaxError):
        place = f"line {error.lineno} of {error.filename}" if error.filename else "it"
        return f"{place} is no valid Python"
    said = str(error).strip().splitlines()
    text = f"{name}: {redact(said[0])[:_LONGEST]}" if said else name
    theirs = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_the_users(frame.filename)]
    return f"line {theirs[-1].lineno} of {theirs[-1].filename} raises {text}" if theirs else f"it raises {text}"


def _is_the_users(file: str) -> bool:
    ours = Path(__file__).parent
    return not (_INSTALLED.search(file) or file.startswith("<") or Path(file).is_relative_to(ours))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and those behind it: its causes, and those that libraries only keep as an argument."""
    waiting, seen = [error], set()
    while waiting:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        behind = [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
        waiting += [other for other in behind if isinstance(other, BaseException)]
