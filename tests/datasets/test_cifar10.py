import gzip
import hashlib
import io
import lzma
import pickle
import shutil
import tarfile

import numpy as np
import pytest

from analognas.datasets import PARTS, Options, cifar10, describe, load
from analognas.datasets.published import Published
from analognas.errors import DatasetError

RECORDS = 20
BATCHES = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
LABELS = np.tile(np.arange(10), RECORDS // 10)


def pixels(batch):
    return np.random.default_rng(BATCHES.index(batch)).integers(0, 256, (RECORDS, 3072), dtype=np.uint8)


def write_binary(folder):
    folder.mkdir(parents=True)
    for batch in BATCHES:
        records = np.concatenate([LABELS.astype(np.uint8)[:, None], pixels(batch)], axis=1)
        (folder / f"{batch}.bin").write_bytes(records.tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(cifar10.CLASS_NAMES) + "\n\n")
    return folder


def write_python(folder):
    folder.mkdir(parents=True)
    for batch in BATCHES:
        content = {b"batch_label": batch.encode(), b"labels": LABELS.tolist(), b"data": pixels(batch)}
        (folder / batch).write_bytes(pickle.dumps(content, protocol=2))
    meta = {b"label_names": [name.encode() for name in cifar10.CLASS_NAMES], b"num_vis": 3072}
    (folder / "batches.meta").write_bytes(pickle.dumps(meta, protocol=2))
    return folder


WRITERS = {"cifar-10-batches-bin": write_binary, "cifar-10-batches-py": write_python}


def write_archive(file, layout="cifar-10-batches-bin"):
    folder = WRITERS[layout](file.parent / "packing" / layout)
    with tarfile.open(file, "w:gz") as tar:
        tar.add(folder, arcname=layout)
    shutil.rmtree(folder.parent)
    return file


@pytest.fixture
def binary(tmp_path):
    return write_binary(tmp_path / "cifar-10-batches-bin")


@pytest.fixture
def python(tmp_path):
    return write_python(tmp_path / "cifar-10-batches-py")


def test_binary_folder(binary):
    data = load("CIFAR-10", path=str(binary))
    assert (data.name, data.input_shape, data.classes) == ("cifar10", (3, 32, 32), 10)
    assert data.class_names[0] == "airplane"
    assert [len(data.part(part)) for part in PARTS] == [90, 10, 20]
    assert np.bincount(data.validation.y).tolist() == [1] * 10  # stratified
    np.testing.assert_array_equal(data.test.x.reshape(RECORDS, -1), pixels("test_batch"))
    np.testing.assert_array_equal(data.test.y, LABELS)


def test_every_training_image_is_used_once(binary):
    data = load("cifar10", path=str(binary))
    used = np.concatenate([data.train.x, data.validation.x]).reshape(100, -1)
    every = np.concatenate([pixels(batch) for batch in BATCHES[:5]])
    assert sorted(map(bytes, used)) == sorted(map(bytes, every))


def test_all_layouts_give_the_same_dataset(tmp_path):
    expected = describe(load("cifar10", path=str(write_binary(tmp_path / "anything"))))
    sources = [write_python(tmp_path / "else")]
    for layout in WRITERS:
        parent = tmp_path / f"parent of {layout}"
        WRITERS[layout](parent / layout)
        sources.append(parent)
        sources.append(write_archive(tmp_path / f"{layout}.tar.gz", layout))
    parent = tmp_path / "parent of the archive"
    parent.mkdir()
    write_archive(parent / "cifar-10-python.tar.gz", "cifar-10-batches-py")
    for source in [*sources, parent]:
        assert describe(load("cifar10", path=str(source))) == expected, source


def test_an_archive_is_decoded_once(tmp_path, monkeypatch):
    archive = write_archive(tmp_path / "cifar-10-binary.tar.gz")
    first = describe(load("cifar10", path=str(archive)))
    monkeypatch.setattr(tarfile, "open", None)
    assert describe(load("cifar10", path=str(archive))) == first


def test_split_seed(binary):
    first, second = (load("cifar10", path=str(binary), split_seed=seed) for seed in (0, 1))
    assert first.digest == second.digest
    assert first.split_digest != second.split_digest


def fails(path, message):
    with pytest.raises(DatasetError, match=message):
        cifar10.load(Options(path=str(path)))


def test_missing_path(tmp_path):
    fails(tmp_path / "none", "There is no .*none; .* with --path")


def test_folder_of_something_else(tmp_path):
    fails(tmp_path, "holds neither .* use image-folder")


def test_missing_batch(binary):
    (binary / "data_batch_3.bin").unlink()
    fails(binary, "lacks data_batch_3.bin")


@pytest.mark.parametrize("size", [0, 3073 * RECORDS - 1, 3072])
def test_truncated_binary_file(binary, size):
    file = binary / "data_batch_2.bin"
    file.write_bytes(file.read_bytes()[:size])
    fails(binary, f"data_batch_2.bin in .* is not a CIFAR-10 file: its size, {size} bytes, is not a multiple")


def test_binary_label_out_of_range(binary):
    file = binary / "test_batch.bin"
    file.write_bytes(b"\x0a" + file.read_bytes()[1:])
    fails(binary, "test_batch.bin in .* labels from 0 to 10; there are 0 to 9")


def test_cifar_100_in_the_same_layout(binary):
    (binary / "batches.meta.txt").write_text("apple\nbear\n")
    fails(binary, "does not name CIFAR-10's classes")


def test_other_classes_in_the_python_layout(python):
    (python / "batches.meta").write_bytes(pickle.dumps({b"label_names": [b"apple"]}))
    fails(python, "does not name CIFAR-10's classes")
    (python / "batches.meta").write_bytes(pickle.dumps({b"fine_label_names": [b"apple"]}))
    fails(python, "batches.meta in .* no list under 'label_names'")


def test_truncated_pickle(python):
    file = python / "data_batch_1"
    file.write_bytes(file.read_bytes()[:-100])
    fails(python, "data_batch_1 in .* is not a CIFAR-10 file: it is damaged")


def test_malicious_pickle(python, tmp_path):
    class Attack:
        def __reduce__(self):
            return eval, (f"open({str(tmp_path / 'made')!r}, 'w')",)

    (python / "data_batch_4").write_bytes(pickle.dumps(Attack(), protocol=2))
    fails(python, "data_batch_4 in .* the name __builtin__.eval, which no CIFAR file has")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({b"data": pixels("test_batch")[:, :100]}, "no images of 3072 bytes"),
        ({b"data": [1, 2]}, "no images of 3072 bytes"),
        ({b"labels": [0] * 3}, "20 images but 3 labels"),
        ({b"labels": [-1] * RECORDS}, "labels from -1 to -1"),
        ({b"labels": [10**30] * RECORDS}, "there are 0 to 9"),
        ({b"labels": ["cat"] * RECORDS}, "no list of integers"),
        ({b"labels": None}, "no list of integers"),
    ],
)
def test_wrong_content_of_a_pickle(python, changes, message):
    content = {b"labels": LABELS.tolist(), b"data": pixels("test_batch"), **changes}
    (python / "test_batch").write_bytes(pickle.dumps(content, protocol=2))
    fails(python, message)


