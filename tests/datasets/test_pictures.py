import numpy as np
import pytest

from analognas.datasets.images import Picture
from analognas.datasets.pictures import Pictures
from analognas.errors import DatasetError


def pictures(*rows):
    """Return pictures of (size, further fields of ``Picture``)."""
    kept = Pictures.empty(len(rows))
    for index, (size, more) in enumerate(rows):
        kept.put(index, Picture(np.zeros((1, 1, 1), np.uint8), size, **more))
    return kept


@pytest.mark.parametrize(
    ("sizes", "shape", "told"),
    [
        ([(4, 3)] * 2, (3, 4), "all are 4x3"),
        ([(4, 4)] * 2, (2, 2), "all are 4x4, resized to 2x2"),
        ([(40, 10), (5, 5), (7, 7)], (8, 8), "3 sizes from 5x5 to 40x10, resized to 8x8, 1 of them squeezed"),
        ([(100, 101), (99, 100)], (8, 8), "2 sizes from 99x100 to 100x101, resized to 8x8"),
        ([(4, 4), (2, 2)], (4, 4), "2 sizes from 2x2 to 4x4, resized to 4x4"),
    ],
)
def test_sizes(sizes, shape, told):
    kept = pictures(*((size, {}) for size in sizes))
    assert kept.resized(shape) == told
    several = len(set(sizes)) > 1
    assert kept.doubts(shape, chosen=False) == ([f"{told}; dataset.image_size chooses another size"] * several)
    assert kept.doubts(shape, chosen=True) == []


@pytest.mark.parametrize(("peak", "levels"), [(256, 2), (4095, 16), (16383, 64), (16384, None), (65535, None)])
def test_few_levels(peak, levels):
    kept = pictures(((4, 4), {"peak": peak}), ((4, 4), {}))
    kept.refuse_collapsed("x")
    doubts = kept.doubts((4, 4), chosen=True)
    assert len(doubts) == (levels is not None)
    assert all(f"of which {levels} levels of 256 are left" in doubt for doubt in doubts)


def test_what_collapses():
    with pytest.raises(DatasetError, match="x: 2 images of 16 bits hold no value above 255"):
        pictures(((4, 4), {"peak": 255}), ((4, 4), {"peak": 3})).refuse_collapsed("x")
    with pytest.raises(DatasetError, match="x: 1 images of 32 bits hold values up to 255, 1 others up to 256"):
        pictures(((4, 4), {"peak": 256}), ((4, 4), {"as_bytes": True})).refuse_collapsed("x")
    pictures(((4, 4), {"as_bytes": True}), ((4, 4), {})).refuse_collapsed("x")


def test_turned():
    assert pictures(((4, 4), {"turned": True}), ((4, 4), {})).notes()[0].startswith("turned upright: 1 of")
    assert pictures(((4, 4), {})).notes() == []
