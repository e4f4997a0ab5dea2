"""Products and correlations of shifted rows, against loops over numbers; widths of rows around those of vectors."""

from __future__ import annotations

import numpy as np
import pytest

from analognas.hardware.vectors import LANES, SIDE_BY_SIDE, correlate, products

RUNS = [1, 5, LANES - 1, LANES, LANES + 1, SIDE_BY_SIDE * LANES, SIDE_BY_SIDE * LANES + 3, 3 * SIDE_BY_SIDE * LANES - 1]


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("outputs", [1, 3, 4, 6])
def test_products(run: int, outputs: int):
    rng = np.random.default_rng(run + outputs)
    rows, row, out_row = 3, run + 7, run + 2
    offsets = rng.integers(0, 50, 5)
    source = rng.standard_normal(rows * row + 60).astype(np.float32)
    matrix = rng.standard_normal((outputs, 5)).astype(np.float32)
    plane = rows * out_row + 3
    out = np.full(2 + outputs * plane, 9.0, np.float32)
    expected = out.copy()
    for o in range(outputs):
        for y in range(rows):
            start = 2 + o * plane + y * out_row
            shifted = np.stack([source[k + y * row : k + y * row + run] for k in offsets])
            expected[start : start + run] = matrix[o].astype(float) @ shifted
    products(source, row, offsets, matrix.reshape(-1), outputs, rows, run, out, 2, plane, out_row)
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)  # nothing else was written


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize(("outputs", "taps"), [(1, 1), (1, 6), (5, 2), (5, 6), (4, 4)])
def test_correlations(run: int, outputs: int, taps: int):
    rng = np.random.default_rng(run + outputs + taps)
    rows, row, left_row = 3, run + 7, run + LANES
    offsets = rng.integers(0, 50, taps)
    right = rng.standard_normal(rows * row + 60 + LANES).astype(np.float32)
    plane = rows * left_row + LANES
    left = np.zeros((outputs, plane), np.float32)
    for y in range(rows):
        left[:, 2 + y * left_row : 2 + y * left_row + run] = rng.standard_normal((outputs, run))
    expected = np.zeros((outputs, taps))
    for y in range(rows):
        shifted = np.stack([right[k + y * row : k + y * row + run] for k in offsets]).astype(float)
        expected += left[:, 2 + y * left_row : 2 + y * left_row + run] @ shifted.T
    out = np.empty((outputs, taps), np.float32)
    correlate(left.reshape(-1), 2, plane, left_row, right, row, offsets, rows, run, out)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-4)


def test_rows_without_gaps_are_taken_as_one():
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal(4 * 32 + LANES).astype(np.float32) for _ in range(2))
    left[128:] = 0
    out = np.empty((1, 1), np.float32)
    correlate(left, 0, 128, 32, right, 32, np.zeros(1, np.int64), 4, 32, out)
    assert out[0, 0] == pytest.approx(left[:128].astype(float) @ right[:128], rel=1e-4)
