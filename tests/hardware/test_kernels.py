from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from analognas.hardware import kernels

N = 1 << 20
#: Chance that a correct generator fails one of the tests below.
FALSE_ALARM = 1e-6
Z = stats.norm.isf(FALSE_ALARM / 2)


def noise(*keys: int, size: int = N) -> Any:
    out = np.empty(size, np.float32)
    kernels.normal(out, *(np.uint32(key) for key in keys))
    return out


@pytest.fixture(scope="module")
def drawn() -> Any:
    return noise(12345, 678, 91011)


def test_the_noise_is_normal(drawn: Any) -> None:
    assert stats.kstest(drawn, "norm").pvalue > FALSE_ALARM
    assert abs(drawn.astype(float).mean()) < Z / N**0.5
    assert abs(drawn.astype(float).var() - 1) < Z * (2 / N) ** 0.5
    assert abs((drawn.astype(float) ** 4).mean() - 3) < Z * (96 / N) ** 0.5
    beyond = (abs(drawn) > 4).sum()
    assert stats.binomtest(int(beyond), N, 2 * stats.norm.sf(4)).pvalue > FALSE_ALARM
    assert abs(drawn).max() < 6


@pytest.mark.parametrize("lag", [1, 2, 16, 512, 1024, 4096])
def test_elements_are_independent_of_each_other(drawn: Any, lag: int) -> None:
    for power in (1, 2):  # the sine and the cosine of one angle are uncorrelated, and their squares too
        values = drawn.astype(float) ** power
        assert abs(np.corrcoef(values[:-lag], values[lag:])[0, 1]) < Z / (N - lag) ** 0.5


@pytest.mark.parametrize("keys", [(12347, 679, 91012), (3141592653, 271828182, 577215664), (1, 0, 0)])
def test_calls_with_other_keys_are_independent(drawn: Any, keys: tuple[int, int, int]) -> None:
    other = noise(*keys)
    for shift in (0, 1, 512):
        for power in (1, 2):
            a, b = (values.astype(float) ** power for values in (drawn[shift:], other[: N - shift]))
            assert abs(np.corrcoef(a, b)[0, 1]) < Z / (N - shift) ** 0.5


def test_the_same_keys_give_the_same_noise_whatever_the_size(drawn: Any) -> None:
    assert np.array_equal(noise(12345, 678, 91011), drawn)
    for size in (1, 511, 1025, 5000):
        assert np.array_equal(noise(12345, 678, 91011, size=size), drawn[:size])


def test_the_converter_adds_this_noise(drawn: Any) -> None:
    z = np.zeros(5000, np.float32)
    one, keys = np.float32(1), (np.uint32(12345), np.uint32(678), np.uint32(91011))
    nothing = np.empty(0, np.uint8)
    far = np.float32(np.inf)
    outside = kernels.to_output(z, np.float32(0.5), np.float32(0), far, far, (one, one, one), keys, nothing)
    assert outside == 0
    np.testing.assert_array_equal(z, np.float32(0.5) * drawn[:5000])
