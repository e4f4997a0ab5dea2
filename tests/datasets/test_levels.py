import numpy as np
import pytest

from analognas.datasets.levels import constants, normalised, to_levels


def test_the_ends_of_the_span_become_the_ends_of_the_levels():
    values = np.array([-2.0, 0.0, 3.0])
    np.testing.assert_array_equal(to_levels(values, (-2.0, 3.0)), [0, 102, 255])
    np.testing.assert_array_equal(to_levels(np.array([0.0, 0.5, 1.0]), (0.0, 1.0), 16.0), [0, 8, 16])
    assert to_levels(values, (-2.0, 3.0)).dtype == np.uint8


@pytest.mark.parametrize("highest", [16.0, 255.0])
def test_levels_that_were_divided_come_back(highest: float):
    levels = np.arange(int(highest) + 1, dtype=np.uint8)
    np.testing.assert_array_equal(to_levels(levels / np.float32(highest), (0.0, 1.0), highest), levels)


def test_one_value_alone_is_the_lowest_level():
    assert to_levels(np.full(3, 7.0), (7.0, 7.0)).tolist() == [0, 0, 0]


def test_normalised_is_centred_and_scaled_per_channel():
    levels = np.random.default_rng(0).integers(0, 17, (5, 2, 3, 4), dtype=np.uint8)
    mean, std = (0.25, 0.5), (0.1, 0.3)
    expected = (levels / 16 - np.reshape(mean, (2, 1, 1))) / np.reshape(std, (2, 1, 1))
    found = normalised(levels, 16.0, mean, std)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert found.dtype == np.float32
    shift, factor = constants(16.0, mean, std)
    assert shift.shape == factor.shape == (2, 1, 1)
    np.testing.assert_array_equal((levels.astype(np.float32) - shift) * factor, found)
