import numpy as np
import pytest

from analognas.datasets.splits import shares, split_off, split_off_groups, stratified_order
from analognas.errors import DatasetError


def labels(*counts):
    return np.repeat(np.arange(len(counts)), counts)


@pytest.mark.parametrize("counts", [(100, 100, 100), (500, 30, 7), (5, 5)])
def test_is_a_permutation_whose_every_prefix_is_stratified(counts):
    y = labels(*counts)
    order = stratified_order(y, seed=0, purpose="test")
    assert sorted(order) == list(range(len(y)))
    drawn = np.cumsum(y[order][:, None] == np.arange(len(counts)), axis=0)
    expected = np.arange(1, len(y) + 1)[:, None] * np.array(counts) / len(y)
    assert np.abs(drawn - expected).max() <= 1.5


def test_depends_on_seed_and_purpose_alone():
    y = labels(50, 50)
    first = stratified_order(y, seed=0, purpose="a").tolist()
    assert stratified_order(y, seed=0, purpose="a").tolist() == first
    assert stratified_order(y, seed=1, purpose="a").tolist() != first
    assert stratified_order(y, seed=0, purpose="b").tolist() != first


def test_order_is_pinned():
    # the split of every recorded dataset depends on it: it must never change
    assert stratified_order(labels(4, 4), seed=0, purpose="pin").tolist() == [2, 7, 0, 4, 6, 3, 5, 1]


def test_shares_of_what_is_missing():
    assert shares({"train": 0}) == {"validation": 0.2, "test": 0.2}
    assert shares({"train": 0, "test": 0}) == {"validation": 0.1}
    assert shares({"train": 0, "validation": 0}) == {"test": 0.2}
    assert shares({"train": 0, "validation": 0, "test": 0}) == {}


def test_what_is_missing_is_cut_off_the_end():
    one = np.zeros(25, dtype=np.int64)
    parts = split_off({"train": np.arange(10)}, one, ["a"])
    assert {part: index.tolist() for part, index in parts.items()} == {
        "train": [0, 1, 2, 3, 4, 5], "test": [6, 7], "validation": [8, 9],
    }  # fmt: skip
    given = {"train": np.arange(20), "test": np.arange(20, 25)}
    parts = split_off(given, one, ["a"])
    assert parts["validation"].tolist() == [18, 19]
    assert parts["test"] is given["test"]


def counts_of(parts, y):
    return {part: np.bincount(y[index], minlength=y.max() + 1).tolist() for part, index in parts.items()}


def test_a_class_with_fewer_images_than_parts_is_refused():
    y = labels(40, 40, 2)
    order = stratified_order(y, seed=0, purpose="test")
    message = "Class 'c' has 2 photos to divide, none of which would be in the train part: add some, or divide all"
    with pytest.raises(DatasetError, match=message):
        split_off({"train": order}, y, ["a", "b", "c"], "photos")
    assert counts_of(split_off({"train": order, "test": np.arange(4)}, y, ["a", "b", "c"]), y)["validation"][2] == 1
    given = {"train": order, "validation": np.arange(9), "test": np.arange(4)}  # as the user wants it
    assert split_off(given, y, ["a", "b", "c"]) == given


@pytest.mark.parametrize("count", [3, 4, 5, 6, 7, 8, 9, 11, 13])
@pytest.mark.parametrize("classes", [2, 3, 10, 37])
def test_a_stratified_split_is_found_wherever_there_is_one(count, classes):
    y = labels(*[count] * classes)
    for seed in range(5):
        order = stratified_order(y, seed=seed, purpose="test")
        parts = split_off({"train": order}, y, list(map(str, range(classes))))
        assert sorted(np.concatenate(list(parts.values()))) == list(range(len(y)))
        for part in ("validation", "test"):
            assert min(counts_of(parts, y)[part]) >= max(1, int(0.2 * count) - 1)
            assert len(parts[part]) == max(classes, round(0.2 * len(y)))
        position = {index: place for place, index in enumerate(order.tolist())}
        assert all(np.all(np.diff([position[i] for i in index.tolist()]) > 0) for index in parts.values())


def test_small_classes_beside_large_ones_are_in_every_part():
    y = labels(400, 40, 4)
    parts = split_off({"train": stratified_order(y, seed=0, purpose="t"), "test": np.arange(9)}, y, list("abc"))
    assert counts_of({"validation": parts["validation"]}, y)["validation"] == [40, 4, 1]
    assert len(parts["train"]) == 399


