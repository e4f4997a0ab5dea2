"""The steps of a convolution of small images, one loop each, over memory with the images last.

Where everything lies (``places``) is said in ``images_last.Geometry``.
"""

# numba ships no types
# mypy: disable-error-code="untyped-decorator,assignment"

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from analognas.hardware.kernels import BLOCK, HALF, SUMS, any_beyond, loop, normal_pair, passes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]
    Numbers = NDArray[np.int64]


@njit(inline="always")
def _convert(
    x: Array, start: Any, out: Array, to: Any, count: int, limit: Any, unit: Any, step: Any, bound: Any
) -> None:
    """As ``kernels.to_input``, of ``count`` values."""
    if step != 0:
        for j in range(np.uintp(count)):
            value = min(max(x[start + j], -limit), limit) / unit
            out[to + j] = min(max(np.rint(value / step) * step, -bound), bound)
    else:
        for j in range(np.uintp(count)):
            value = min(max(x[start + j], -limit), limit) / unit
            out[to + j] = min(max(value, -bound), bound)


@loop()
def spread(x: Array, lines: Array, places: Numbers, converted: bool, input_range: Any, step: Any, bound: Any) -> None:
    """Lay out an input as lines; ``converted``: through the digital-to-analog converter, see ``kernels.to_input``."""
    limit = abs(input_range)
    unit = np.float32(1.0) if math.isinf(input_range) else input_range
    n, channels, height, width = places[0], places[1], places[2], places[3]
    sy, sx, py, px, _, across, plane = places[7], places[8], places[9], places[10], places[11], places[12], places[13]
    lines[:] = 0
    for c in range(channels):
        for y in range(height):
            row = np.uintp((c * height + y) * width * n)
            down = y + py
            base = (c * sy + down % sy) * sx
            into = (down // sy) * across * n
            if sx == 1:
                to = np.uintp(base * plane + into + px * n)
                if converted:
                    _convert(x, row, lines, to, width * n, limit, unit, step, bound)
                else:
                    for j in range(np.uintp(width * n)):
                        lines[to + j] = x[row + j]
            else:
                for column in range(width):
                    right = column + px
                    to = np.uintp((base + right % sx) * plane + into + (right // sx) * n)
                    start = row + np.uintp(column * n)
                    if converted:
                        _convert(x, start, lines, to, n, limit, unit, step, bound)
                    else:
                        for j in range(np.uintp(n)):
                            lines[to + j] = x[start + j]


@loop()
def pad(gradient: Array, out: Array, places: Numbers) -> None:
    """Lay out gradients of outputs with padding."""
    n, outputs, height, width = places[0], places[4], places[5], places[6]
    across, plane, top, left = places[15], places[16], places[17], places[18]
    out[:] = 0
    for o in range(outputs):
        for y in range(height):
            row = np.uintp((o * height + y) * width * n)
            to = np.uintp(o * plane + ((y + top) * across + left) * n)
            for j in range(np.uintp(width * n)):
                out[to + j] = gradient[row + j]


@loop(SUMS)
def from_output(
    gradient: Array, output: Array, inside: NDArray[np.uint8], factor: Any, out: Array, places: Numbers
) -> float:
    """As ``kernels.from_output``; the gradients are laid out with padding."""
    n, outputs, height, width = places[0], places[4], places[5], places[6]
    across, plane, top, left = places[15], places[16], places[17], places[18]
    out[:] = 0
    total = 0.0
    for o in range(outputs):
        for y in range(height):
            row = np.uintp((o * height + y) * width * n)
            to = np.uintp(o * plane + ((y + top) * across + left) * n)
            count = np.uintp(width * n)
            part = np.float32(0)
            for j in range(count):
                part += gradient[row + j] * output[row + j]
                out[to + j] = gradient[row + j] * factor
            total += part
            if inside.size:
                for j in range(count):
                    if not inside[row + j]:
                        out[to + j] = np.float32(0)
    return total


@loop()
def gather(planes: Array, out: Array, places: Numbers) -> None:
    """Bring the pixels of an input that lie in planes by their remainders into their order, without the padding."""
    n, channels, height, width = places[0], places[1], places[2], places[3]
    sy, sx, py, px, deep, across = places[7], places[8], places[9], places[10], places[11], places[12]
    for c in range(channels):
        for y in range(height):
            for column in range(width):
                down, right = y + py, column + px
                base = (c * sy + down % sy) * sx + right % sx
                start = np.uintp(((base * deep + down // sy) * across + right // sx) * n)
                to = np.uintp(((c * height + y) * width + column) * n)
                for j in range(np.uintp(n)):
                    out[to + j] = planes[start + j]


@loop({"contract"})
def to_next(
    z: Array, noise: Any, step: Any, bound: Any, scale: Array, shift: Array, before: Array, least: Any, keys: Any
) -> None:
    """As ``kernels.to_next``, of memory (channels * n,): ``before`` is as long, or empty."""
    channels = scale.size
    n = z.size // channels
    key0, key1, key2 = keys
    drawn = np.zeros(BLOCK, np.float32)
    unit = step if step != 0 else np.float32(1.0)
    per_unit, limit = np.float32(1.0) / unit, bound / unit
    number = 0
    for c in range(channels):
        factor, offset = scale[c] * unit, shift[c]
        for start in range(c * n, (c + 1) * n, BLOCK):
            part = z[start : min(start + BLOCK, (c + 1) * n)]
            if noise > 0:
                for j in range(HALF):
                    drawn[j], drawn[HALF + j] = normal_pair(number * HALF + j, key0, key1, key2)
                number += 1
            if step != 0:
                for j in range(part.size):
                    part[j] = np.rint((part[j] + noise * drawn[j]) * per_unit)
            elif noise > 0:
                for j in range(part.size):
                    part[j] += noise * drawn[j]
            if before.size:
                other = before[start : start + part.size]
                for j in range(part.size):
                    value = min(max(part[j], -limit), limit) * factor + offset + other[j]
                    part[j] = max(value, least)
            else:
                for j in range(part.size):
                    part[j] = max(min(max(part[j], -limit), limit) * factor + offset, least)


@loop(SUMS)
def clipped_terms(
    x: Array, gradients: Array, kernels: Array, places: Numbers, kernel: Any, rows: Any, input_range: Any, step: Any,
    limit: Any,
) -> tuple[float, float, int]:  # fmt: skip
    """As ``kernels.clipped_terms``, of memory with the images last.

    Args:
        x: input of the layer.
        gradients: as ``converted_gradients`` returns them.
        kernels: (outputs * channels * kh * kw,).
        places: of the geometry.
        kernel: kh, kw.
        rows, input_range, step, limit: as there.
    """
    n, channels, height, width, outputs = places[0], places[1], places[2], places[3], places[4]
    out_height, out_width, sy, sx, py, px = places[5], places[6], places[7], places[8], places[9], places[10]
    across, plane, top_pad, left_pad = places[15], places[16], places[17], places[18]
    kh, kw = kernel
    first, last_row = rows
    length = channels * kh * kw
    upper, lower, clipped = 0.0, 0.0, 0
    top = abs(input_range)
    for block in range((x.size + 255) // 256):
        start = block * 256
        if not any_beyond(x[start : start + 256], input_range):
            continue
        for i in range(start, min(start + 256, x.size)):
            if abs(x[i]) < input_range:
                continue
            value = min(max(x[i], -top), top)
            rest, image = divmod(i, n)
            rest, column = divmod(rest, width)
            channel, row = divmod(rest, height)
            through = passes(value, top, input_range, step, limit)
            for ky in range(kh):
                oy, left = divmod(row + py - ky, sy)
                if left or oy < 0 or oy >= out_height:
                    continue
                for kx in range(kw):
                    ox, left = divmod(column + px - kx, sx)
                    tap = (channel * kh + ky) * kw + kx
                    if left or ox < 0 or ox >= out_width or not first <= tap < last_row:
                        continue
                    clipped += 1
                    if through:
                        at = ((oy + top_pad) * across + ox + left_pad) * n + image
                        term = np.float32(0)
                        for o in range(outputs):
                            term += kernels[o * length + tap] * gradients[o * plane + at]
                        term /= input_range
                        if value >= input_range:
                            upper += min(float(term), 0.0)
                        if value <= -input_range:
                            lower += max(float(term), 0.0)
    return upper, lower, clipped


@loop(SUMS)
def unfolded_deviation(x: Array, uses: NDArray[np.float64], entries: float) -> float:
    """Return the standard deviation of the unfolded input of a convolution, padding included.

    Args:
        x: its input (pixels * images,).
        uses: how often each pixel (of each channel) appears in the unfolded input of an image, (pixels,).
        entries: of the unfolded input.
    """
    n = x.size // uses.size
    sums, squares = 0.0, 0.0
    for pixel in range(uses.size):
        own, own_squares = 0.0, 0.0
        for value in x[pixel * n : (pixel + 1) * n]:
            own += float(value)
            own_squares += float(value) * float(value)
        sums += uses[pixel] * own
        squares += uses[pixel] * own_squares
    return math.sqrt(max(squares - sums * sums / entries, 0.0) / (entries - 1))


@loop(SUMS)
def normalise(
    z: Array, weight: Array, bias: Array, running_mean: Array, running_var: Array, rate: Any, eps: Any, numbers: Array,
    other: Array, least: Any, out: Array,
) -> None:  # fmt: skip
    """Batch-norm in training and what follows it.

    Args:
        z: (channels * n,).
        weight, bias, running_mean, running_var: (channels,); the statistics are brought up to date.
        rate: at which that is done.
        eps: added to the variance.
        numbers: mean, 1 / deviation and scale of each channel are written here, (3, channels).
        other: what is added then, as long as ``z``, or empty.
        least: smallest value of the output.
        out: as long as ``z``.
    """
    channels = weight.size
    n = z.size // channels
    for c in range(channels):
        part, into = z[c * n : (c + 1) * n], out[c * n : (c + 1) * n]
        total = 0.0
        for start in range(0, n, BLOCK):
            own = np.float32(0)
            for value in part[start : start + BLOCK]:
                own += value
            total += own
        mean = np.float32(total / n)
        total = 0.0
        for start in range(0, n, BLOCK):
            own = np.float32(0)
            for value in part[start : start + BLOCK]:
                own += (value - mean) * (value - mean)
            total += own
        deviation = np.float32(1) / np.sqrt(np.float32(total / n) + eps)
        scale = weight[c] * deviation
        shift = bias[c] - mean * scale
        numbers[0, c], numbers[1, c], numbers[2, c] = mean, deviation, scale
        running_mean[c] += rate * (mean - running_mean[c])
        running_var[c] += rate * (np.float32(total / (n - 1)) - running_var[c])
        if other.size:
            more = other[c * n : (c + 1) * n]
            for i in range(part.size):
                into[i] = max(part[i] * scale + shift + more[i], least)
        else:
            for i in range(part.size):
                into[i] = max(part[i] * scale + shift, least)


@loop(SUMS)
def normalise_back(
    gradient: Array, out: Array, z: Array, numbers: Array, rectified: bool, d_weight: Array, d_bias: Array,
    other: Array, begun: bool, d_z: Array,
) -> None:  # fmt: skip
    """Back through ``normalise``.

    Args:
        gradient: of its output; where the output is not above ``least`` it becomes zero.
        out, z, numbers: as there.
        rectified: whether there is a least value, of zero.
        d_weight, d_bias: of weight and bias.
        other: gradient of what was added, or empty.
        begun: whether it is added to what is there.
        d_z: of ``z``.
    """
    channels = d_weight.size
    n = z.size // channels
    for c in range(channels):
        slopes, part, into = gradient[c * n : (c + 1) * n], z[c * n : (c + 1) * n], d_z[c * n : (c + 1) * n]
        if rectified:
            above = out[c * n : (c + 1) * n]
            for i in range(slopes.size):
                slopes[i] = slopes[i] if above[i] > 0 else np.float32(0)
        if other.size:
            more = other[c * n : (c + 1) * n]
            if begun:
                for i in range(slopes.size):
                    more[i] += slopes[i]
            else:
                for i in range(slopes.size):
                    more[i] = slopes[i]
        mean, deviation, scale = numbers[0, c], numbers[1, c], numbers[2, c]
        plain, weighted = 0.0, 0.0
        for start in range(0, n, BLOCK):
            a, b = slopes[start : start + BLOCK], part[start : start + BLOCK]
            first, second = np.float32(0), np.float32(0)
            for i in range(a.size):
                first += a[i]
                second += a[i] * (b[i] - mean)
            plain += first
            weighted += second
        d_weight[c], d_bias[c] = weighted * deviation, plain
        by_z = np.float32(-scale * deviation * deviation * weighted / n)
        shift = np.float32(-scale * plain / n) - by_z * mean
        for i in range(part.size):
            into[i] = slopes[i] * scale + (part[i] * by_z + shift)
