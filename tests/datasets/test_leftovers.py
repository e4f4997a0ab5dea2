import pytest

from analognas.datasets.leftovers import PassedOver, ending, is_leftover, told


@pytest.mark.parametrize(
    "name",
    [
        "@eaDir", "@EADIR", ".thumbnails", ".AppleDouble", "._a.png", ".DS_Store", "__MACOSX", "Thumbs.db",
        "desktop.ini", ".ipynb_checkpoints", "lost+found", "$RECYCLE.BIN", "#recycle", "System Volume Information",
        ".Trash-1000", "SYNOPHOTO_THUMB_M.jpg", "@__thumb", ".@__thumb",
    ],
)  # fmt: skip
def test_leftovers(name):
    assert is_leftover(name)


@pytest.mark.parametrize("name", ["eaDir", "thumb", "recycle", "cat", "a@b.jpg", "_background_noise_", "macosx", "#1"])
def test_what_is_the_users(name):
    assert not is_leftover(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.HEIC", ".heic"), ("a.tar.gz", ".gz"), ("a", "no ending"), ("1.5 metres", "no ending"), ("README", "README"),
        ("a.", "no ending"), ("LICENSE", "LICENSE"),
    ],
)  # fmt: skip
def test_endings(name, expected):
    assert ending(name) == expected


def test_counts_as_text():
    assert told({".a": 1, ".b": 1200}) == "1,200 .b, 1 .a"
    assert told({f".{place}": 9 - place for place in range(8)}, most=2) == "9 .0, 8 .1, 27 others"


def test_what_is_missed_looks_like_data():
    passed_over = PassedOver()
    passed_over.update(["a.heic", "b.heic", "c.mp3", "notes.txt", "README", "x", "@eaDir", "._c.mp3", "._d.mp3"])
    assert passed_over.files == {".heic": 2, ".mp3": 1, ".txt": 1, "README": 1, "no ending": 1}
    assert passed_over.leftovers == {"@eaDir": 1, "._*": 2}
    assert passed_over.missed == {".heic": 2, ".mp3": 1, "no ending": 1}
