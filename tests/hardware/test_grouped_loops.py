"""Loops with numbers for each channel, against those of one tile, channel by channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from analognas.hardware import converters as conv
from analognas.hardware import grouped_loops as loops
from analognas.hardware import kernels
from analognas.hardware.converters import Converters, Window, uses

f4 = np.float32
KEYS = (np.uint32(3), np.uint32(5), np.uint32(7))
EVERYWHERE = np.empty(0, np.uint8)


def pixels(channels: int, seed: int = 0, count: int = 2500) -> Any:
    """Return values (pixels, channels), many of them exactly at quarters."""
    values = np.random.default_rng(seed).normal(0, 1, (count, channels))
    return (np.round(values * 4) / 4).astype(f4)


@pytest.fixture(params=[1, 5, 64, 1100])
def channels(request: pytest.FixtureRequest) -> int:
    """Fewer than a block has values, and more; the block is no whole number of them."""
    return int(request.param)


def ranges_of(channels: int) -> Any:
    ranges = np.linspace(0.5, 2, channels, dtype=f4)
    ranges[-1] = np.inf if channels > 1 else 0.75
    return ranges


@pytest.mark.parametrize("step", [0.0, 1 / 127])
def test_each_channel_is_clipped_at_its_range(channels: int, step: float) -> None:
    x, ranges = pixels(channels, count=300), ranges_of(channels)
    found = np.empty_like(x)
    loops.to_input(x.reshape(-1), found.reshape(-1), ranges, f4(step), f4(0.9))
    for c in {0, channels // 2, channels - 1}:
        expected = np.empty(len(x), f4)
        kernels.to_input(x[:, c].copy(), expected, ranges[c], f4(step), f4(0.9))
        assert np.array_equal(found[:, c], expected)


def test_outputs_are_quantised_clipped_and_scaled(channels: int) -> None:
    z, scale = pixels(channels, count=300), np.linspace(0.5, 2, channels, dtype=f4)
    found, inside = z.copy(), np.empty(z.size, np.uint8)
    outside = loops.to_output(found.reshape(-1), f4(0), f4(0.25), f4(1), f4(0.99), scale, KEYS, inside)
    passes = inside.reshape(z.shape).astype(bool)
    assert np.array_equal(passes, np.abs(z) < 1)
    assert 0 < outside == (~passes).sum()
    assert np.array_equal(found, np.clip(z, -1, 1) * scale)


def test_the_noise_of_outputs_is_normal_follows_the_keys_and_is_scaled_with_them(channels: int) -> None:
    scale = np.linspace(0.5, 2, channels, dtype=f4)
    drawn = []
    for keys in (KEYS, KEYS, (np.uint32(9), *KEYS[1:])):
        z = np.zeros((200_000 // channels, channels), f4)
        loops.to_output(z.reshape(-1), f4(0.04), f4(0), f4(10), f4(10), scale, keys, EVERYWHERE)
        drawn.append(z / scale)
    assert np.array_equal(drawn[0], drawn[1])
    assert abs(np.corrcoef(drawn[0].reshape(-1), drawn[2].reshape(-1))[0, 1]) < 0.02
    assert abs(drawn[0].std() / 0.04 - 1) < 0.01
    assert abs(drawn[0].mean()) < 0.0005
    lags = [np.corrcoef(drawn[0].reshape(-1)[lag:], drawn[0].reshape(-1)[:-lag])[0, 1] for lag in (1, 512, 1024)]
    assert np.abs(lags).max() < 0.02


def test_gradients_of_outputs_pass_where_they_may_and_are_summed_by_channel(channels: int) -> None:
    gradient, output = pixels(channels, 1), pixels(channels, 2)
    scale = np.linspace(0.5, 2, channels, dtype=f4)
    inside = (pixels(channels, 3) > 0).reshape(-1).astype(np.uint8)
    for where in (EVERYWHERE, inside):
        out, totals = np.empty_like(gradient), np.full(channels, np.nan)
        loops.from_output(gradient.reshape(-1), output.reshape(-1), where, scale, out.reshape(-1), totals)
        expected = gradient * scale * (where.reshape(gradient.shape) if where.size else 1)
        assert np.array_equal(out, expected)
        np.testing.assert_allclose(totals, (gradient.astype(float) * output).sum(0), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("passing", [True, False])
def test_gradients_of_inputs_are_those_of_one_tile(channels: int, passing: bool) -> None:
    d_input, x, ranges = pixels(channels, 1, 300), pixels(channels, 2, 300), ranges_of(channels)
    limits = ranges if passing else np.nextafter(ranges, f4(0))
    found, totals = np.empty_like(x), np.full(channels, np.nan)
    args = f4(0.01), f4(0.9)
    loops.from_input(d_input.reshape(-1), x.reshape(-1), ranges, limits, *args, found.reshape(-1), totals)
    for c in {0, channels // 2, channels - 1}:
        expected = np.empty(len(x), f4)
        total, *_ = kernels.from_input(
            d_input[:, c].copy(), x[:, c].copy(), ranges[c], limits[c], *args, False, expected
        )
        assert np.array_equal(found[:, c], expected)
        assert totals[c] == pytest.approx(total, rel=1e-5, abs=1e-4)


@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize(("width", "outputs"), [(1, 1), (2, 3), (3, 1)])
@pytest.mark.parametrize(
    ("stride", "dilation"), [((1, 1), (1, 1)), ((2, 3), (1, 1)), ((1, 2), (2, 1)), ((1, 1), (3, 2))]
)
def test_clipped_inputs_add_what_they_do_on_a_tile_of_their_own(
    stride: Any, dilation: Any, width: int, outputs: int, negative: bool
) -> None:
    count, kernel, padding, size = 5, (3, 2), (2, 1), (9, 7)
    window = Window(kernel, stride, padding, dilation, (0, width * 6))
    rows, columns = conv.output_size(window, size)
    generator = torch.Generator().manual_seed(0)
    x = conv.dense(torch.randn(3, count * width, *size, generator=generator))
    gradient = conv.dense(torch.randn(3, count * outputs, rows, columns, generator=generator))
    weights = torch.randn(count * outputs, width, *kernel, generator=generator)
    ranges = torch.linspace(0.3, 2, count)
    ranges[1] *= -1 if negative else 1
    taps = weights.view(count, outputs, width, 6).permute(0, 2, 3, 1).reshape(-1).numpy()
    high, low = np.empty(count * width), np.empty(count * width)
    number = np.empty(count * width, np.int64)
    loops.clipped_terms(
        conv._flat(x), conv._flat(gradient), taps, (*size, rows, columns, count * outputs, outputs, *kernel),
        (*stride, *padding, *dilation), np.repeat(ranges.numpy(), width), f4(2 / 254), f4(1.5), high, low, number,
    )  # fmt: skip
    converters = Converters(2 / 254, 1.5, 0, 1, 0, 1)
    for place in range(count):
        own, to = slice(place * width, (place + 1) * width), slice(place * outputs, (place + 1) * outputs)
        parts = conv.dense(x[:, own]), conv.dense(gradient[:, to]), weights[to], ranges[place : place + 1]
        upper, lower, clipped = conv.clipped_terms(*parts, converters, window)
        assert number[own].sum() == clipped > 0
        assert high[own].sum() == pytest.approx(upper, rel=1e-4, abs=1e-4)
        assert low[own].sum() == pytest.approx(lower, rel=1e-4, abs=1e-4)
    assert high.min() < 0 < low.max()


def test_a_kernel_that_reads_nothing_of_an_input_adds_nothing() -> None:
    """Strides beyond the kernel leave rows and columns out."""
    x, gradient = np.full(5 * 5, 2, f4), np.ones(1, f4)
    high, low, number = np.empty(1), np.empty(1), np.empty(1, np.int64)
    loops.clipped_terms(
        x, gradient, np.full(4, -1, f4), (5, 5, 1, 1, 1, 1, 2, 2), (4, 4, 0, 0, 1, 1), np.ones(1, f4), f4(0), f4(1),
        high, low, number,
    )  # fmt: skip
    assert (high[0], low[0], number[0]) == (-4, 0, 4)


def test_sums_over_the_unfolded_input(channels: int) -> None:
    window = Window((3, 3), (2, 1), (1, 0), (1, 2), (0, 9))
    x = 3 + torch.rand(4, channels, 6, 7)
    often = uses(window, (1, 6, 7)).repeat(channels, 1, 1)
    sums, squares = np.full(channels, np.nan), np.full(channels, np.nan)
    flat = often.permute(1, 2, 0).reshape(-1).numpy()
    loops.unfolded_sums(conv._flat(conv.dense(x)), flat, channels, sums, squares)
    np.testing.assert_allclose(sums, (x.double() * often).sum((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(squares, (x.double().square() * often).sum((0, 2, 3)), rtol=1e-12)
