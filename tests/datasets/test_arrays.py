import zipfile
import zlib
from tokenize import TokenError

import numpy as np
import pytest

from analognas.datasets import PARTS, describe, load
from analognas.errors import DatasetError

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
    y = np.repeat([0, 1, 2], [40, 40, 4])
    x = np.zeros((84, 4, 4), np.uint8)
    message = "Class '2' has 4 images to divide, none of which would be in the validation part: add some, or divide"
    fails(tmp_path, message, x_train=x, y_train=y, x_test=x, y_test=y)
    assert sizes(from_npz(tmp_path, x_train=x, y_train=y, x_val=x, y_val=y, x_test=x[:9], y_test=y[:9])) == [84, 84, 9]


def test_numbers_are_spread_over_the_levels_of_a_byte(tmp_path):
    small = from_npz(tmp_path, x=X / np.float32(255), y=Y)
    assert describe(small) == describe(from_npz(tmp_path, x=X, y=Y))
    wide = from_npz(tmp_path, x=X.astype(np.float64) - 128, y=Y)
    assert describe(wide)["digest"] == describe(small)["digest"] if X.min() == 0 and X.max() == 255 else True
    booleans = from_npz(tmp_path, x=X > 127, y=Y)
    assert set(np.unique(booleans.train.x)) == {0, 255}
    assert not from_npz(tmp_path, x=np.full((40, 2, 2), 7.0), y=Y).train.x.any()


def test_one_range_for_all_parts(tmp_path):
    data = from_npz(
        tmp_path, x_train=np.full((20, 2, 2), 10), y_train=Y[:20], x_test=np.full((9, 2, 2), 30), y_test=Y[:9]
    )
    assert data.train.x.max() == 0
    assert data.test.x.min() == 255


def test_labels_of_any_kind(tmp_path):
    text = from_npz(tmp_path, x=X, y=np.where(Y, "dog", "cat"))
    assert text.class_names == ("cat", "dog")
    assert from_npz(tmp_path, x=X, y=Y * 5 - 2).class_names == ("-2", "3")
    assert from_npz(tmp_path, x=X, y=Y, class_names=["cat", "dog"]).class_names == ("cat", "dog")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, r"holds \['x'\]; it needs x and y, or x_train and y_train"),
        ({}, "holds nothing"),
        ({"x_train": X, "y_train": Y, "x_test": X}, "needs one x and one y for test"),
        ({"x_train": X, "y_train": Y, "x_val": X, "y_val": Y, "x_valid": X, "y_valid": Y}, "one y for validation"),
        ({"x_test": X, "y_test": Y}, "it needs x and y"),
        ({"x": X, "y": Y[:-1]}, r"labels \(39,\); give one label per image"),
        ({"x": X, "y": np.eye(2)[Y]}, r"labels \(40, 2\); give one label"),
        ({"x": X[:, 0, 0], "y": Y}, r"has shape \(40, 5\); it has to be"),
        ({"x": X.astype("U3"), "y": Y}, "x of train is of type"),
        ({"x": X.astype(complex), "y": Y}, "x of train is of type complex128"),
        ({"x": np.full((40, 2, 2), np.nan), "y": Y}, "not finite"),
        ({"x": X, "y": Y + 0.5}, "labels have to be integers or text"),
        ({"x": X, "y": Y * 0}, "at least 2 classes"),
        ({"x": X, "y": Y, "class_names": ["a"]}, "class_names has to name the classes 0 to 1"),
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
    with pytest.raises(DatasetError, match=r"set.npz cannot be read as an .npz file of numbers"):
        load("arrays", path=str(file))


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
