import os
import pickle

import numpy as np
import pytest

from analognas.datasets import restricted_pickle

IMAGES = np.arange(12, dtype=np.uint8).reshape(3, 4)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("array", [IMAGES, np.asfortranarray(IMAGES)], ids=["C", "F"])
def test_reads_what_cifar_files_hold(protocol, array):
    batch = {b"data": array, b"labels": [1, 2, 3], "batch_label": b"training batch 1 of 5"}
    loaded = restricted_pickle.loads(pickle.dumps(batch, protocol=protocol))
    assert list(loaded) == ["data", "labels", "batch_label"]
    np.testing.assert_array_equal(loaded["data"], array)
    assert loaded["labels"] == [1, 2, 3]
    assert loaded["batch_label"] == b"training batch 1 of 5"


def test_reads_what_python_2_wrote():
    # as in the published files: protocol 2 of Python 2, where text is bytes and so is the array's content
    state = b"(K\x01K\x02K\x02\x86q\x05cnumpy\ndtype\nq\x06U\x02u1q\x07K\x00K\x01\x87Rq\x08(K\x03U\x01|NNN"
    state += b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x04\x00\x7f\x80\xfftb"
    data = b"\x80\x02}q\x01(U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    data += state + b"U\x06labels](K\x01K\x02eu."
    loaded = restricted_pickle.loads(data)
    np.testing.assert_array_equal(loaded["data"], [[0, 127], [128, 255]])
    assert loaded["labels"] == [1, 2]


class _Attack:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_runs_nothing(protocol, tmp_path):
    made = tmp_path / "made"
    for attack in (_Attack(os.mkdir, str(made)), _Attack(eval, f"open({str(made)!r}, 'w')")):
        with pytest.raises(ValueError, match=r"the name (posix|builtins|__builtin__)\.\w+, which no CIFAR file"):
            restricted_pickle.loads(pickle.dumps({b"data": attack}, protocol=protocol))
    assert not made.exists()


@pytest.mark.parametrize(
    "value",
    [
        np.arange(3, dtype=np.int64),
        np.array([{}], dtype=object),
        np.zeros(1, dtype=[("a", "u1")]),
        np.float64(1),
        _Attack(np.fromfile, "/etc/hostname"),
    ],
    ids=["integers", "objects", "records", "scalar", "numpy function"],
)
def test_nothing_but_arrays_of_bytes(value):
    for protocol in (2, 5):
        with pytest.raises(ValueError, match="damaged or holds something else"):
            restricted_pickle.loads(pickle.dumps({b"data": value}, protocol=protocol))


def test_array_whose_content_does_not_fit():
    data = pickle.dumps({b"data": IMAGES}, protocol=2)
    with pytest.raises(ValueError, match="does not fit its shape"):
        restricted_pickle.loads(data.replace(b"K\x03K\x04\x86", b"K\x7fK\x04\x86"))


@pytest.mark.parametrize("data", [b"", b"\x80", b"hello", pickle.dumps({b"data": IMAGES})[:40]])
def test_damage_is_a_value_error(data):
    with pytest.raises(ValueError, match="it is damaged"):
        restricted_pickle.loads(data)


def test_anything_but_a_dictionary():
    with pytest.raises(ValueError, match="no dictionary"):
        restricted_pickle.loads(pickle.dumps([1]))
