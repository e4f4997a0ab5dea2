from pathlib import Path

import pytest

from analognas.errors import CorruptFileError, WorkspaceError
from analognas.yaml_files import read_text, read_yaml


def test_a_file_is_read_as_plain_values(tmp_path: Path):
    (tmp_path / "x.yaml").write_text("stages:\n  größer: {deps: [a, b], n: 1}\n", encoding="utf-8")
    assert read_yaml(tmp_path / "x.yaml", remedy="") == {"stages": {"größer": {"deps": ["a", "b"], "n": 1}}}


@pytest.mark.parametrize(
    "content",
    [b"\xff\xfea: 1", b"a: [", b"a: 2026-99-99", b"a: " + b"1" * 10_000, b"a: &a [*a]", b"a: " + b"[" * 150,
     b"{a: " * 150, b"- " * 150, b"? " * 150, b"\n".join(b" " * n + b"a:" for n in range(300)), b"\0" * 99,
     b"a: *nothing", b"!!python/object/apply:os.getcwd []"],
    ids=range(13),
)  # fmt: skip
def test_what_cannot_be_read_is_one_sentence(tmp_path: Path, content: bytes):
    (tmp_path / "x.yaml").write_bytes(content)
    with pytest.raises(CorruptFileError, match=r"^[^\n]*x\.yaml is damaged[^\n]{1,100}: do this\.$"):
        read_yaml(tmp_path / "x.yaml", remedy="do this")


def test_a_file_that_is_missing_or_a_folder_is_named(tmp_path: Path):
    with pytest.raises(CorruptFileError, match=r"x\.yaml is missing: do this\."):
        read_text(tmp_path / "x.yaml", remedy="do this")
    with pytest.raises(WorkspaceError, match="is a directory"):
        read_text(tmp_path, remedy="do this")


def test_a_file_that_is_too_long_is_not_parsed(tmp_path: Path):
    (tmp_path / "x.yaml").write_text("a: " + "x" * 1000)
    assert len(read_text(tmp_path / "x.yaml", remedy="do this", longest=2000)) == 1003
    with pytest.raises(CorruptFileError, match=r"1,003 bytes, at most 1,000 are read\): do this\."):
        read_text(tmp_path / "x.yaml", remedy="do this", longest=1000)
