"""Convolutions of small images, with the images of a batch side by side in memory.

Networks for small chips have few channels, on which libraries for large ones waste most of their time: one pixel does
not fill a vector. Here the memory of a batch is (channels, height, width, images), so whatever a layer does it does to
whole vectors, however few channels there are: a convolution is a sum of shifted rows of images, and what belongs to a
channel (batch-norm) is one stretch of memory. Tensors stay (N, C, H, W); only their strides tell.

The input of a convolution is laid out with its padding as *lines*: for strides of more than one the pixels of each
remainder lie in a plane of their own, so that rows of outputs need rows of inputs there, too. Gradients of outputs are
laid out with as much padding as the gradient of the input needs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from analognas.hardware import image_loops as loops
from analognas.hardware.converters import fast
from analognas.hardware.vectors import LANES, correlate, products

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]
    Numbers = NDArray[np.int64]

Pair = tuple[int, int]

#: Largest convolution (weights), largest images (pixels) and smallest batch for which this layout was seen to be the
#: faster one.
MOST_WEIGHTS = 9 * 64 * 64
MOST_PIXELS = 512
FEWEST_IMAGES = 16

_NO_CONVERTER = (np.float32(math.inf), np.float32(0), np.float32(math.inf))


def takes(images: Tensor) -> bool:
    """Return whether these are images (N, C, H, W) for this layout."""
    return (
        images.dim() == 4
        and fast(images)
        and len(images) >= FEWEST_IMAGES
        and 0 < images.shape[2] * images.shape[3] <= MOST_PIXELS
    )


def suits(kernels: tuple[int, ...], padding: Pair, dilation: Pair) -> bool:
    """Return whether a convolution is one for this layout: ``kernels`` (outputs, channels, height, width)."""
    outputs, channels, height, width = kernels
    return (
        outputs * channels * height * width <= MOST_WEIGHTS
        and dilation == (1, 1)
        and 0 <= padding[0] < height
        and 0 <= padding[1] < width
    )


def last(images: Tensor) -> Tensor:
    """Return images (N, C, H, W) in dense memory with the images last."""
    moved = images.permute(1, 2, 3, 0)
    return images if moved.is_contiguous() else moved.contiguous().permute(3, 0, 1, 2)


def is_last(images: Tensor) -> bool:
    """Return whether a tensor has its images last in dense memory."""
    return images.dim() == 4 and images.permute(1, 2, 3, 0).is_contiguous()


def flat(images: Tensor) -> Array:
    """Return the memory of what ``last`` returned."""
    array: Array = images.detach().permute(1, 2, 3, 0).numpy().reshape(-1)
    return array


def array_of(tensor: Tensor) -> Array:
    """Return the memory of a tensor, flat."""
    array: Array = tensor.detach().numpy().reshape(-1)
    return array


def empty(like: Tensor, shape: tuple[int, int, int, int]) -> Tensor:
    """Return a tensor (N, C, H, W) with the images last in memory."""
    images, channels, height, width = shape
    return like.new_empty((channels, height, width, images)).permute(3, 0, 1, 2)


@dataclass(frozen=True, eq=False)
class Geometry:
    """Where everything of a convolution lies; places in memory are numbers of values.

    Attributes:
        shape: of the input, (N, C, H, W).
        out_shape: of the output.
        places: what the loops take: images, channels, height, width, outputs, height and width of the output, strides,
            padding, height and width of a plane of lines, values in it, height, width, values and padding (above, left)
            of a plane of output gradients.
        lines: values of all lines.
        line_plane: height and width of a plane of lines.
        line_row: values of a row of it.
        gradients: values of all padded gradients of outputs.
        gradient_begin: where the first of them is that is not padding.
        gradient_plane: values of one output.
        gradient_row: values of a row of it.
        taps: where in the lines each weight of an output begins to read.
        back: for each phase (of a stride of 1 there is one) the taps that read it, and where in the gradients each
            weight of an input begins to read.
    """

    shape: tuple[int, int, int, int]
    out_shape: tuple[int, int, int, int]
    places: Numbers
    lines: int
    line_plane: Pair
    line_row: int
    gradients: int
    gradient_begin: int
    gradient_plane: int
    gradient_row: int
    taps: Numbers
    back: tuple[tuple[NDArray[np.intp], Numbers], ...]


@lru_cache(maxsize=512)
def geometry(shape: tuple[int, int, int, int], outputs: int, kernel: Pair, stride: Pair, padding: Pair) -> Geometry:
    """Return where everything lies, for an input of ``shape`` (N, C, H, W)."""
    images, channels, *size = shape
    out = [(size[i] + 2 * padding[i] - kernel[i]) // stride[i] + 1 for i in (0, 1)]
    plane = [-(-(size[i] + 2 * padding[i]) // stride[i]) for i in (0, 1)]
    strided = stride != (1, 1)
    begin = (0, 0) if strided else padding  # the pixels whose gradients are wanted: all of the planes, or the image's
    wanted = plane if strided else size
    reach = [(kernel[i] - 1) // stride[i] for i in (0, 1)]
    before = [reach[i] - begin[i] for i in (0, 1)]
    padded = [max(out[i] + before[i], reach[i] + wanted[i]) for i in (0, 1)]
    if padded[1] == out[1] and not (plane[1] == out[1] and padded[0] == out[0]):
        padded[1] += 1  # after each row there are zeros
    of_lines = _whole(plane[0] * plane[1] * images)
    of_gradients = _whole(padded[0] * padded[1] * images)
    phases = stride[0] * stride[1]
    taps, back = [], []
    for c in range(channels):
        for ky in range(kernel[0]):
            for kx in range(kernel[1]):
                phase = (c * stride[0] + ky % stride[0]) * stride[1] + kx % stride[1]
                taps.append(phase * of_lines + ((ky // stride[0]) * plane[1] + kx // stride[1]) * images)
    for phase in range(phases):
        own = [
            (ky, kx)
            for ky in range(phase // stride[1], kernel[0], stride[0])
            for kx in range(phase % stride[1], kernel[1], stride[1])
        ]
        offsets = [
            o * of_gradients + ((reach[0] - ky // stride[0]) * padded[1] + reach[1] - kx // stride[1]) * images
            for o in range(outputs)
            for ky, kx in own
        ]
        back.append((np.array([ky * kernel[1] + kx for ky, kx in own], np.intp), np.array(offsets, np.int64)))
    places = (
        images, channels, *size, outputs, *out, *stride, *padding, *plane, of_lines, *padded, of_gradients, *before
    )  # fmt: skip
    return Geometry(
        shape=shape,
        out_shape=(images, outputs, out[0], out[1]),
        places=np.array(places, np.int64),
        lines=channels * phases * of_lines + LANES,
        line_plane=(plane[0], plane[1]),
        line_row=plane[1] * images,
        gradients=outputs * of_gradients + LANES,
        gradient_begin=(before[0] * padded[1] + before[1]) * images,
        gradient_plane=of_gradients,
        gradient_row=padded[1] * images,
        taps=np.array(taps, np.int64),
        back=tuple(back),
    )


def _whole(values: int) -> int:
    return -(-values // LANES) * LANES


def lines_of(x: Array, where: Geometry, converter: tuple[Any, Any, Any] | None = None) -> Array:
    """Return the lines of an input; ``converter`` has range, step and bound of ``kernels.to_input``."""
    lines = np.empty(where.lines, np.float32)
    loops.spread(x, lines, where.places, converter is not None, *(converter or _NO_CONVERTER))
    return lines


def convolve(lines: Array, kernels: Array, where: Geometry, out: Array) -> None:
    """Write the convolution of ``lines`` with kernels (outputs * channels * kh * kw,) into ``out``."""
    images, outputs, height, width = where.out_shape
    run = width * images
    products(lines, where.line_row, where.taps, kernels, outputs, height, run, out, 0, height * run, run)


def kernel_gradient(gradients: Array, lines: Array, where: Geometry, out: Array | None = None) -> Array:
    """Return the gradient of the kernels (outputs, channels * kh * kw); ``gradients`` are padded."""
    images, outputs, height, width = where.out_shape
    out = np.empty((outputs, len(where.taps)), np.float32) if out is None else out
    correlate(
        gradients, where.gradient_begin, where.gradient_plane, where.gradient_row, lines, where.line_row, where.taps,
        height, width * images, out,
    )  # fmt: skip
    return out


def input_gradient(gradients: Array, kernels: Array, where: Geometry, out: Array) -> None:
    """Write the gradient of the input into ``out``; ``gradients`` are padded."""
    images, channels, height, width = where.shape
    if len(where.back) == 1:
        _part_of_gradient(gradients, kernels, where, 0, (height, width * images), out)
        return
    size = where.line_plane
    planes = np.empty(channels * len(where.back) * size[0] * size[1] * images, np.float32)
    for phase in range(len(where.back)):
        _part_of_gradient(gradients, kernels, where, phase, (size[0], size[1] * images), planes)
    loops.gather(planes, out, where.places)


def _part_of_gradient(gradients: Array, kernels: Array, where: Geometry, phase: int, size: Pair, out: Array) -> None:
    """Write the gradients of a phase of the lines, of rows and values of a row, into its planes of ``out``."""
    channels, outputs = where.shape[1], where.out_shape[1]
    taps, offsets = where.back[phase]
    rows, run = size
    # (channels, outputs, taps)
    matrix = kernels.reshape(outputs, channels, -1).transpose(1, 0, 2)
    if len(taps) < matrix.shape[2]:
        matrix = matrix[:, :, taps]
    plane = len(where.back) * rows * run
    products(
        gradients, where.gradient_row, offsets, np.ascontiguousarray(matrix).reshape(-1), channels, rows, run, out,
        phase * rows * run, plane, run,
    )  # fmt: skip


def padded_gradients(gradient: Array, where: Geometry) -> Array:
    """Return gradients of outputs with padding."""
    out = np.empty(where.gradients, np.float32)
    loops.pad(gradient, out, where.places)
    return out


def converted_gradients(
    gradient: Array, output: Array, inside: NDArray[np.uint8], factor: Any, where: Geometry
) -> tuple[Array, float]:
    """Return what ``kernels.from_output`` makes of gradients, with padding, and the sum that it returns."""
    out = np.empty(where.gradients, np.float32)
    return out, loops.from_output(gradient, output, inside, factor, out, where.places)
