"""Convolutions with the images last, against PyTorch's in double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from analognas.hardware import images_last

#: Channels, outputs, height, width, images, kernel, stride, padding.
CASES = [
    (1, 7, 8, 8, 63, 3, 1, 1),
    (7, 3, 8, 8, 64, 3, 1, 1),
    (5, 6, 8, 7, 17, 3, 2, 1),
    (7, 14, 8, 8, 63, 1, 2, 0),
    (3, 2, 8, 8, 62, 1, 1, 0),
    (5, 3, 7, 5, 17, 5, 2, 2),
    (4, 6, 6, 7, 16, 3, 1, 2),
    (6, 5, 7, 7, 33, 2, 2, 0),
    (2, 1, 8, 8, 64, 7, 1, 3),
    (9, 9, 9, 9, 20, 3, 3, 1),
    (6, 4, 1, 1, 21, 1, 1, 0),
    (2, 5, 4, 4, 16, 4, 1, 0),
]


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours.double(), theirs, rtol=1e-5, atol=1e-5 * float(theirs.abs().max()))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_convolution_and_its_gradients_are_pytorchs(case: tuple[int, ...]):
    channels, outputs, height, width, images, kernel, stride, padding = case
    torch.manual_seed(sum(case))
    x, kernels = torch.randn(images, channels, height, width), torch.randn(outputs, channels, kernel, kernel)
    assert images_last.suits(tuple(kernels.shape), (padding, padding), (1, 1))
    assert images_last.takes(x)
    where = images_last.geometry(tuple(x.shape), outputs, (kernel,) * 2, (stride,) * 2, (padding,) * 2)
    matrix = images_last.array_of(kernels)
    lines = images_last.lines_of(images_last.flat(images_last.last(x)), where)
    out = images_last.empty(x, where.out_shape)
    images_last.convolve(lines, matrix, where, images_last.flat(out))

    exact, exact_kernels = x.double().requires_grad_(), kernels.double().requires_grad_()
    expected = conv2d(exact, exact_kernels, stride=stride, padding=padding)
    close(out, expected.detach())

    gradient = torch.randn_like(expected)
    expected.backward(gradient)
    assert exact.grad is not None
    assert exact_kernels.grad is not None
    padded = images_last.padded_gradients(images_last.flat(images_last.last(gradient.float())), where)
    d_kernels = images_last.kernel_gradient(padded, lines, where)
    close(torch.from_numpy(d_kernels).view_as(kernels), exact_kernels.grad)
    d_x = images_last.empty(x, where.shape)
    images_last.input_gradient(padded, matrix, where, images_last.flat(d_x))
    close(d_x, exact.grad)


def test_tensors_stay_what_they_are_and_only_their_memory_is_another():
    x = torch.randn(5, 2, 3, 4)
    moved = images_last.last(x)
    assert torch.equal(moved, x)
    assert images_last.last(moved) is moved
    flat = images_last.flat(moved)
    assert np.array_equal(flat[:5], x[:, 0, 0, 0].numpy())
    flat[0] = 7.0
    assert moved[0, 0, 0, 0] == 7.0


@pytest.mark.parametrize(
    ("kernels", "padding", "dilation"),
    [
        ((65, 64, 3, 3), (1, 1), (1, 1)),
        ((4, 4, 3, 3), (3, 1), (1, 1)),
        ((4, 4, 3, 3), (1, 1), (2, 1)),
    ],
)
def test_what_does_not_suit_is_said(kernels: tuple[int, ...], padding: tuple[int, int], dilation: tuple[int, int]):
    assert not images_last.suits(kernels, padding, dilation)


@pytest.mark.parametrize(
    "images",
    [torch.zeros(15, 1, 8, 8), torch.zeros(64, 1, 32, 32), torch.zeros(64, 64), torch.zeros(64, 1, 8, 8).double()],
    ids=["few", "large", "flat", "double"],
)
def test_images_of_another_kind_are_not_taken(images: Tensor):
    assert not images_last.takes(images)
