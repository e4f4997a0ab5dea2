import zipfile
import zlib
from tokenize import TokenError

import numpy as np
import pytest

from analognas.datasets import PARTS, describe, load
from analognas.errors import AnalogNASWarning, DatasetError

X = np.random.default_rng(0).integers(0, 256, (40, 3, 6, 5), dtype=np.uint8)
Y = np.tile([0, 1], 20)


def from_npz(tmp_path, name="set.npz", **arrays):
    np.savez(tmp_path / name, **arrays)
    return load("arrays", path=str(tmp_path / name))


def fails(tmp_path, message, **arrays):
    with pytest.raises(DatasetError, match=message):
        from_npz(tmp_path, **arrays)


def sizes(data):
    return [len(data.part(part)) for part in PARTS]


def test_x_and_y_are_split(tmp_path):
    data = from_npz(tmp_path, x=X, y=Y)
    assert (data.name, data.input_shape, data.class_names) == ("arrays", (3, 6, 5), ("0", "1"))
    assert sizes(data) == [24, 8, 8]
    assert all(data.part(part).y.mean() == 0.5 for part in PARTS)
    used = np.concatenate([data.part(part).x for part in PARTS])
    assert sorted(map(bytes, used)) == sorted(map(bytes, X))


def test_the_folder_of_the_only_file(tmp_path):
    expected = from_npz(tmp_path, x=X, y=Y)
    assert describe(load("arrays", path=str(tmp_path))) == describe(expected)
    np.savez(tmp_path / "other.npz", x=X)
    with pytest.raises(DatasetError, match=r"holds 2 \.npz files"):
        load("arrays", path=str(tmp_path))


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_parts_are_taken_as_they_are(tmp_path, name):
    given = {"x_train": X[:20], "y_train": Y[:20], "x_test": X[20:30], "y_test": Y[20:30]}
    assert sizes(from_npz(tmp_path, **given)) == [18, 2, 10]
    data = from_npz(tmp_path, **given, **{f"x_{name}": X[30:], f"y_{name}": Y[30:]})
    assert sizes(data) == [20, 10, 10]
    assert sorted(map(bytes, data.test.x)) == sorted(map(bytes, X[20:30]))


def test_x_and_y_beside_other_parts_are_the_training_part(tmp_path):
    rest = {"x_test": X[20:30], "y_test": Y[20:30]}
    expected = from_npz(tmp_path, x_train=X[:20], y_train=Y[:20], **rest)
    assert describe(from_npz(tmp_path, x=X[:20], y=Y[:20], **rest)) == describe(expected)
    assert sizes(from_npz(tmp_path, x=X[:20], y=Y[:20], x_val=X[30:], y_val=Y[30:], **rest)) == [20, 10, 10]
    assert sizes(from_npz(tmp_path, x=X[:30], y=Y[:30], x_val=X[30:], y_val=Y[30:])) == [24, 10, 6]
    assert sizes(from_npz(tmp_path, x=X, y=Y, mean=X[0])) == [24, 8, 8]


def test_axes(tmp_path):
    expected = from_npz(tmp_path, x=X, y=Y)
    assert describe(from_npz(tmp_path, x=X.transpose(0, 2, 3, 1), y=Y[:, None])) == describe(expected)
    assert from_npz(tmp_path, x=X[:, 0], y=Y).input_shape == (1, 6, 5)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((3, 6, 5), (3, 6, 5)),
        ((1, 2, 40), (1, 2, 40)),
        ((6, 5, 3), (3, 6, 5)),
        ((2, 40, 1), (1, 2, 40)),
        ((16, 8, 8), (16, 8, 8)),  # square on one reading alone
        ((8, 8, 16), (16, 8, 8)),
        ((2, 8, 8), (2, 8, 8)),
        ((3, 3, 1), (1, 3, 3)),
        ((16, 1, 1), (1, 16, 1)),
    ],
)
def test_the_axis_of_the_channels(tmp_path, shape, expected):
    x = np.random.default_rng(0).integers(0, 256, (40, *shape), dtype=np.uint8)
    data = from_npz(tmp_path, x=x, y=Y)
    assert data.input_shape == expected
    first = x if shape == expected else x.transpose(0, 3, 1, 2)
    assert {image.tobytes() for image in data.train.x} <= {image.tobytes() for image in first}


@pytest.mark.parametrize("shape", [(2, 6, 5), (8, 8, 8), (3, 6, 1), (3, 3, 3)])
def test_an_axis_that_cannot_be_told(tmp_path, shape):
    fails(
        tmp_path,
        r"x of train has shape \(40, .*, which does not tell the axis of the channels; give .* 1 or 3 channels",
        x=np.zeros((40, *shape), np.uint8),
        y=Y,
    )


