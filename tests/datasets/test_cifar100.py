import pickle
import tarfile

import numpy as np
import pytest

from analognas.datasets import PARTS, cifar100, describe, load
from analognas.errors import DatasetError

COUNTS = {"train": 200, "test": 100}


def content(batch):
    random = np.random.default_rng(COUNTS[batch])
    fine = np.tile(np.arange(100, dtype=np.uint8), COUNTS[batch] // 100)
    return random.integers(0, 256, (COUNTS[batch], 3072), dtype=np.uint8), fine


def write_binary(folder):
    folder.mkdir(parents=True)
    for batch in COUNTS:
        x, fine = content(batch)
        coarse = fine // 5
        (folder / f"{batch}.bin").write_bytes(np.column_stack([coarse, fine, x]).astype(np.uint8).tobytes())
    (folder / "fine_label_names.txt").write_text("\n".join(cifar100.CLASS_NAMES) + "\n")
    (folder / "coarse_label_names.txt").write_text("aquatic_mammals\nfish\n")
    return folder


def write_python(folder):
    folder.mkdir(parents=True)
    for batch in COUNTS:
        x, fine = content(batch)
        stored = {b"coarse_labels": (fine // 5).tolist(), b"fine_labels": fine.tolist(), b"data": x}
        (folder / batch).write_bytes(pickle.dumps(stored, protocol=2))
    meta = {b"fine_label_names": [name.encode() for name in cifar100.CLASS_NAMES], b"coarse_label_names": [b"fish"]}
    (folder / "meta").write_bytes(pickle.dumps(meta, protocol=2))
    return folder


def test_the_fine_labels_count(tmp_path):
    data = load("CIFAR-100", path=str(write_binary(tmp_path / "set")))
    assert (data.name, data.input_shape, data.classes) == ("cifar100", (3, 32, 32), 100)
    assert len(set(data.class_names)) == 100
    assert [len(data.part(part)) for part in PARTS] == [180, 20, 100]
    np.testing.assert_array_equal(data.test.y, np.arange(100))
    np.testing.assert_array_equal(data.test.x.reshape(100, -1), content("test")[0])


def test_all_layouts_give_the_same_dataset(tmp_path):
    folder = write_binary(tmp_path / "b" / "cifar-100-binary")
    expected = describe(load("cifar100", path=str(folder)))
    archive = tmp_path / "cifar-100-binary.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, arcname=folder.name)
    for source in (folder.parent, archive, tmp_path, write_python(tmp_path / "p" / "cifar-100-python").parent):
        assert describe(load("cifar100", path=str(source))) == expected, source


def test_other_files_are_refused(tmp_path):
    folder = write_binary(tmp_path / "set")
    (folder / "fine_label_names.txt").write_text("cat\ndog\n")
    with pytest.raises(DatasetError, match="does not name CIFAR-100's classes"):
        load("cifar100", path=str(folder))
    (folder / "fine_label_names.txt").unlink()
    (folder / "train.bin").write_bytes((folder / "train.bin").read_bytes()[:-1])
    with pytest.raises(DatasetError, match=r"train.bin in .* is not a CIFAR-100 file: .* not a multiple of 3074"):
        load("cifar100", path=str(folder))
    (folder / "test.bin").unlink()
    with pytest.raises(DatasetError, match=r"holds neither CIFAR-100's files \(train.bin or train\)"):
        load("cifar100", path=str(tmp_path))
