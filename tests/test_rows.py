from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from analognas.errors import CorruptFileError
from analognas.rows import ResultRow
from analognas.testing import made_up_result

ROW = replace(made_up_result(3)[1], accuracy=((90.0, 80.0), (91.0, 82.0)))


@pytest.mark.parametrize(
    "row",
    [
        ROW,
        replace(ROW, accuracy=None),
        replace(ROW, status="diverged", reason="loss is nan", measured=dict.fromkeys(ROW.measured), accuracy=()),
        replace(ROW, status="diverged", reason="the table has no value", measured={}, accuracy=None),
    ],
    ids=["measured", "without-repeats", "diverged", "looked-up"],
)
def test_a_row_comes_back_from_json_as_it_was(row: ResultRow):
    assert row.problem() is None
    plain = json.loads(json.dumps(row.to_dict(), allow_nan=False))
    assert ResultRow.from_dict(plain, "it", "do") == row
    assert ResultRow.from_dict(plain, "it", "do").to_dict() == row.to_dict()


def test_a_value_is_asked_for_by_its_column():
    assert ROW["acc_1d"] == 90.0
    failed = replace(ROW, status="diverged", measured=dict.fromkeys(ROW.measured))
    assert not failed.ok
    assert math.isnan(failed["avm"])
    with pytest.raises(KeyError):
        ROW["acc_5s"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"acc_1d": 1000.0}, "has acc_1d = 1000, not a number between 0 and 100"),
        ({"acc_1d_std": -1.0}, "has acc_1d_std = -1"),
        ({"avm": 101}, "has avm = 101"),
        ({"acc_1d": "90"}, "has acc_1d = '90'"),
        ({"acc_1d": None}, "is ok and has no acc_1d"),
        ({"status": "fine"}, "has status = 'fine', not one of ok, diverged, too_large"),
        ({"status": "diverged"}, "is diverged and has acc_1d all the same"),
        ({"params": 0}, "has params = 0"),
        ({"params": True}, "has params = True"),
        ({"tiles": 1.5}, "has tiles = 1.5, not a whole number of at least 1"),
        ({"repeats": None}, "has no repeats"),
        ({"genes": '{"number":4}'}, "its genes are those of"),
        ({"id": "x"}, "has id = 'x', not 16 hexadecimal digits"),
        ({"colour": 3}, "has 'colour', which no result has"),
        ({"accuracy": [[90.0, 80.0]]}, "that are not of 2 repeats"),
        ({"accuracy": [[90.0, 80.0], [90.0]]}, "that are not of 2 repeats"),
        ({"accuracy": [[90.0, 80.0], [90.0, 180.0]]}, "has accuracy = 180"),
        ({"accuracy": "high"}, "that are not of 2 repeats"),
    ],
)
def test_what_is_no_result_is_refused_with_one_sentence(changed: dict[str, object], said: str):
    with pytest.raises(CorruptFileError) as refused:
        ResultRow.from_dict(ROW.to_dict() | changed, "the file", "delete it")
    text = str(refused.value)
    assert text.startswith("the file holds no result of a characterization (it ")
    assert said in text
    assert text.endswith("): delete it.")
    assert "\n" not in text


@pytest.mark.parametrize("data", [None, [], "row", 7, {}, {"id": []}, {1: 2}])
def test_what_is_no_mapping_is_no_row(data: object):
    with pytest.raises(CorruptFileError, match="no result of a characterization"):
        ResultRow.from_dict(data, "the file", "delete it")