def test_a_part_that_would_lack_a_class(tmp_path):
    y = np.repeat([0, 1, 2], [40, 43, 1])
    x = X.reshape(-1)[: 84 * 16].reshape(84, 4, 4)
    message = "Class '2' has 1 images to divide, none of which would be in the train part: add some, or divide"
    fails(tmp_path, message, x_train=x, y_train=y, x_test=x, y_test=y)
    fewer = {"x_test": x[36:], "y_test": y[36:]}
    assert sizes(from_npz(tmp_path, x_train=x, y_train=y, x_val=x, y_val=y, **fewer)) == [84, 84, 48]


def test_a_given_part_that_lacks_a_class(tmp_path):
    y = np.arange(40) % 4
    lacks = {"x_test": X[y != 2], "y_test": y[y != 2]}
    message = "class 'c' has no images in test; add some, or leave the test part out, so that one is split off"
    fails(tmp_path, message, x_train=X, y_train=np.array(list("abcd"))[y], **{**lacks, "y_test": ["a", "b", "d"] * 10})
    val = {"x_val": X[y < 3], "y_val": y[y < 3]}
    fails(tmp_path, "class '3' has no images in validation; add some, or leave the validation", x=X, y=y, **val)
    message = r"class '3' has no images in train; add some\.$"
    fails(tmp_path, message, x=val["x_val"], y=val["y_val"], x_test=lacks["x_test"], y_test=lacks["y_test"])


def test_numbers_are_spread_over_the_levels_of_a_byte(tmp_path):
    small = from_npz(tmp_path, x=X / np.float32(255), y=Y)
    assert describe(small) == describe(from_npz(tmp_path, x=X, y=Y))
    wide = from_npz(tmp_path, x=X.astype(np.float64) - 128, y=Y)
    assert describe(wide)["digest"] == describe(small)["digest"] if X.min() == 0 and X.max() == 255 else True
    booleans = from_npz(tmp_path, x=X > 127, y=Y)
    assert set(np.unique(booleans.train.x)) == {0, 255}


def test_one_range_for_all_parts(tmp_path):
    low, high = np.tile([[10, 20]], (20, 2, 1)), np.tile([[20, 30]], (9, 2, 1))
    data = from_npz(tmp_path, x_train=low, y_train=Y[:20], x_test=high, y_test=Y[:9])
    assert (data.train.x.min(), data.train.x.max(), data.test.x.min(), data.test.x.max()) == (0, 128, 128, 255)


def test_constant_arrays_are_refused(tmp_path):
    for x, level in (
        (np.full((40, 2, 2), 7.0), 0),
        (np.zeros((40, 2, 2), np.uint8), 0),
        (np.full((40, 2, 2), 1.0), 255),
    ):
        fails(tmp_path, f"set.npz: every value of all 40 images is {level} of 255, so nothing can be learned", x=x, y=Y)


def test_values_that_collapse_are_told(tmp_path):
    x = np.random.default_rng(0).random((40, 8, 8))
    for squeezed, scale in ((np.where(x > 0.999, 1e6, x), "0.0.* to 1e\\+06"), (x / 100, "0 to 1")):
        with pytest.warns(
            AnalogNASWarning, match=rf"99 % of the values are from .* from {scale}, which leaves [1-4] of"
        ):
            data = from_npz(tmp_path, x=squeezed, y=Y)
        assert "of 256 for them; clip or scale the values" in data.notes[0]
    sparse = np.where(x > 0.999, x, 0)  # nothing is lost
    assert not from_npz(tmp_path, x=sparse, y=Y).notes


