import json
import sys

import numpy as np
import pytest

from analognas.datasets import Entry, Options, assemble, catalogue, find, load, names, register, registry
from analognas.errors import DatasetError


def toy(options: Options):
    x = np.arange(48, dtype=np.uint8).reshape(12, 1, 2, 2)
    split = {"train": range(8), "validation": [8, 9], "test": [10, 11]}
    return assemble("toy", x, [0, 1] * 6, split, class_names=("even", "odd"), licence=options.path or "CC0")


def augmented(options: Options):
    split = {"train": [0, 1], "validation": [2], "test": [3]}
    x = np.zeros((4, 1, 2, 2), np.uint8)
    return assemble("toy", x, [0, 1] * 2, split, class_names=("a", "b"), augment=("crop", "flip"))


def no_dataset(options: Options):
    return 1


@pytest.fixture
def own(monkeypatch):
    """Let a test register datasets that the next one does not see."""
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))


def test_names():
    assert names() == [
        "digits", "cifar10", "cifar100", "fashion-mnist", "kws", "vww", "analognas-bench", "image-folder", "arrays",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["digits", "Digits", "DIGITS", "di-gits"])
def test_case_and_dashes_are_ignored(name):
    assert load(name).name == "digits"


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("CIFAR-11", "cifar10"), ("digit", "digits"), ("folder", "image-folder"), ("fashion", "fashion-mnist")],
)
def test_unknown_name_says_the_nearest(name, nearest):
    with pytest.raises(DatasetError, match=f"There is no dataset '{name}'; did you mean '{nearest}'"):
        load(name)


def test_unknown_name_far_from_all_lists_them():
    with pytest.raises(DatasetError, match="no dataset 'a thing'; there are digits, cifar10, cifar100, "):
        load("a thing")


def test_a_path_for_a_name_says_what_reads_it(tmp_path, monkeypatch):
    with pytest.raises(DatasetError, match=f"^{tmp_path} is a file or folder, not a dataset's name: .*image-folder"):
        load(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digit").mkdir()
    with pytest.raises(DatasetError, match="There is no dataset 'digit'; did you mean 'digits'"):
        load("digit")


@pytest.mark.parametrize(
    "option",
    [{"path": "/data"}, {"image_size": 16}, {"channels": 3}, {"features": "mfcc"}, {"seconds": 1.0}, {"classes": 12}],
)
def test_options_that_are_not_read_are_refused(option):
    (name,) = option
    with pytest.raises(DatasetError, match=f"Dataset digits takes no {name} .*image-folder"):
        load("digits", **option)


def test_register(own):
    register(Entry("my-toy", toy, licence="CC0", source="made here", accepts=frozenset({"path"})))
    assert names()[-1] == "my-toy"
    assert load("My_Toy", path="mine").licence == "mine"
    with pytest.raises(DatasetError, match="'my-toy' already"):
        register(Entry("MyToy", toy, licence="", source=""))


def test_registered_names_are_gone_afterwards():
    assert "my-toy" not in names()


def test_augmentation_is_the_datasets_own_unless_it_is_given(own):
    register(Entry("my-toy", augmented, licence="CC0", source="made here"))
    assert load("my-toy").augment == ("crop", "flip")
    assert load("my-toy", augment=[]).augment == ()
    assert load("my-toy", augment=["noise", "shift"]).augment == ("noise", "shift")
    assert load("digits").augment == ()
    with pytest.raises(DatasetError, match="no augmentation 'mirror'; there are crop, flip, cutout, shift, noise"):
        load("digits", augment=["mirror"])
    with pytest.raises(DatasetError, match="once"):
        load("digits", augment=["crop", "crop"])


def test_a_function_of_a_module(monkeypatch):
    monkeypatch.setitem(sys.modules, "my_data", sys.modules[__name__])
    assert load("my_data:toy", path="given").licence == "given"
    with pytest.raises(DatasetError, match="returned int, not a Dataset"):
        load("my_data:no_dataset")


@pytest.mark.parametrize("name", ["no_such_module:load", "json:no_such_function", ":load", "json:"])
def test_a_function_that_is_not_there(name):
    with pytest.raises(DatasetError, match=f"Dataset '{name}' (cannot be imported|names no module)"):
        load(name)


def test_catalogue_is_json_and_true(cache_folder):
    rows = {row["name"]: row for row in json.loads(json.dumps([entry.to_dict() for entry in catalogue()]))}
    assert list(rows) == names()
    assert rows["digits"]["available"] is True
    assert rows["cifar10"]["available"] is False
    assert rows["cifar10"]["download_bytes"] == 170_052_171
    assert rows["vww"]["available"] is False
    cache_folder.mkdir()
    (cache_folder / "cifar-10-binary.tar.gz").touch()
    assert find("CIFAR-10").to_dict()["available"] is True
    assert rows["image-folder"]["input_shape"] is None
    data = load("digits")
    assert rows["digits"]["input_shape"] == list(data.input_shape)
    assert rows["digits"]["classes"] == data.classes
    assert rows["digits"]["licence"] == data.licence
    assert all(row["licence"] and row["source"] and row["note"] for row in rows.values())
