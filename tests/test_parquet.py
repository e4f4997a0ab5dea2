import random
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from analognas import parquet
from analognas.files import file_digest, write_bytes

FRAME = pd.DataFrame(
    {
        "id": ["a", "bc", "", "größer"],
        "reason": ["x", None, None, "y"],
        "round": [0, -1, 2**40, 3],
        "acc_1d": [1.5, float("nan"), -0.0, 1e300],
        "measured": [True, False, True, True],
        "nothing": [None] * 4,
    }
)


@pytest.mark.parametrize(
    "frame",
    [
        FRAME,
        FRAME[["id", "round", "acc_1d", "measured"]].iloc[:0],
        pd.DataFrame({f"column {number}": [number] for number in range(40)}),
        pd.DataFrame({"many": np.arange(250_001), "odd": np.arange(250_001) % 3 == 0}),
        pd.DataFrame({"gaps": [1.0, None, 3.0] * 7, "truth": [True] * 20 + [False]}),
    ],
    ids=["kinds", "empty", "wide", "long", "gaps"],
)
def test_what_is_written_is_read_by_us_and_by_anybody(frame: pd.DataFrame, tmp_path: Path):
    content = parquet.encode(frame)
    expected = frame.assign(nothing=frame["nothing"].astype("str").where([False] * 4)) if "nothing" in frame else frame
    for found in (parquet.decode(content), pd.read_parquet(_file(tmp_path, content))):
        assert list(found) == list(frame)
        pd.testing.assert_frame_equal(found, expected, check_dtype=len(frame) > 0, check_exact=True)
    assert pq.ParquetFile(_file(tmp_path, content), page_checksum_verification=True).read().num_rows == len(frame)


def _file(folder: Path, content: bytes) -> Path:
    write_bytes(folder / "x.parquet", content)
    return folder / "x.parquet"


def test_the_index_and_how_numbers_are_kept_in_memory_are_no_part_of_a_table():
    short = pd.DataFrame(
        {"n": np.array([1, 2], dtype=np.int8), "x": np.array([0.5, 2], dtype=np.float32)}, index=[7, 9]
    )
    assert parquet.encode(short) == parquet.encode(pd.DataFrame({"n": [1, 2], "x": [0.5, 2.0]}))


def test_what_is_no_table_of_ours_cannot_be_written():
    for value in (b"bytes", [1], pd.Timestamp("2026-01-01")):
        with pytest.raises(TypeError, match="column 'x'"):
            parquet.encode(pd.DataFrame({"x": [value]}))


def test_the_bytes_are_those_of_every_version_and_name_none(tmp_path: Path):
    content = parquet.encode(FRAME)
    # What pandas 2.2 with pyarrow 18 and pandas 3.1 with pyarrow 25 give.
    assert file_digest(_file(tmp_path, content)) == "f214382d800880fa078a5591620f922a86c4d8e2b514ae1ad960d51eecf60902"
    for package in ("pandas", "pyarrow", "numpy", "dvc"):
        assert version(package).encode() not in content
        assert package.encode() not in content
    assert b"parquet-cpp" not in content
    assert pq.read_metadata(tmp_path / "x.parquet").created_by in ("", None)
    assert list(pq.read_metadata(tmp_path / "x.parquet").metadata) == [b"analognas.sha256"]


def test_no_bit_may_be_another_one():
    whole, draw = parquet.encode(FRAME), random.Random(0)
    places = {draw.randrange(8 * len(whole)) for _ in range(600)}
    for place in places | set(range(8 * (len(whole) - 120), 8 * len(whole))):  # around the digest all of them
        content = bytearray(whole)
        content[place // 8] ^= 1 << place % 8
        with pytest.raises(ValueError, match="its digest does not fit"):
            parquet.decode(bytes(content))


@pytest.mark.parametrize("cut", [0, 1, 4, 8, 50, 90, 0.5, -1])
def test_a_part_of_a_table_is_none(cut: float):
    whole = parquet.encode(FRAME)
    part = whole[: int(cut * len(whole)) if isinstance(cut, float) else cut]
    for content in (part, whole + whole, whole + b"\0", b"x" + whole):
        with pytest.raises(ValueError, match="digest"):
            parquet.decode(content)


def test_a_table_of_another_program_is_refused(tmp_path: Path):
    FRAME.to_parquet(tmp_path / "x.parquet")
    with pytest.raises(ValueError, match="digest"):
        parquet.decode((tmp_path / "x.parquet").read_bytes())
