import pytest

from analognas.datasets.parts import folds, levels, listed, parts_of


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("train", "val", "test"), ("train", "validation", "test")),
        (("TRAIN", "VALID", "Testing"), ("train", "validation", "test")),
        (("training_set", "test_set"), ("train", "test")),
        (("TrainData", "ValidationData"), ("train", "validation")),
        (("trainset", "testimages"), ("train", "test")),
        (("seg_train", "seg_test", "seg_pred"), ("train", "test", None)),
        (("train2017", "val2017"), ("train", "validation")),
        (("asl_train", "bsl_test"), (None, None)),
        (("train_station", "test_tube"), (None, None)),
        (("train_cat", "train_dog"), (None, None)),
        (("train", "car"), ("train", None)),
        (("brain", "latest"), (None, None)),
        (("train_test",), (None,)),
    ],
)
def test_parts(names, expected):
    told = parts_of(names)
    assert tuple(told.get(name) for name in names) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("fold1", "fold2"), True), (("Fold_0", "fold-10"), True), (("split1", "split2"), True),
        (("cv 1", "cv 2"), True), (("fold1",), False), (("fold1", "cat"), False),
        (("fold", "unfold"), False), (("1", "2"), False),
    ],
)  # fmt: skip
def test_folds(names, expected):
    assert folds(names) is expected


def test_levels():
    assert levels({"anna": ["yes", "no"], "bela": ["no", "yes", "up"]}) == ["no", "yes"]
    assert levels({"anna": ["yes", "no"], "bela": ["no"]}) == []
    assert levels({"anna": ["yes", "no"]}) == []
    assert levels({}) == []


def test_listed():
    assert listed("abc") == "a, b, c"
    assert listed("abcd") == "a, b, c, ..."
