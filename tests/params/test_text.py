from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from analognas.errors import ParamsError
from analognas.params.text import load_document, plain, round_trip, scalar

TEXT = """\
# the search
search:
  k: 2.50  # in standard deviations
  name: 'Run #3'
  limit: null
  times: [1, 86400]
  names:
    - "a"
    - b
"""


def written(path: Path) -> Any:
    path.write_text(TEXT)
    return load_document(path)


def test_comments_quotes_and_notation_stay(tmp_path: Path):
    document = written(tmp_path / "params.yaml")
    document["search"]["added"] = None
    buffer = StringIO()
    round_trip().dump(document, buffer)
    assert buffer.getvalue() == TEXT + "  added: null\n"


def test_long_text_is_not_broken(tmp_path: Path):
    document = written(tmp_path / "params.yaml")
    document["search"]["name"] = "word " * 200 + "end"
    buffer = StringIO()
    round_trip().dump(document, buffer)
    assert len(buffer.getvalue().splitlines()) == len(TEXT.splitlines())


def test_plain_values_remember_no_notation(tmp_path: Path):
    found = plain(written(tmp_path / "params.yaml"))
    assert found == {
        "search": {"k": 2.5, "name": "Run #3", "limit": None, "times": [1, 86400], "names": ["a", "b"]}
    }  # fmt: skip
    search = found["search"]
    assert [type(search[key]) for key in ("k", "name", "times")] == [float, str, list]
    assert type(found) is type(search) is dict
    assert plain({1: [True, None]}) == {"1": [True, None]}
    assert plain(True) is True


def test_an_empty_file_is_an_empty_document(tmp_path: Path):
    for text in ("", "# nothing yet\n"):
        (tmp_path / "params.yaml").write_text(text)
        assert load_document(tmp_path / "params.yaml") == {}


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path):
    path = tmp_path / "params.yaml"
    with pytest.raises(ParamsError, match=r"params.yaml is missing: .* make one with `analognas init`\.$"):
        load_document(path)
    path.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ParamsError, match=r"params.yaml is no text \(UTF-8\): restore"):
        load_document(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(ParamsError, match=r"params.yaml cannot be read \(is a directory\)"):
        load_document(path)


def test_the_line_of_what_is_no_yaml_is_named(tmp_path: Path):
    path = tmp_path / "params.yaml"
    path.write_text("base:\n  seed: 1\n  seed: 2\n")
    with pytest.raises(ParamsError, match=r"^params.yaml is no valid YAML in line 3: .*the key seed is there twice"):
        load_document(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("40", 40), ("2.5", 2.5), ("true", True), ("null", None), ("", None), ("  ", None), ("[1, 2]", [1, 2]),
        ("{M: [1, 2]}", {"M": [1, 2]}), ("50k", "50k"), ("'40'", "40"), ("[draft", "[draft"),
    ],
)  # fmt: skip
def test_a_scalar_is_what_yaml_takes_it_for_or_the_text(text: str, value: object):
    found = scalar(text)
    assert (found, type(found)) == (value, type(value))
