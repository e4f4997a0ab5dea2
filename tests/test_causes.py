from __future__ import annotations

import errno
import socket
import sys
from pathlib import Path

import pytest

from analognas.causes import own_code, quoted, reached


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("ValueError: bad value", '"bad value"'),
        ("requests.exceptions.ConnectionError: sqlalchemy.exc.OperationalError: gone.", '"gone"'),
        ("first\nsecond", '"first"'),
        ("\n\n  late ", '"late"'),
        ("", "no reason was given"),
        ("KeyError: ", "no reason was given"),
        ("in /usr/lib/python3.11/site-packages/x/y.py: no", '"in a file of its own: no"'),
        ("object <A at 0x7f00> is bad", '"object <A> is bad"'),
        ("http://anna:secret@host says no", '"http://***@host says no"'),
    ],
)
def test_what_others_say_is_short_and_without_their_insides(said: str, left: str):
    assert quoted(said) == left
    assert quoted(RuntimeError(said)) == left


def test_what_others_say_is_cut():
    assert quoted("word " * 100, longest=20) == '"word word word wo..."'


def chained(inner: BaseException) -> Exception:
    try:
        try:
            raise inner
        except BaseException as error:
            raise RuntimeError("outer") from error
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    ("inner", "told"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "refuses connections"),
        (ConnectionResetError(), "ends connections without an answer"),
        (TimeoutError("timed out"), "does not answer"),
        (socket.gaierror(-2, "Name or service not known"), "has a host name that nobody knows"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "cannot be reached (no route to host)"),
        (OSError(errno.ENOSPC, "No space left on device"), None),
        (ValueError("x"), None),
    ],
)
def test_why_a_server_is_not_reached_lies_deep_in_an_error(inner: Exception, told: str | None):
    assert reached(chained(inner)) == told
    assert reached(ValueError("kept as an argument", inner)) == told


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("x = 1\ny = x['k']\n", "line 2 of {file} raises TypeError: 'int' object is not subscriptable"),
        ("def f(:\n", "line 1 of {file} is no valid Python"),
        (
            "import not_there_at_all\n",
            "line 1 of {file} raises ModuleNotFoundError: No module named 'not_there_at_all'",
        ),
        ("raise KeyError\n", "line 1 of {file} raises KeyError"),
        ("import json\n\njson.loads('{')\n", "line 3 of {file} raises JSONDecodeError: Expecting property name"),
    ],
)
def test_of_the_users_own_code_the_line_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, told: str):
    file = tmp_path / "hers.py"
    file.write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("hers", None)
    with pytest.raises(Exception) as caught:
        __import__("hers")
    assert own_code(caught.value, "hers").startswith(told.format(file=file))


def test_a_module_that_is_not_there_is_said_so():
    with pytest.raises(ModuleNotFoundError) as caught:
        __import__("not_there_at_all")
    assert own_code(caught.value, "not_there_at_all") == "there is no such module"