def test_parts_of_unlike_ranges_are_told(tmp_path):
    with pytest.warns(
        AnalogNASWarning, match=r"dataset arrays: the images of test span the levels 0 to 15 of 255, those of train"
    ):
        from_npz(tmp_path, **in_parts(X, X // 16))
    with pytest.warns(AnalogNASWarning, match=r"train span the levels 0 to 16 of 255, those of test 0 to 255; look"):
        from_npz(tmp_path, **in_parts(X.astype(int), X.astype(int) * 16))


def test_how_it_was_read_is_told(tmp_path):
    last = X.transpose(0, 2, 3, 1)
    reading = from_npz(tmp_path, x=last / 255, y=Y, mean=X[0], x_test=last[:9] / 300, y_test=Y[:9]).reading
    assert reading.sizes == "all are 5x6, float64 (N, H, W, C)"
    assert reading.given == {"train": "x", "test": "x_test"}
    assert reading.passed_over == {"array mean": 1}
    assert reading.ranges == {"train": (0.0, 1.0), "test": (0.0, pytest.approx(0.85))}
    assert from_npz(tmp_path, x=X[:, 0], y=Y).reading.sizes == "all are 5x6, uint8 (N, H, W)"


def in_parts(train, test):
    return {"x_train": train, "y_train": Y, "x_test": test, "y_test": Y}


@pytest.mark.parametrize(
    ("train", "test", "spans"),
    [
        (X / 255, X * 1.0, "train are from 0 to 1, those of test from 0 to 255"),
        (X * 1.0, X / 300, "test are from 0 to 0.85, those of train from 0 to 255"),
        (X / 127.5 - 1, X * 1.0, "train are from -1 to 1, those of test from 0 to 255"),
        (X / 255, X / 64 - 2.5, "train are from 0 to 1, those of test from -2.5 to 1.48438"),
        (X // 128, X, "train are from 0 to 1, those of test from 0 to 255"),
        (X.astype(np.int64), X // 128, "test are from 0 to 1, those of train from 0 to 255"),
    ],
)
def test_parts_on_different_scales(tmp_path, train, test, spans):
    fails(tmp_path, rf"set.npz: the values of {spans}; give all parts in one range\.$", **in_parts(train, test))


@pytest.mark.parametrize(
    ("train", "test"),
    [
        (X / 255, X / 400),  # a part that happens to be dark
        (X / 255, X / 250),  # resizing may overshoot
        (X / 255 * 2 - 1, X / 255 * 1.1 - 0.1),
        (X * 1.0, X / 2),
        (X - 128.0, X - 100.0),
        (X // 128, X // 200),
        (X // 128, X // 30),  # counts
        (X, X // 2),
        (X > 100, X > 200),
    ],
)
def test_parts_on_one_scale(tmp_path, train, test):
    assert sizes(from_npz(tmp_path, **in_parts(train, test))) == [36, 4, 40]


def test_text_labels_with_class_names(tmp_path):
    text = np.where(Y, "cat", "dog")
    data = from_npz(tmp_path, x=X, y=text, class_names=["dog", "cat"])
    assert data.class_names == ("dog", "cat")
    assert describe(data) == describe(from_npz(tmp_path, x=X, y=Y))
    assert from_npz(tmp_path, x=X, y=text, class_names=["dog", "cow", "cat"]).class_names == ("dog", "cat")
    message = r"set.npz: label 'cat' is not one of class_names; add it there, or leave class_names out\.$"
    fails(tmp_path, message, x=X, y=text, class_names=["dog", "Cat"])
    three = np.array(["b", "c", "a"])[np.arange(40) % 3]
    data = from_npz(tmp_path, x=X, y=three, class_names=["b", "c", "a", "b"])
    assert data.class_names == ("b", "c", "a")
    assert data.digest == from_npz(tmp_path, x=X, y=np.arange(40) % 3).digest


def test_values_that_are_not_finite_are_found(tmp_path):
    x = X / 255
    x[[7, 9], 0, 1] = np.nan
    message = r"set.npz: there are values that are not finite in 2 of 40 images of test, the first at index 7; mend"
    fails(tmp_path, message, **in_parts(X / 255, x))
    x[[7, 9], 0, 1] = -np.inf
    fails(tmp_path, "in 2 of 40 images of train, the first at index 7", x=x.astype(np.float16), y=Y)


def test_labels_of_any_kind(tmp_path):
    text = from_npz(tmp_path, x=X, y=np.where(Y, "dog", "cat"))
    assert text.class_names == ("cat", "dog")
    assert from_npz(tmp_path, x=X, y=Y * 5 - 2).class_names == ("-2", "3")
    assert from_npz(tmp_path, x=X, y=Y, class_names=["cat", "dog"]).class_names == ("cat", "dog")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, r"holds \['x'\]; it needs both x and y\.$"),
        ({"X": X, "Y": Y}, r"holds \['X', 'Y'\]; it needs x and y, or x_train and y_train\.$"),
        ({}, "holds nothing"),
        ({"x_train": X, "y_train": Y, "x_test": X}, r"it needs both x_test and y_test\.$"),
        ({"x_train": X, "y_train": Y, "x_val": X, "y_val": Y, "x_valid": X, "y_valid": Y}, "for the validation part"),
        (
            {"x": X, "y": Y, "x_train": X, "y_train": Y},
            r"holds x, y, x_train, y_train for the train part; keep one pair, as x_train and y_train\.$",
        ),
        ({"x": X, "y_train": Y}, "holds x, y_train for the train part; keep one pair"),
        (
            {"x": X, "y": Y, "x_tset": X},
            "holds x_tset, which names no part; remove it or rename it: .*x_test",
        ),
        ({"x": X, "y": Y, "Y_test": Y}, "holds Y_test, which names no part"),
        ({"x_test": X, "y_test": Y}, "it needs x and y"),
        ({"x": X, "y": Y[:-1]}, r"labels \(39,\); give one label per image"),
        ({"x": X, "y": np.eye(2)[Y]}, r"labels \(40, 2\); give one label"),
        ({"x": X[:, 0, 0], "y": Y}, r"has shape \(40, 5\); it has to be"),
        ({"x": X.astype("U3"), "y": Y}, "x of train is of type"),
        ({"x": X.astype(complex), "y": Y}, "x of train is of type complex128"),
        ({"x": X[:0], "y": Y[:0]}, r"train has no images; add some\.$"),
        ({"x": X, "y": Y, "x_val": X[:0], "y_val": Y[:0]}, "validation has no images; add some, or leave the part out"),
        ({"x": X[:0], "y": Y}, r"images \(0, 3, 6, 5\) but labels \(40,\); give one label"),
        ({"x": X, "y": Y + 0.5}, "labels have to be integers or text"),
        ({"x": X, "y": Y * 0}, "at least 2 classes"),
        (
            {"x": X, "y": Y, "class_names": ["a"]},
            "class_names has 1 names for the classes from 0 on, but labels are from 0 to 1; name all",
        ),
        ({"x": X, "y": Y - 1, "class_names": ["a", "b"]}, "but labels are from -1 to 0"),
        ({"x": X, "y": Y.astype(str), "class_names": "a"}, r"class_names has shape \(\); give one name per class"),
        ({"x": X, "y": Y, "x_test": X, "y_test": Y.astype(str)}, "in all parts the same; not <U21 and int64"),
        ({"x_train": X, "y_train": Y, "x_test": X[:, :1], "y_test": Y}, r"images of test are \(1, 6, 5\)"),
        (
            {"x_train": X, "y_train": Y, "x_test": X / np.float32(255), "y_test": Y},
            "its parts hold images of floating-point numbers and of integers; give all parts in one type",
        ),
        ({"x_train": X, "y_train": Y, "x_test": X > 99, "y_test": Y}, "images of integers and of truth values"),
        ({"x": np.zeros((40, 0, 8), np.float32), "y": Y}, r"has shape \(40, 0, 8\); it has to be"),
        ({"x": np.zeros((40, 0, 8, 3)), "y": Y}, r"has shape \(40, 0, 8, 3\); it has to be"),
    ],
)
def test_wrong_content(tmp_path, arrays, message):
    fails(tmp_path, f"{tmp_path}.*{message}" if "classes" not in message else message, **arrays)


def test_objects_are_not_unpickled(tmp_path):
    class Attack:
        def __reduce__(self):
            return eval, (f"open({str(tmp_path / 'made')!r}, 'w')",)

    with pytest.raises(DatasetError, match="it holds Python objects"):
        from_npz(tmp_path, x=np.array([Attack()], dtype=object), y=Y)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-60], lambda data: b"", lambda data: b"text", lambda data: data[:80]]
)
def test_damaged_file(tmp_path, damage):
    file = tmp_path / "set.npz"
    np.savez(file, x=X, y=Y)
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DatasetError, match=r"set.npz cannot be read as an .npz file of numbers") as caught:
        load("arrays", path=str(file))
    assert "Python objects" not in str(caught.value)


