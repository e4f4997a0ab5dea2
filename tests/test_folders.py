import random
import re
from pathlib import Path

import pytest

from analognas.errors import AnalogNASError, CorruptFileError, WorkspaceError
from analognas.folders import claim, read_folder, write_folder

CONTENT, FILES = {"kind": "thing", "sizes": [1, 2.5, None]}, {"a.bin": bytes(range(200)), "deep/b.txt": b"text"}


def write(path: Path) -> None:
    write_folder(path, "manifest.json", CONTENT, FILES)


def listing(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_folder_comes_back_and_is_replaced_by_its_like(tmp_path: Path):
    place = tmp_path / "new" / "thing"
    write(place)
    first = listing(place)
    content, files = read_folder(place, "manifest.json", remedy="do this")
    assert (content.pop("files").keys(), content, files) == (FILES.keys(), CONTENT, FILES)
    write(place)
    assert listing(place) == first
    write_folder(place, "manifest.json", {}, {})
    assert list(listing(place)) == ["manifest.json"]
    assert list(place.parent.iterdir()) == [place]


def _empty(place: Path) -> None:
    place.mkdir()


def _of_empty_folders(place: Path) -> None:
    (place / "deep" / "er").mkdir(parents=True)


@pytest.mark.parametrize("prepare", [_empty, _of_empty_folders])
def test_an_empty_folder_is_taken(tmp_path: Path, prepare):
    prepare(tmp_path / "thing")
    write(tmp_path / "thing")
    assert len(listing(tmp_path / "thing")) == 3


def _file(place: Path) -> None:
    place.write_text("mine")


def _link_to_nothing(place: Path) -> None:
    place.symlink_to(place.parent / "nowhere")


def _foreign(place: Path) -> None:
    place.mkdir()
    (place / "thesis.tex").write_text("mine")


def _hidden(place: Path) -> None:
    (place / ".git").mkdir(parents=True)
    (place / ".git" / "HEAD").write_text("mine")


def _of_that_name(place: Path) -> None:
    place.mkdir()
    (place / "manifest.json").write_text('{"files": {"a.bin": "0"}, "digest": "0"}')
    (place / "a.bin").write_text("mine")


def _beside_ours(place: Path) -> None:
    write(place)
    (place / "deep" / "notes.md").write_text("mine")


def _damaged(place: Path) -> None:
    write(place)
    (place / "manifest.json").write_text((place / "manifest.json").read_text()[:-20])


@pytest.mark.parametrize(
    ("prepare", "named"),
    [(_file, "thing is a file"), (_link_to_nothing, "thing is a file"), (_foreign, "thesis.tex"),
     (_hidden, ".git/HEAD"), (_of_that_name, "a.bin"), (_beside_ours, "deep/notes.md"), (_damaged, "a.bin")],
)  # fmt: skip
def test_what_is_not_ours_stays_and_is_named(tmp_path: Path, prepare, named: str):
    place = tmp_path / "thing"
    prepare(place)
    before = (listing(tmp_path), sorted(tmp_path.rglob("*")))
    with pytest.raises(WorkspaceError, match=rf"^[^\n]*{re.escape(named)}[^\n]*\.$"):
        write(place)
    assert (listing(tmp_path), sorted(tmp_path.rglob("*"))) == before


def test_what_was_laid_beside_it_may_be_known(tmp_path: Path):
    _beside_ours(tmp_path / "thing")
    claim(tmp_path / "thing", "manifest.json", beside=("deep/notes.md",))


def test_no_bit_of_any_file_may_be_another_one(tmp_path: Path):
    write(tmp_path)
    draw = random.Random(0)
    for name, whole in listing(tmp_path).items():
        for _ in range(600):
            content = bytearray(whole)
            content[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
            (tmp_path / name).write_bytes(content)
            said = None
            try:
                found = read_folder(tmp_path, "manifest.json", remedy="do this")
            except AnalogNASError as error:
                said = str(error)
            if said is None:  # white space
                assert found[1] == FILES
                assert found[0].items() >= CONTENT.items()
            else:
                assert re.fullmatch(r"[^\n]* do this\.", said)
        (tmp_path / name).write_bytes(whole)


def test_a_manifest_of_another_form_is_refused(tmp_path: Path):
    from analognas.files import write_sealed

    for content in ({}, {"files": ["a"]}, {"files": {"../x": "0"}}, {"files": {"a.bin": None}}):
        write_sealed(tmp_path / "manifest.json", content, "digest")
        with pytest.raises(CorruptFileError, match=r"do this\.$"):
            read_folder(tmp_path, "manifest.json", remedy="do this")
    with pytest.raises(CorruptFileError, match="nowhere is missing"):
        read_folder(tmp_path / "nowhere", "manifest.json", remedy="do this")
