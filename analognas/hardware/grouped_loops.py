"""The steps of a grouped convolution in one pass each: as in ``kernels``, with numbers of its own for each channel.

Arrays are flat views of dense memory with the channels last. Numbers of channels are repeated over whole pixels, as
many as fill a block, so that a loop has vectors to compute with however few channels there are. float32 on a CPU; the
same steps for other devices and types are in ``grouped_product``.
"""

# numba ships no types
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

from analognas.hardware.kernels import BLOCK, SUMS, loop, normal_pair, passes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]
    Sums = NDArray[np.float64]

#: Blocks whose sums are float32: rounding stays that of short sums.
_SHORT = 64


@njit(inline="always")
def _block(channels: Any) -> Any:
    """Return how many values of whole pixels are taken at once."""
    return channels * max(1, BLOCK // channels)


@njit(error_model="numpy")
def _repeated(values: Array, count: int) -> Array:
    """Return the numbers of channels over so many values of whole pixels."""
    out = np.empty(count, np.float32)
    for i in range(count):
        out[i] = values[i % values.size]
    return out


@njit(error_model="numpy")
def _units(ranges: Array) -> Array:
    """Return what is divided by: without a range 1."""
    out = np.empty_like(ranges)
    for i in range(ranges.size):
        out[i] = np.float32(1.0) if math.isinf(ranges[i]) else ranges[i]
    return out


@loop()
def to_input(x: Array, out: Array, ranges: Array, step: Any, bound: Any) -> None:
    """Digital-to-analog converters, as ``kernels.to_input``, of ``x`` (pixels * channels,) into ``out``.

    Args:
        x: input.
        out: as long as ``x``.
        ranges: input range of each channel, (channels,); infinite: none.
        step, bound: as there.
    """
    block = _block(ranges.size)
    limits, units = _repeated(np.abs(ranges), block), _repeated(_units(ranges), block)
    for start in range(0, x.size, block):
        part, into = x[start : start + block], out[start : start + block]
        if step != 0:
            for j in range(part.size):
                value = min(max(part[j], -limits[j]), limits[j]) / units[j]
                into[j] = min(max(np.rint(value / step) * step, -bound), bound)
        else:
            for j in range(part.size):
                value = min(max(part[j], -limits[j]), limits[j]) / units[j]
                into[j] = min(max(value, -bound), bound)


@loop({"contract"})
def to_output(
    z: Array, noise: Any, step: Any, bound: Any, limit: Any, scale: Array, keys: Any, inside: NDArray[np.uint8]
) -> int:
    """Analog-to-digital converters, as ``kernels.to_output``, in place on ``z`` (pixels * channels,).

    Args:
        z: sums of products, replaced by the output.
        noise, step, bound, limit, keys, inside: as there.
        scale: what each channel is multiplied with, (channels,).

    Returns:
        How many values do not let gradients through.
    """
    block = _block(scale.size)
    half = (block + 1) // 2
    scales, drawn = _repeated(scale, block), np.zeros(2 * half, np.float32)
    key0, key1, key2 = keys
    outside = 0
    for number in range((z.size + block - 1) // block):
        start = number * block
        part = z[start : start + block]
        if noise > 0:
            for j in range(half):
                drawn[j], drawn[half + j] = normal_pair(number * half + j, key0, key1, key2)
        beyond = 0
        for j in range(part.size):
            value = part[j] + noise * drawn[j]
            if step != 0:
                value = np.rint(value / step) * step
            beyond += not (-limit <= value <= limit)
            part[j] = value
        if inside.size:
            own = inside[start : start + block]
            own[:] = 1
            if beyond:
                for j in range(part.size):
                    own[j] = -limit <= part[j] <= limit
        for j in range(part.size):
            part[j] = min(max(part[j], -bound), bound) * scales[j]
        outside += beyond
    return outside


@loop(SUMS)
def from_output(
    gradient: Array, output: Array, inside: NDArray[np.uint8], scale: Array, out: Array, totals: Sums
) -> None:
    """Back through the analog-to-digital converters, as ``kernels.from_output``.

    Args:
        gradient: of the output, (pixels * channels,).
        output: of ``to_output``.
        inside: where gradients pass; empty: everywhere.
        scale: as in ``to_output``.
        out: gradient of the sums of products.
        totals: of each channel, the sum of gradient * output, (channels,).
    """
    block = _block(scale.size)
    scales, sums = _repeated(scale, block), np.zeros(block, np.float32)
    totals[:] = 0
    for number in range((gradient.size + block - 1) // block):
        start = number * block
        _from_output(
            gradient[start : start + block], output[start : start + block], scales, out[start : start + block], sums
        )
        if inside.size:
            for i in range(start, min(start + block, gradient.size)):
                if not inside[i]:
                    out[i] = np.float32(0)
        if number % _SHORT == _SHORT - 1:
            _add(sums, totals)
    _add(sums, totals)


@njit(inline="never", error_model="numpy", fastmath=SUMS)
def _from_output(gradient: Array, output: Array, scales: Array, out: Array, sums: Array) -> None:
    for j in range(gradient.size):
        sums[j] += gradient[j] * output[j]
        out[j] = gradient[j] * scales[j]


@njit(inline="never", error_model="numpy")
def _add(sums: Array, totals: Sums) -> None:
    """Add the sums of a block to those of the channels, and begin anew."""
    for j in range(sums.size):
        totals[j % totals.size] += sums[j]
        sums[j] = np.float32(0)


@loop(SUMS)
def from_input(
    d_input: Array, x: Array, ranges: Array, range_limits: Array, step: Any, limit: Any, out: Array, totals: Sums
) -> None:
    """Back through the digital-to-analog converters, as ``kernels.from_input``.

    Args:
        d_input: gradient of the converters' output, (pixels * channels,).
        x: their input.
        ranges: as in ``to_input``.
        range_limits: of each channel, the largest input that lets gradients through, (channels,).
        step, limit: as there.
        out: gradient of ``x``.
        totals: of each channel, the sum of gradient times clipped input, (channels,).
    """
    block = _block(ranges.size)
    tops, units = _repeated(np.abs(ranges), block), _repeated(_units(ranges), block)
    limits, sums = _repeated(range_limits, block), np.zeros(block, np.float32)
    totals[:] = 0
    for number in range((x.size + block - 1) // block):
        start = number * block
        part = slice(start, start + block)
        _from_input(d_input[part], x[part], tops, units, limits, step, limit, out[part], sums)
        if number % _SHORT == _SHORT - 1:
            _add(sums, totals)
    _add(sums, totals)


@njit(inline="never", error_model="numpy", fastmath=SUMS)
def _from_input(
    d_input: Array, x: Array, tops: Array, units: Array, limits: Array, step: Any, limit: Any, out: Array, sums: Array
) -> None:
    for j in range(x.size):
        inner = d_input[j] / units[j] if passes(x[j], tops[j], units[j], step, limit) else np.float32(0)
        sums[j] += inner * min(max(x[j], -tops[j]), tops[j])
        out[j] = inner if abs(x[j]) <= limits[j] else np.float32(0)


@njit(inline="never", error_model="numpy")
def _beyond(x: Array, ranges: Array, where: NDArray[np.int32]) -> Any:
    """Write where values are clipped at their range into ``where``, and return how many; as ``kernels.beyond_of``."""
    count = np.uintp(0)
    for i in range(np.uintp(x.size)):
        where[count] = i
        count += np.uintp(0) if abs(x[i]) < ranges[i] else np.uintp(1)
    return count


@njit(inline="always")
def _readers(place: Any, stride: Any, dilation: Any, taps: Any, size: Any) -> Any:
    """Return the first tap by which an output (of ``size``) may read a padded input, and the one after the last."""
    begin, end = place - (size - 1) * stride, place
    if dilation > 1:
        begin, end = -(-begin // dilation), end // dilation
    return max(0, begin), min(taps, end + 1)


@loop(SUMS)
def clipped_terms(
    x: Array, gradient: Array, weight: Array, sizes: Any, taps: Any, ranges: Array, step: Any, limit: Any,
    upper: Sums, lower: Sums, clipped: NDArray[np.int64],
) -> None:  # fmt: skip
    """What clipped inputs add to the gradients of the input ranges, as ``kernels.clipped_terms``, of each channel.

    Args:
        x: input (pixels * channels,).
        gradient: of the sums of products (pixels * outputs,).
        weight: (channels * kh * kw * outputs of a group,).
        sizes: height and width of input and output, outputs, of them those of a group, kh, kw.
        taps: as there.
        ranges: as in ``to_input``.
        step, limit: as there.
        upper, lower: sums of the negative terms at the upper and of the positive ones at the lower end, (channels,).
        clipped: number of clipped entries of the unfolded input, (channels,).
    """
    height, width, out_height, out_width, outputs, of_group, kh, kw = sizes
    sy, sx, py, px, dy, dx = taps
    channels = ranges.size
    groups = outputs // of_group
    of_channels = channels // groups
    block = _block(channels)
    limits = _repeated(ranges, block)
    upper[:], lower[:], clipped[:] = 0, 0, 0
    where = np.empty(block, np.int32)
    for begin in range(0, x.size, block):
        part = x[begin : begin + block]
        for j in range(_beyond(part, limits, where)):
            i = np.uintp(where[j])
            own = limits[i]
            value = min(max(part[i], -abs(own)), abs(own))
            through = passes(value, abs(own), own, step, limit)
            place = np.uintp(begin) + i
            pixel = place // np.uintp(channels)
            line = pixel // np.uintp(width)
            image = line // np.uintp(height)
            channel = np.intp(place - pixel * np.uintp(channels))
            column = np.intp(pixel - line * np.uintp(width))
            row = np.intp(line - image * np.uintp(height))
            first = np.intp(image) * out_height * out_width * outputs
            first += channel if of_group == of_channels == 1 else channel // of_channels * of_group
            taken = channel * kh * kw * of_group
            negative, positive, number = np.float32(0), np.float32(0), 0
            above, before = row + py, column + px
            y0, y1 = _readers(above, sy, dy, kh, out_height)
            x0, x1 = _readers(before, sx, dx, kw, out_width)
            for ky in range(y0, y1):
                oy = above - ky * dy
                if sy > 1:
                    oy, left = divmod(oy, sy)
                    if left:
                        continue
                for kx in range(x0, x1):
                    ox = before - kx * dx
                    if sx > 1:
                        ox, left = divmod(ox, sx)
                        if left:
                            continue
                    number += 1
                    a = np.uintp(taken + (ky * kw + kx) * of_group)
                    b = np.uintp(first + (oy * out_width + ox) * outputs)
                    term = weight[a] * gradient[b]
                    for o in range(np.uintp(1), np.uintp(of_group)):
                        term += weight[a + o] * gradient[b + o]
                    negative += min(term, np.float32(0))
                    positive += max(term, np.float32(0))
            clipped[channel] += number
            if own < 0:  # each term is divided by the range
                negative, positive = positive, negative
            if through and value >= own:
                upper[channel] += negative / own
            if through and value <= -own:
                lower[channel] += positive / own


@loop(SUMS)
def unfolded_sums(x: Array, uses: Sums, channels: int, sums: Sums, squares: Sums) -> None:
    """Add up the unfolded input of each channel, and its squares, into ``sums`` and ``squares`` (channels,).

    Args:
        x: input (images * pixels * channels,).
        uses: how often each value of an image is in its unfolded input, (pixels * channels,).
        channels: of an image.
        sums: of the values.
        squares: of their squares.
    """
    sums[:], squares[:] = 0, 0
    for image in range(x.size // uses.size):
        for start in range(0, uses.size, channels):
            own, times = x[image * uses.size + start :][:channels], uses[start : start + channels]
            for c in range(channels):
                value = np.float64(own[c])
                sums[c] += times[c] * value
                squares[c] += times[c] * (value * value)
