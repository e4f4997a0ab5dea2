import subprocess
import sys

import numpy as np
import pytest

from analognas.datasets import PARTS, Options, digits


@pytest.fixture(scope="module")
def data():
    return digits.load(Options())


def test_shape_and_sizes(data):
    assert (data.name, data.input_shape, data.classes) == ("digits", (1, 8, 8), 10)
    assert [len(data.part(part)) for part in PARTS] == [1000, 397, 400]
    assert data.scale == 16
    assert data.train.x.max() == 16
    assert data.class_names == tuple("0123456789")


def test_is_stratified(data):
    total = sum(np.bincount(data.part(part).y) for part in PARTS)
    for part in PARTS:
        split = data.part(part)
        assert np.abs(np.bincount(split.y) - total * len(split) / 1797).max() <= 2.5


def test_content_and_split_are_pinned(data):
    # recorded results are keyed by these digests
    assert data.digest == "b6338d049b99c890ae962697868d43712dcfebc39cb1e8e8b146f666dba536c5"
    assert data.split_digest == "37d18c32720cb3b619ee99b9d148f4a67e45301d4da6a49ae3b4ca9f65d4b4ca"


def test_every_image_is_in_one_part(data):
    from sklearn.datasets import load_digits

    used = np.concatenate([data.part(part).x for part in PARTS]).reshape(1797, -1)
    assert sorted(map(bytes, used)) == sorted(map(bytes, load_digits().data.astype(np.uint8)))


def test_another_split_seed_moves_images_but_not_the_content(data):
    other = digits.load(Options(split_seed=1))
    assert other.digest == data.digest
    assert other.split_digest != data.split_digest


def test_they_are_read_without_scikit_learn_and_are_the_same(monkeypatch: pytest.MonkeyPatch):
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    read = digits._read()
    assert np.array_equal(read[0], images)
    assert np.array_equal(read[1], labels)
    code = "import sys; from analognas.datasets import load; load('digits'); print('sklearn' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
    monkeypatch.setattr(digits, "find_spec", lambda name: None)  # another version keeps them elsewhere
    assert np.array_equal(digits._read()[0], images)
