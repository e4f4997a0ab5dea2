import gzip
import hashlib
import struct

import numpy as np
import pytest

from analognas.datasets import PARTS, describe, fashion_mnist, load
from analognas.datasets.published import Published
from analognas.errors import DatasetError

NAMES = {
    "train-images-idx3-ubyte": "train_x", "train-labels-idx1-ubyte": "train_y",
    "t10k-images-idx3-ubyte": "test_x", "t10k-labels-idx1-ubyte": "test_y",
}  # fmt: skip
RANDOM = np.random.default_rng(0)
DATA = {
    "train_x": RANDOM.integers(0, 256, (100, 28, 28), dtype=np.uint8),
    "train_y": np.tile(np.arange(10, dtype=np.uint8), 10),
    "test_x": RANDOM.integers(0, 256, (20, 28, 28), dtype=np.uint8),
    "test_y": np.tile(np.arange(10, dtype=np.uint8), 2),
}


def idx(array, kind=8):
    return bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write(folder, compressed=True):
    folder.mkdir(parents=True)
    for name, key in NAMES.items():
        if compressed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx(DATA[key])))
        else:
            (folder / name).write_bytes(idx(DATA[key]))
    return folder


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "set", compressed=False)


def test_shapes_parts_and_pixels(folder):
    data = load("Fashion_MNIST", path=str(folder))
    assert (data.name, data.input_shape, data.classes) == ("fashion-mnist", (1, 28, 28), 10)
    assert data.class_names[9] == "ankle boot"
    assert [len(data.part(part)) for part in PARTS] == [90, 10, 20]
    assert np.bincount(data.validation.y).tolist() == [1] * 10
    np.testing.assert_array_equal(data.test.x[:, 0], DATA["test_x"])
    np.testing.assert_array_equal(data.test.y, DATA["test_y"])
    used = np.concatenate([data.train.x, data.validation.x])
    assert sorted(map(bytes, used)) == sorted(map(bytes, DATA["train_x"]))
    assert data.augment == ("crop", "flip")


def test_compressed_or_not_is_the_same(folder, tmp_path):
    assert describe(load("fashion-mnist", path=str(write(tmp_path / "gz")))) == describe(
        load("fashion-mnist", path=str(folder))
    )


def test_download(tmp_path, monkeypatch, serve, cache_folder):
    served = write(tmp_path / "served")
    with serve(served) as address:
        files = tuple(
            Published(
                f"{address}/{name}.gz", f"md5:{hashlib.md5((served / f'{name}.gz').read_bytes()).hexdigest()}", 1, "f"
            )
            for name in NAMES
        )
        monkeypatch.setattr(fashion_mnist, "FILES", files)
        downloaded = load("fashion-mnist", progress=lambda *_: None)
    assert describe(downloaded) == describe(load("fashion-mnist", path=str(served)))
    assert len(list((cache_folder / "f").glob("*.gz"))) == 4


def fails(folder, message):
    with pytest.raises(DatasetError, match=message):
        load("fashion-mnist", path=str(folder))


def test_missing_folder_and_file(folder, tmp_path):
    fails(tmp_path / "none", "There is no folder .*none; .* with --path")
    (folder / "t10k-labels-idx1-ubyte").unlink()
    fails(folder, "lacks t10k-labels-idx1-ubyte")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train-images-idx3-ubyte", idx(DATA["train_x"])[:-1], "holds 78399 bytes where 100x28x28 are announced"),
        ("train-images-idx3-ubyte", idx(DATA["train_x"]) + b"0", "78401 bytes where"),
        ("train-images-idx3-ubyte", idx(DATA["train_y"]), "not an IDX file of unsigned bytes in 3 dimensions"),
        ("train-images-idx3-ubyte", idx(DATA["train_x"], kind=13), "not an IDX file of unsigned bytes"),
        ("train-images-idx3-ubyte", idx(DATA["train_x"][:0]), "0 bytes where 0x28x28"),
        ("train-images-idx3-ubyte", idx(DATA["train_x"][:, :8]), "images of 8x28, not 28x28"),
        ("train-images-idx3-ubyte", b"", "not an IDX file"),
        ("t10k-labels-idx1-ubyte", idx(DATA["train_y"]), "20 images but .* 100 labels"),
        ("t10k-labels-idx1-ubyte", idx(DATA["test_y"] + 1), "labels up to 10; there are 0 to 9"),
    ],
)
def test_damaged_files(folder, name, content, message):
    (folder / name).write_bytes(content)
    fails(folder, f"{name}.* {message}" if "labels" not in message else message)


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: b"no gzip", lambda data: data[:40] + b"x" * 40]
)
def test_damaged_compression(tmp_path, damage):
    folder = write(tmp_path / "gz")
    file = folder / "train-labels-idx1-ubyte.gz"
    file.write_bytes(damage(file.read_bytes()))
    fails(folder, "train-labels-idx1-ubyte.gz cannot be read .*get it again")
