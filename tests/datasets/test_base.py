import json
import pickle

import numpy as np
import pytest

from analognas.datasets.base import PARTS, Split, assemble, describe
from analognas.errors import DatasetError

SPLIT = {"train": [0, 1, 2, 3], "validation": [4, 5], "test": [6, 7]}


def images(shape=(8, 2, 3, 5), seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def dataset(x=None, y=(0, 1, 0, 1, 0, 1, 0, 1), split=SPLIT, names=("a", "b"), **options):
    return assemble("toy", images() if x is None else x, y, split, class_names=names, **options)


def test_shapes_types_and_parts():
    data = dataset(licence="CC0")
    assert (data.name, data.input_shape, data.classes, data.class_names) == ("toy", (2, 3, 5), 2, ("a", "b"))
    assert data.licence == "CC0"
    assert [len(data.part(part)) for part in PARTS] == [4, 2, 2]
    assert data.train.x.dtype == np.uint8
    assert data.train.y.dtype == np.int64
    np.testing.assert_array_equal(data.test.x, images()[6:])


def test_names_of_classes_are_kept_as_they_are():
    names = ("Ångström größe", "नमस्\u200cते 👩\u200d🚀 ")
    assert dataset(names=names).class_names == names


def test_unknown_part_is_named():
    with pytest.raises(DatasetError, match="no part 'valid'; the parts are train, validation, test"):
        dataset().part("valid")


def test_data_are_read_only():
    data = dataset()
    with pytest.raises(ValueError, match="read-only"):
        data.train.x[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        data.test.y[0] = 1
    with pytest.raises(AttributeError):
        data.name = "other"


def test_moments_are_those_of_the_scaled_training_part():
    data = dataset(scale=16.0)
    expected = data.train.x.astype(np.float64) / 16
    np.testing.assert_allclose(data.mean, expected.mean(axis=(0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(data.std, expected.std(axis=(0, 2, 3)), rtol=1e-12)


def test_constant_channel_has_std_one_and_becomes_zero():
    x = images()
    x[:, 1] = 7
    data = dataset(x)
    assert data.std[1] == 1.0
    assert not data.tensors("test")[0][:, 1].any()


def test_tensors_are_normalised_fresh_copies():
    import torch

    data = dataset()
    x, y = data.tensors("train")
    assert x.dtype == torch.float32
    assert x.shape == (4, 2, 3, 5)
    assert y.dtype == torch.int64
    assert y.tolist() == [0, 1, 0, 1]
    torch.testing.assert_close(x.mean(dim=(0, 2, 3)), torch.zeros(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(x.std(dim=(0, 2, 3), correction=0), torch.ones(2), atol=1e-6, rtol=0)
    mean, std = torch.tensor(data.mean)[:, None, None], torch.tensor(data.std)[:, None, None]
    expected = (torch.tensor(data.validation.x) / data.scale - mean) / std
    torch.testing.assert_close(data.tensors("validation")[0], expected)
    x.zero_()
    y.zero_()
    assert data.tensors("train")[0].any()
    assert data.train.y.any()


def test_digest_depends_on_content_alone():
    first = dataset()
    assert dataset(np.asfortranarray(images())).digest == first.digest
    assert dataset(names=("c", "d")).digest == first.digest
    other = images()
    other[7, 0, 0, 0] ^= 1
    assert dataset(other).digest != first.digest
    assert dataset(images().reshape(8, 2, 5, 3)).digest != first.digest
    assert dataset(y=[0, 1, 0, 1, 0, 1, 1, 1]).digest != first.digest
    assert len(first.digest) == 64


def test_split_digest_depends_on_the_split_alone():
    first = dataset()
    moved = dataset(split={"train": [0, 1, 2, 4], "validation": [3, 5], "test": [6, 7]}, y=[0, 1] * 4)
    assert moved.digest == first.digest
    assert moved.split_digest != first.split_digest
    assert dataset(images(seed=1)).split_digest == first.split_digest


def test_description_is_json():
    recorded = json.loads(json.dumps(describe(dataset())))
    assert recorded["sizes"] == {"train": 4, "validation": 2, "test": 2}
    assert recorded["input_shape"] == [2, 3, 5]
    assert recorded["augment"] == []
    assert describe(dataset(augment=("crop", "flip")))["augment"] == ["crop", "flip"]


def test_augmentation_is_checked_and_moves_no_digest():
    assert dataset(augment=["shift"]).augment == ("shift",)
    assert dataset(augment=["shift"]).digest == dataset().digest
    with pytest.raises(DatasetError, match="no augmentation 'blur'; there are crop, flip, cutout, shift, noise"):
        dataset(augment=["blur"])
    with pytest.raises(DatasetError, match="once"):
        dataset(augment=["crop", "crop"])


def test_pickles():
    data = dataset()
    again = pickle.loads(pickle.dumps(data))
    assert describe(again) == describe(data)
    np.testing.assert_array_equal(again.train.x, data.train.x)


def test_split_length():
    assert len(Split(images(), np.zeros(8, dtype=np.int64))) == 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": images().astype(np.float32)}, r"uint8 \(N, C, H, W\); they are float32"),
        ({"x": images()[0]}, "uint8"),
        ({"y": [0, 1]}, "8 images but labels of shape"),
        ({"y": [0, 1, 0, 1, 0, 1, 0, 2]}, "span 0 to 2; 2 classes allow 0 to 1"),
        ({"y": [0, 1, 0, 1, 0, 1, 0, -1]}, "span -1 to 1"),
        ({"names": ("a",), "y": [0] * 8}, "at least 2 classes"),
        ({"names": ("a", "a")}, "more than one class called 'a'; give classes different names"),
        ({"names": ("a", "a ")}, "more than one class called 'a'"),
        ({"names": ("a", "")}, r"a class whose name is blank \(''\); give it a name"),
        ({"names": ("a", " \u3000")}, "a class whose name is blank"),
        (
            {"names": ("a", "b\nc")},
            r"class name 'b\\nc' of dataset toy holds a line break or another control character",
        ),
        ({"names": ("a", "b\x1b[0m")}, "control character; rename the class"),
        ({"names": ("a", "b\u2028c")}, "line break"),
        ({"names": ("a", "\udcff")}, "control character"),
        ({"names": ("a", "b", "c")}, "Class 'c' of dataset toy has no training image"),
        ({"split": {"train": [0, 1]}}, "it needs train, validation, test"),
        ({"split": {**SPLIT, "test": []}}, "The test part of dataset toy would be empty"),
        ({"split": {**SPLIT, "test": [8]}}, "not there"),
        ({"split": {**SPLIT, "test": [5, 6]}}, "already in use"),
        ({"split": {**SPLIT, "test": [6, 6]}}, "already in use"),
    ],
)
def test_mistakes_are_named(changes, message):
    with pytest.raises(DatasetError, match=message):
        dataset(**changes)
