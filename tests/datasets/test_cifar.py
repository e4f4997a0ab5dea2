"""The format in small: two batches of three images, and two label bytes in each record."""

import io
import pickle
import tarfile

import numpy as np
import pytest

from analognas.datasets import Options, cifar
from analognas.datasets.cifar import Format
from analognas.datasets.published import Published
from analognas.errors import DatasetError

TINY = Format(
    name="tiny",
    title="TINY-3",
    class_names=("ant", "bee", "cat"),
    batches=("first", "last"),
    label_bytes=2,
    labels="fine",
    metas=("names.txt", "meta"),
    names="label_names",
    folders=("tiny-bin", "tiny-py"),
    archives=("tiny.tar.gz",),
)
FILE = Published("http://127.0.0.1:1/tiny.tar.gz", "md5:0", 1)
COUNTS = {"first": 30, "last": 6}


def content(batch):
    count = COUNTS[batch]
    pixels = np.random.default_rng(count).integers(0, 256, (count, 3072), dtype=np.uint8)
    return pixels, np.arange(count) % 3


def binary():
    files = {"names.txt": b"ant\nbee\ncat\n"}
    for batch in TINY.batches:
        pixels, labels = content(batch)
        files[f"{batch}.bin"] = np.column_stack([9 - labels, labels, pixels]).astype(np.uint8).tobytes()
    return files


def pickled():
    files = {"meta": pickle.dumps({b"label_names": [b"ant", b"bee", b"cat"]}, protocol=2)}
    for batch in TINY.batches:
        pixels, labels = content(batch)
        files[batch] = pickle.dumps({b"data": pixels, b"fine": labels.tolist()}, protocol=2)
    return files


def folder(place, files):
    place.mkdir(parents=True)
    for name, data in files.items():
        (place / name).write_bytes(data)
    return place


def load(path):
    return cifar.load(TINY, FILE, Options(path=str(path)))


def test_files_of_the_set_are_known_by_their_names():
    assert all(map(TINY.wanted, ("first", "first.bin", "last.bin", "names.txt", "meta")))
    assert not any(map(TINY.wanted, ("readme.html", "first.bin.part", "names", "meta.bin")))


def test_the_last_label_byte_counts_and_a_tenth_is_for_validation(tmp_path):
    data = load(folder(tmp_path / "set", binary()))
    assert (len(data.train), len(data.validation), len(data.test)) == (27, 3, 6)
    assert sorted(data.validation.y) == [0, 1, 2]  # stratified
    pixels, labels = content("last")
    np.testing.assert_array_equal(data.test.x.reshape(6, -1), pixels)
    np.testing.assert_array_equal(data.test.y, labels)
    assert data.augment == ("crop", "flip")


def test_binary_and_python_version_and_their_places_are_the_same_set(tmp_path):
    whole = load(folder(tmp_path / "a" / "tiny-bin", binary()))
    with tarfile.open(folder(tmp_path / "c", {}) / "tiny.tar.gz", "w:gz") as tar:
        tar.add(tmp_path / "a" / "tiny-bin", arcname="any/where")
    folder(tmp_path / "b" / "tiny-py", pickled())
    for place in ("a", "b", "b/tiny-py", "c", "c/tiny.tar.gz"):
        found = load(tmp_path / place)
        assert (found.digest, found.split_digest) == (whole.digest, whole.split_digest), place


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("first.bin", b"", "first.bin in .* is not a TINY-3 file: its size, 0 bytes, is not a multiple of 3074"),
        ("last.bin", bytes(3075), "its size, 3075 bytes, is not a multiple of 3074; get it again"),
        ("last.bin", b"\x00\x03" + bytes(3072), "it has labels from 3 to 3; there are 0 to 2"),
        ("last.bin", None, "lacks last.bin; TINY-3 has it, so get the whole set again"),
        ("names.txt", b"ant\nbee\n", "names.txt in .* does not name TINY-3's classes"),
    ],
)
def test_a_file_that_is_another_one_is_named(tmp_path, name, data, message):
    place = folder(
        tmp_path / "set", {key: value for key, value in (binary() | {name: data}).items() if value is not None}
    )
    with pytest.raises(DatasetError, match=message):
        load(place)


def test_nothing_is_unpacked_from_an_archive(tmp_path):
    archive = tmp_path / "tiny.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, data in {**binary(), "../outside": b"x"}.items():
            member = tarfile.TarInfo(f"../{name}")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    assert len(load(archive).train) == 27
    assert [path.name for path in tmp_path.iterdir() if path.name != "cache"] == ["tiny.tar.gz"]


def test_what_is_not_there_is_named_with_the_remedy(tmp_path):
    with pytest.raises(DatasetError, match=r"There is no .*none; name the folder or the archive of TINY-3 with --path"):
        load(tmp_path / "none")
    with pytest.raises(DatasetError, match=r"holds neither TINY-3's files \(first.bin or first\) nor its archive"):
        load(tmp_path)