def test_a_text_file(tmp_path):
    (tmp_path / "set.npz").write_text("x, y\n1, 2\n")
    with pytest.raises(DatasetError, match=r"\(it is not an .npz archive\); write it with numpy.savez"):
        load("arrays", path=str(tmp_path))


@pytest.mark.parametrize(
    ("content", "place", "cause"),
    [
        (b"text" * 100, 30 + len("x.npy"), zlib.error),  # the first byte of the compressed ones
        (b"\x93NUMPY\x01\x00\x14\x00{'descr': ('|u1', (((", None, TokenError),
    ],
)
def test_a_damaged_compressed_file(tmp_path, content, place, cause):
    file = tmp_path / "set.npz"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", content)
    if place is not None:
        whole = file.read_bytes()
        file.write_bytes(whole[:place] + b"\xff" + whole[place + 1 :])
    with pytest.raises(DatasetError, match=r"set.npz cannot be read as an .npz file of numbers \(.+\)") as caught:
        load("arrays", path=str(file))
    assert isinstance(caught.value.__cause__, cause)


def test_a_single_array_and_no_path(tmp_path):
    np.save(tmp_path / "x.npy", X)
    with pytest.raises(DatasetError, match="a single array"):
        load("arrays", path=str(tmp_path / "x.npy"))
    with pytest.raises(DatasetError, match="There is no"):
        load("arrays", path=str(tmp_path / "none.npz"))
    with pytest.raises(DatasetError, match="give it with --path FILE"):
        load("arrays")
