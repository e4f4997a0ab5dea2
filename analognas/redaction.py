"""Addresses and messages without the secrets that may stand in them."""

from __future__ import annotations

import re

# Greedy: a password may hold an @. What a driver's name is followed by (`postgresql+psycopg2://`) stays readable.
_USER = re.compile(r"(?<=//)[^/\s'\"]*@")
_NAMED = re.compile(
    r"(?i)\b([\w-]*(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key(?:_id)?|signature|sig|credentials?))"
    r"(\s*[=:]\s*)(?:bearer\s+|basic\s+)?[^\s&'\",;)]+"
)
_AUTHORIZATION = re.compile(r"(?i)\b(authorization['\"]?\s*[=:]\s*['\"]?)(?:bearer\s+|basic\s+)?[^\s'\",;)]+")
_HIDDEN = "***"


def redact(text: str) -> str:
    """Return a text with what may be a secret in it replaced by ``***``.

    That is what stands before an @ in an address, and values that are named as a password, a token, a key or a
    signature (``?password=...``, ``token: ...``), whether or not they are one.
    """
    text = _USER.sub(f"{_HIDDEN}@", text)
    text = _AUTHORIZATION.sub(rf"\g<1>{_HIDDEN}", text)
    return _NAMED.sub(rf"\g<1>\g<2>{_HIDDEN}", text)
