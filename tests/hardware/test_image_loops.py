"""Loops over memory with the images last, against what is said of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import batch_norm, unfold

from analognas.hardware import image_loops, images_last, kernels
from analognas.hardware.converters import Window, uses

KEYS = (np.uint32(3), np.uint32(5), np.uint32(7))
f4 = np.float32


@pytest.mark.parametrize("step", [0.0, 1 / 127])
@pytest.mark.parametrize("stride", [1, 2])
def test_lines_carry_what_the_converter_makes_of_the_input(step: float, stride: int):
    x = torch.randn(17, 2, 5, 6)
    where = images_last.geometry((17, 2, 5, 6), 3, (3, 3), (stride, stride), (1, 1))
    values = images_last.flat(images_last.last(x))
    converter = f4(0.8), f4(step), f4(1)
    converted = np.empty_like(values)
    kernels.to_input(values, converted, *converter)
    expected = images_last.lines_of(converted, where)
    found = images_last.lines_of(values, where, converter)
    used = where.lines - 16  # what lies beyond is read, and multiplied with zero
    assert np.array_equal(found[:used], expected[:used])


def test_the_deviation_is_that_of_the_unfolded_input():
    x = torch.rand(19, 2, 6, 5) + 1
    unfolded = unfold(x.double(), 3, padding=1, stride=2)[:, 1:16]  # rows of the matrix that are on the tile
    window = Window((3, 3), (2, 2), (1, 1), (1, 1), (1, 16))
    often = uses(window, (2, 6, 5)).numpy().reshape(-1)
    found = image_loops.unfolded_deviation(images_last.flat(images_last.last(x)), often, float(unfolded.numel()))
    assert found == pytest.approx(float(unfolded.std()), rel=1e-6)


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize("summed", [False, True])
def test_batch_norm_with_what_follows_it(rectified: bool, summed: bool):
    torch.manual_seed(0)
    z, other = ((3 * torch.randn(21, 4, 3, 3) + 1).requires_grad_() for _ in range(2))
    weight, bias = torch.rand(4, requires_grad=True), torch.randn(4, requires_grad=True)
    mean, var = torch.randn(4), torch.rand(4)
    ours_mean, ours_var = mean.clone(), var.clone()
    expected = batch_norm(z, mean, var, weight, bias, True, 0.1, 1e-5)
    expected = expected + other if summed else expected
    expected = expected.relu() if rectified else expected
    gradient = torch.randn_like(expected)
    expected.backward(gradient)

    values, more, slopes = (images_last.flat(images_last.last(t.detach())).copy() for t in (z, other, gradient))
    held = [images_last.array_of(t) for t in (weight, bias, ours_mean, ours_var)]
    nothing, out, numbers = np.empty(0, f4), np.empty_like(values), np.empty((3, 4), f4)
    least = f4(0 if rectified else -math.inf)
    image_loops.normalise(values, *held, f4(0.1), f4(1e-5), numbers, more if summed else nothing, least, out)
    np.testing.assert_allclose(out, images_last.flat(images_last.last(expected.detach())), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours_mean, mean)
    torch.testing.assert_close(ours_var, var)

    d_weight, d_bias, d_z = np.empty(4, f4), np.empty(4, f4), np.empty_like(values)
    d_other = np.ones_like(values) if summed else nothing
    image_loops.normalise_back(slopes, out, values, numbers, rectified, d_weight, d_bias, d_other, True, d_z)
    np.testing.assert_allclose(d_z, images_last.flat(images_last.last(z.grad)), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(d_weight, weight.grad.numpy(), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(d_bias, bias.grad.numpy(), rtol=1e-4, atol=1e-4)
    if summed:  # added to what was there
        np.testing.assert_allclose(d_other, 1 + images_last.flat(images_last.last(other.grad)), rtol=1e-5, atol=1e-5)


def test_noise_is_drawn_anew_for_each_output_and_follows_the_keys():
    def drawn(keys):
        z = np.zeros(3 * 1500, f4)
        one_each, zero = np.ones(3, f4), np.zeros(3, f4)
        image_loops.to_next(z, f4(0.5), f4(0), f4(np.inf), one_each, zero, np.empty(0, f4), f4(-np.inf), keys)
        return z

    noise = drawn(KEYS)
    assert np.array_equal(noise, drawn(KEYS))
    assert not np.array_equal(noise, drawn((KEYS[0], KEYS[1], np.uint32(8))))
    assert len(np.unique(noise)) > 4400
    assert noise.mean() == pytest.approx(0, abs=0.03)
    assert noise.std() == pytest.approx(0.5, abs=0.03)


def test_outputs_are_rounded_clipped_scaled_summed_and_rectified():
    z = np.array([0.26, -0.26, 5.0, 0.1], f4)
    before = np.array([1.0, -1.0, 0.0, 0.0], f4)
    scale, shift = np.array([2.0, 1.0], f4), np.array([0.5, -3.0], f4)
    image_loops.to_next(z, f4(0), f4(0.5), f4(1), scale, shift, before, f4(0), KEYS)
    # rounded to steps of 0.5, clipped at 1, times scale plus shift plus what is added, at least 0
    np.testing.assert_allclose(z, [0.5 * 2 + 0.5 + 1, 0.0, 0.0, 0.0], atol=1e-6)