def test_damaged_archive(tmp_path):
    archive = write_archive(tmp_path / "cifar-10-binary.tar.gz")
    whole = archive.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:2000] + bytes(2000) + whole[4000:], b"no archive", b""):
        archive.write_bytes(damaged)
        fails(archive, "is not a whole tar archive")


def test_damaged_xz(tmp_path):
    whole = lzma.compress(gzip.decompress(write_archive(tmp_path / "cifar-10-binary.tar.gz").read_bytes()))
    archive = tmp_path / "cifar-10-binary.tar.xz"
    archive.write_bytes(whole[:-4000] + bytes(2000) + whole[-2000:])
    fails(archive, "is not a whole tar archive")


def test_archive_of_something_else(tmp_path):
    archive = tmp_path / "other.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("readme"), io.BytesIO())
    fails(archive, "other.tar.gz lacks data_batch_1")


def test_download(tmp_path, monkeypatch, serve):
    archive = write_archive(tmp_path / "served" / "cifar-10-binary.tar.gz")
    md5 = hashlib.md5(archive.read_bytes()).hexdigest()
    with serve(archive.parent) as address:
        monkeypatch.setattr(cifar10, "FILES", (Published(f"{address}/{archive.name}", f"md5:{md5}", 1),))
        steps = []
        downloaded = load("cifar10", progress=lambda *step: steps.append(step))
    assert steps[-1][2] == "downloading CIFAR-10"
    assert describe(load("cifar10")) == describe(downloaded)  # the server is gone


def test_failed_download(monkeypatch):
    monkeypatch.setattr(cifar10, "FILES", (Published("http://127.0.0.1:1/cifar-10-binary.tar.gz", "md5:0", 1),))
    with pytest.raises(DatasetError, match=r"CIFAR-10 could not be downloaded .* with the archive"):
        load("cifar10")
