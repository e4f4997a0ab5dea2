"""Reading the pickles of CIFAR's python version without running anything that stands in them.

A pickle is a program that may call any function. This reader knows only dictionaries, lists, bytes, text,
numbers, and arrays of bytes; the names that NumPy's pickles refer to are answered with stand-ins, so that not
even NumPy's own code sees what the file says before it was checked.
"""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from analognas.causes import wrong
from analognas.errors import ContentError


class _ByteType:
    """Stands for ``numpy.dtype``: only unsigned bytes are allowed, so its further state says nothing."""

    def __init__(self, code: object, *_: object) -> None:
        if code not in ("u1", b"u1"):
            raise ContentError(f"an array of type {code!r}")

    def __setstate__(self, state: object) -> None:
        pass


class _ByteArray:
    """Stands for ``numpy.ndarray``: takes shape and bytes, and checks that they belong together."""

    value: np.ndarray[Any, np.dtype[np.uint8]]

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        self.value = _from_buffer(data, dtype, shape, "F" if fortran else "C").value


def _reconstruct(cls: object, *_: object) -> _ByteArray:
    return _ByteArray()


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> _ByteArray:
    if not isinstance(dtype, _ByteType) or not isinstance(data, bytes | bytearray):
        raise ContentError("an array that does not hold bytes")
    if not all(isinstance(side, int) and side >= 0 for side in shape) or math.prod(shape) != len(data):
        raise ContentError("an array whose size does not fit its shape")
    array = _ByteArray()
    array.value = np.frombuffer(data, dtype=np.uint8).reshape(shape, order=order)
    return array


def _encode(text: Any, encoding: Any) -> bytes:
    """Stand for ``_codecs.encode``, by which protocol 2 writes bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise ContentError(f"an encoding by {encoding!r}")
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Callable[..., Any]] = {
    ("_codecs", "encode"): _encode,
    ("numpy", "dtype"): _ByteType,
    ("numpy", "ndarray"): _ByteArray,
}
for _package in ("numpy.core", "numpy._core"):  # the name before and since NumPy 2
    _ALLOWED[f"{_package}.multiarray", "_reconstruct"] = _reconstruct
    _ALLOWED[f"{_package}.numeric", "_frombuffer"] = _from_buffer


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise ContentError(f"the name {module}.{name}, which no CIFAR file has") from None


def loads(data: bytes) -> dict[str, Any]:
    """Return the dictionary in a pickle, its keys as text, byte arrays as NumPy arrays (uint8).

    Raises ``ValueError`` with the reason if the file is damaged or holds anything else.
    """
    try:
        loaded = _Unpickler(io.BytesIO(data), encoding="bytes").load()
    except Exception as error:  # a damaged pickle may raise nearly anything
        raise ContentError(f"it is damaged or holds something else: {wrong(error)}") from error
    if not isinstance(loaded, dict):
        raise ContentError("it holds no dictionary")
    return {
        key.decode("latin1") if isinstance(key, bytes) else str(key): value.value
        if isinstance(value, _ByteArray) and hasattr(value, "value")
        else value
        for key, value in loaded.items()
    }