def test_speakers_are_drawn_again_where_a_draw_leaves_a_class_out():
    # two of six speakers alone say the third word
    y = np.array([0, 1] * 12 + [2, 2, 2, 2])
    groups = [f"s{index // 4}" for index in range(24)] + ["s0", "s1", "s2", "s0"]
    for seed in range(20):
        order = stratified_order(y, seed=seed, purpose="test")
        parts = split_off_groups({"train": order}, groups, y, list("abc"), seed=seed, purpose="test")
        assert all(min(counts) for counts in counts_of(parts, y).values())
        spoken = [{groups[index] for index in parts[part]} for part in parts]
        assert sum(map(len, spoken)) == len(set.union(*spoken)) == 6


def test_a_class_that_one_speaker_has_alone_is_refused():
    y = np.array([0, 0, 0, 0, 1])
    with pytest.raises(DatasetError, match=r"'b' has 1 recordings to divide, none .*: add some by more speakers"):
        split_off_groups({"train": np.arange(5)}, list("abcde"), y, ["a", "b"], seed=0, purpose="test")


def grouped(*sizes, given=(), seed=0):
    groups = [f"speaker {index}" for index, size in enumerate(sizes) for _ in range(size)]
    order = stratified_order(np.arange(len(groups)) % 2, seed=seed, purpose="test")
    extra = {part: np.arange(len(groups), len(groups) + 4) for part in given}
    one = np.zeros(len(groups) + 4, dtype=np.int64)
    parts = split_off_groups(
        {"train": order, **extra}, [*groups, *["other"] * 4], one, ["a"], seed=seed, purpose="test"
    )
    every = np.concatenate([index for part, index in parts.items() if part not in given])
    assert sorted(every) == list(range(len(groups)))
    return [
        {groups[one] for one in parts[part]} for part in ("train", "validation", "test") if part not in given
    ], parts


@pytest.mark.parametrize(
    "sizes", [(50,) * 6, (10,) * 50, (1,) * 5, (30, 20, 10), (500, 1, 1), (1, 1, 500), (90, 5, 5, 5)]
)
@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_in_two_parts(sizes, seed):
    groups, parts = grouped(*sizes, seed=seed)
    assert all(groups)
    assert sum(map(len, groups)) == len(set.union(*groups)) == len(sizes)
    if len(sizes) >= 6:
        assert [len(parts[part]) / sum(sizes) for part in ("validation", "test")] == pytest.approx([0.2, 0.2], abs=0.1)


@pytest.mark.parametrize("seed", range(3))
def test_with_two_groups_the_test_part_gets_one_of_its_own(seed):
    (train, validation, test), parts = grouped(50, 50, seed=seed)
    assert train == validation != test
    assert len(parts["validation"]) == 5


@pytest.mark.parametrize("seed", range(3))
def test_what_two_groups_leave_is_stratified_by_class(seed):
    # ten classes, ten recordings of each by each of two speakers: one for each class is due for validation
    y = np.repeat(np.arange(10), 20)
    groups = ["anna", "bela"] * 100
    order = stratified_order(y, seed=seed, purpose="test")
    parts = split_off_groups({"train": order}, groups, y, list("abcdefghij"), seed=seed, purpose="test")
    counts = {part: np.bincount(y[index], minlength=10).tolist() for part, index in parts.items()}
    assert counts == {"train": [9] * 10, "validation": [1] * 10, "test": [10] * 10}
    assert sorted(np.concatenate(list(parts.values()))) == list(range(200))


def test_the_split_of_three_groups_is_pinned():
    # the keys of recorded results depend on it: it must never change
    order = stratified_order(np.arange(9) % 2, seed=0, purpose="pin")
    parts = split_off_groups(
        {"train": order}, list("abc") * 3, np.zeros(9, dtype=np.int64), ["a"], seed=0, purpose="pin"
    )
    assert {part: index.tolist() for part, index in parts.items()} == {
        "train": [8, 2, 5], "test": [7, 4, 1], "validation": [0, 3, 6],
    }  # fmt: skip


def test_with_one_group_all_is_cut():
    groups, parts = grouped(50)
    assert len(set.union(*groups)) == 1
    assert [len(parts[part]) for part in ("train", "validation", "test")] == [30, 10, 10]


def test_only_what_is_missing_is_split_off_by_group():
    (train, validation), parts = grouped(*(10,) * 10, given=["test"])
    assert len(validation) == 1
    assert not train & validation
    assert len(parts["test"]) == 4


def test_groups_are_drawn_by_the_seed():
    assert grouped(*(10,) * 10)[0] == grouped(*(10,) * 10)[0]
    assert any(grouped(*(10,) * 10, seed=seed)[0][2] != grouped(*(10,) * 10)[0][2] for seed in range(1, 5))
