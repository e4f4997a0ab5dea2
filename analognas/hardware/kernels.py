"""The element-wise steps of an analog layer in one pass each, for float32 on a CPU.

A converter's steps (clip, divide, round, clip, multiply) as tensor operations read and write the tensor once per
step, and torch draws normal numbers one after the other. Here each converter is one loop that the compiler
vectorises, and the noise is made inside it. numba compiles the loops on first use and keeps them on disk; it is
used because it needs no compiler on the user's machine.

Arrays are flat views of dense memory; where a position matters, the layout is given as strides. The same steps
as tensor operations, for other devices and types, are in ``analognas.hardware.converters``.

The noise is counter-based: element i of a call is a function of i and three keys alone (a 32-bit integer hash gives
a radius and an angle, Box and Muller's transform makes two normal numbers of them), so elements are independent of each
other, calls with keys drawn at random are too, and the order of computation does not matter.
"""

# numba ships no types
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

_f4, _i4, _u4 = np.float32, np.int32, np.uint32

#: Elements whose noise is drawn together: the first half has the cosines, the second the sines.
BLOCK = 1024
HALF = BLOCK // 2

_LN2 = _f4(math.log(2))
_HALF_ANGLE = _f4(math.pi * 2.0**-32)
# log(1 + y) = y - y^2 / 2 + y^3 p(y) for 1 + y within [sqrt(1/2), sqrt(2)); sin(h) / h and cos(h) in h^2 for h within
# [-pi/2, pi/2]: least squares on Chebyshev points of these intervals.
_LOG = (_f4(0.33330885), _f4(-0.24957886), _f4(0.20221645), _f4(-0.18256676), _f4(0.12644587))
_SIN = (_f4(0.99999923), _f4(-0.16665679), _f4(0.0083132247), _f4(-0.00018523449))
_COS = (_f4(0.99999326), _f4(-0.49991211), _f4(0.041487381), _f4(-0.0012711104))
# Divisions by zero give infinities as in torch. Sums may be reordered, products and sums joined: within float32
# rounding, and the same on the same kind of processor.
SUMS = {"reassoc", "contract"}


def loop(fastmath: Any = False) -> Any:
    """Return the decorator of the loops that are called from Python: compiled code is kept where that is possible."""

    def decorate(function: Any) -> Any:
        try:
            return njit(error_model="numpy", fastmath=fastmath, nogil=True, cache=True)(function)
        except RuntimeError:  # neither the package's folder nor the user's can be written
            return njit(error_model="numpy", fastmath=fastmath, nogil=True)(function)

    return decorate


@njit(inline="always")
def _hash(x: Any, key: Any) -> Any:
    """32-bit integer hash "lowbias32" (C. Wellons, hash-prospector), a bijection with little bias; keyed half-way."""
    x = _u4(x ^ _u4(x >> _u4(16)))
    x = _u4(_u4(x * _u4(0x7FEB352D)) + key)
    x = _u4(x ^ _u4(x >> _u4(15)))
    x = _u4(x * _u4(0x846CA68B))
    return _u4(x ^ _u4(x >> _u4(16)))


@njit(inline="always")
def normal_pair(index: Any, key0: Any, key1: Any, key2: Any) -> Any:
    """Two independent standard normal numbers (Box and Muller, Annals of Mathematical Statistics 29, 1958).

    Of the hash's 32 bits, 20 are the radius (up to 5.4) and 12 the angle, so a pair is one of 2^32 points.
    Logarithm, sine and cosine (of half the angle) are polynomials through Chebyshev points with errors below 1e-5:
    library calls would not be vectorised.
    """
    bits = _hash(_u4(_u4(_u4(index) * key0) + key1), key2)
    uniform = np.float32((_f4(_i4(bits >> _u4(12))) + _f4(0.5)) * _f4(2.0**-20))  # in (0, 1)
    # 2^exponent * (1 + y) with 1 + y within [sqrt(1/2), sqrt(2))
    float_bits = uniform.view(np.int32)
    exponent = _i4(_i4(float_bits - _i4(0x3F3504F3)) >> _i4(23))
    y = np.int32(float_bits - _i4(exponent << _i4(23))).view(np.float32) - _f4(1.0)
    p = _LOG[0] + y * (_LOG[1] + y * (_LOG[2] + y * (_LOG[3] + y * _LOG[4])))
    logarithm = y + y * y * (p * y - _f4(0.5)) + _f4(exponent) * _LN2
    radius = np.sqrt(_f4(-2.0) * logarithm)
    half = _f4(_i4(_u4(bits << _u4(20)))) * _HALF_ANGLE  # in [-pi/2, pi/2)
    h2 = half * half
    s = half * (_SIN[0] + h2 * (_SIN[1] + h2 * (_SIN[2] + h2 * _SIN[3])))
    c = _COS[0] + h2 * (_COS[1] + h2 * (_COS[2] + h2 * _COS[3]))
    doubled = _f4(2) * (radius * s)
    return radius - doubled * s, doubled * c


@loop({"contract"})
def normal(out: Array, key0: Any, key1: Any, key2: Any) -> None:
    """Fill ``out`` (n,) with the noise that ``to_output`` adds for these keys."""
    drawn = np.empty(BLOCK, np.float32)
    for block in range((out.size + BLOCK - 1) // BLOCK):
        start = block * BLOCK
        for j in range(HALF):
            drawn[j], drawn[HALF + j] = normal_pair(block * HALF + j, key0, key1, key2)
        for j in range(min(BLOCK, out.size - start)):
            out[start + j] = drawn[j]


@loop()
def to_input(x: Array, out: Array, input_range: Any, step: Any, bound: Any) -> None:
    """Digital-to-analog converter: clip ``x`` (n,) at the range, divide by it, quantise, clip; into ``out`` (n,).

    ``step`` 0 quantises nothing; without a range it is 1 and nothing is clipped there (pass infinities).
    """
    limit = abs(input_range)
    unit = _f4(1.0) if math.isinf(input_range) else input_range
    if step != 0:
        for i in range(x.size):
            value = min(max(x[i], -limit), limit) / unit
            out[i] = min(max(np.rint(value / step) * step, -bound), bound)
    else:
        for i in range(x.size):
            value = min(max(x[i], -limit), limit) / unit
            out[i] = min(max(value, -bound), bound)


@loop({"contract"})
def to_output(
    z: Array, noise: Any, step: Any, bound: Any, limit: Any, factors: Any, keys: Any, inside: NDArray[np.uint8]
) -> int:
    """Analog-to-digital converter, in place on ``z`` (n,): add noise, quantise, clip, scale.

    Args:
        z: sums of products, replaced by the output.
        noise: standard deviation of the noise; 0 draws none.
        step: of the converter; 0 quantises nothing.
        bound: of the converter.
        limit: values up to it (``bound`` or just below) let gradients through.
        factors: three numbers that the output is multiplied with, one after the other.
        keys: three random 32-bit keys, the first odd.
        inside: where values let gradients through, (n,) or (0,) if that is not needed.

    Returns:
        How many do not.
    """
    f0, f1, f2 = factors
    key0, key1, key2 = keys
    outside = 0
    drawn = np.zeros(BLOCK, np.float32)
    for block in range((z.size + BLOCK - 1) // BLOCK):
        start = block * BLOCK
        count = min(BLOCK, z.size - start)
        if noise > 0:
            for j in range(HALF):
                drawn[j], drawn[HALF + j] = normal_pair(block * HALF + j, key0, key1, key2)
        for j in range(count):
            value = z[start + j] + noise * drawn[j]
            if step != 0:
                value = np.rint(value / step) * step
            outside += not (-limit <= value <= limit)
            if inside.size:
                inside[start + j] = -limit <= value <= limit
            z[start + j] = min(max(value, -bound), bound) * f0 * f1 * f2
    return outside


@loop({"contract"})
def to_next(
    z: Array, noise: Any, step: Any, bound: Any, scale: Array, shift: Array, before: Array, least: Any, keys: Any
) -> None:
    """Analog-to-digital converter and what follows it, in place on ``z`` (pixels, channels).

    As ``to_output`` without gradients; then ``value * scale + shift`` per channel (n,), plus ``before`` (as many
    values as ``z``, or none), and at least ``least``.
    """
    channels = z.shape[1]
    flat, added = z.reshape(-1), before.reshape(-1)
    key0, key1, key2 = keys
    block = channels * max(1, BLOCK // channels)  # whole pixels
    half = (block + 1) // 2
    drawn = np.zeros(2 * half, np.float32)
    scales, shifts = np.empty(block, np.float32), np.empty(block, np.float32)
    unit = step if step != 0 else _f4(1.0)
    for j in range(block):  # the step's factor is joined with the scale
        scales[j], shifts[j] = scale[j % channels] * unit, shift[j % channels]
    per_unit, limit = _f4(1.0) / unit, bound / unit
    for number in range((flat.size + block - 1) // block):
        start = number * block
        if noise > 0:
            for j in range(half):
                drawn[j], drawn[half + j] = normal_pair(number * half + j, key0, key1, key2)
        part = flat[start : start + block]
        if step != 0:
            for j in range(part.size):
                part[j] = np.rint((part[j] + noise * drawn[j]) * per_unit)
        elif noise > 0:
            for j in range(part.size):
                part[j] += noise * drawn[j]
        if added.size:
            other = added[start : start + block]
            for j in range(part.size):
                value = min(max(part[j], -limit), limit) * scales[j] + shifts[j] + other[j]
                part[j] = max(value, least)
        else:
            for j in range(part.size):
                part[j] = max(min(max(part[j], -limit), limit) * scales[j] + shifts[j], least)


@loop(SUMS)
def from_output(gradient: Array, output: Array, inside: NDArray[np.uint8], factor: Any, out: Array) -> float:
    """Back through the analog-to-digital converter: ``gradient * factor`` where gradients pass, into ``out``.

    Returns:
        The sum of ``gradient * output``.
    """
    total = 0.0
    for block in range((gradient.size + BLOCK - 1) // BLOCK):
        part = slice(block * BLOCK, (block + 1) * BLOCK)
        total += _from_output(gradient[part], output[part], factor, out[part])
        if inside.size:
            for i in range(part.start, min(part.stop, gradient.size)):
                if not inside[i]:
                    out[i] = _f4(0.0)
    return total


@njit(inline="never", error_model="numpy", fastmath=SUMS)
def _from_output(gradient: Array, output: Array, factor: Any, out: Array) -> float:
    total = _f4(0.0)
    for i in range(gradient.size):
        total += gradient[i] * output[i]
        out[i] = gradient[i] * factor
    return float(total)


@njit(inline="always")
def passes(x: Any, top: Any, unit: Any, step: Any, limit: Any) -> Any:
    """Whether gradients pass the digital-to-analog converter's own clipping at ``x``."""
    value = min(max(x, -top), top) / unit
    if step != 0:
        value = np.rint(value / step) * step
    return abs(value) <= limit


@loop(SUMS)
def from_input(
    d_input: Array, x: Array, input_range: Any, range_limit: Any, step: Any, limit: Any, dense: Any, out: Array
) -> tuple[float, float, float, int]:
    """Back through the digital-to-analog converter: the gradient of ``x``, into ``out`` (n,).

    Args:
        d_input: gradient of the converter's output, (n,).
        x: its input, (n,).
        input_range: as in ``to_input``.
        range_limit: inputs up to it (the range or just below) let gradients through.
        step: as in ``to_input``.
        limit: as in ``to_output``, of the input converter.
        dense: whether each input is used once, so that the clipped ones can be summed here.
        out: gradient of ``x``.

    Returns:
        The sum of gradient times clipped input (for the range's gradient); and, if ``dense``, the sums of the
        negative gradients at the upper and of the positive ones at the lower end of the range, and how many
        inputs are clipped.
    """
    top = abs(input_range)
    unit = _f4(1.0) if math.isinf(input_range) else input_range
    total, upper, lower, clipped = 0.0, 0.0, 0.0, 0
    where = np.empty(BLOCK, np.int32)
    for block in range((x.size + BLOCK - 1) // BLOCK):
        part = slice(block * BLOCK, (block + 1) * BLOCK)
        sums, beyond = _from_input(d_input[part], x[part], top, unit, input_range, range_limit, step, limit, out[part])
        total += sums
        if dense and beyond:
            clipped += beyond
            own, slopes = x[part], d_input[part]
            for j in range(beyond_of(own, input_range, where)):
                i = np.uintp(where[j])
                if passes(own[i], top, unit, step, limit):
                    value = min(max(own[i], -top), top)
                    if value >= input_range:
                        upper += min(float(slopes[i] / unit), 0.0)
                    if value <= -input_range:
                        lower += max(float(slopes[i] / unit), 0.0)
    return total, upper, lower, clipped


@njit(inline="never", error_model="numpy", fastmath=SUMS)
def _from_input(
    d_input: Array, x: Array, top: Any, unit: Any, input_range: Any, range_limit: Any, step: Any, limit: Any, out: Array
) -> tuple[float, int]:
    total, beyond = _f4(0.0), _i4(0)
    for i in range(x.size):
        inner = d_input[i] / unit if passes(x[i], top, unit, step, limit) else _f4(0.0)
        total += inner * min(max(x[i], -top), top)
        out[i] = inner if abs(x[i]) <= range_limit else _f4(0.0)
        beyond += _i4(0) if abs(x[i]) < input_range else _i4(1)
    return float(total), int(beyond)


@njit(inline="never", error_model="numpy")
def beyond_of(x: Array, input_range: Any, where: NDArray[np.int32]) -> Any:
    """Write where ``x`` (n,) is clipped at the range into ``where`` (n,), and return how often; without a branch."""
    count = np.uintp(0)
    for i in range(np.uintp(x.size)):
        where[count] = i
        count += np.uintp(0) if abs(x[i]) < input_range else np.uintp(1)
    return count


@njit(inline="never", error_model="numpy")
def any_beyond(x: Array, input_range: Any) -> Any:
    """Whether any value of ``x`` is clipped at the range."""
    beyond = _i4(0)
    for i in range(x.size):
        beyond |= _i4(0) if abs(x[i]) < input_range else _i4(1)
    return beyond


@loop(SUMS)
def clipped_terms(
    x: Array,
    gradient: Array,
    weight: Array,
    taps: Any,
    rows: Any,
    input_range: Any,
    step: Any,
    limit: Any,
) -> tuple[float, float, int]:
    """What clipped inputs of a convolution add to the gradient of its input range.

    aihwkit takes the negative (at the upper end, the positive at the lower) part of each gradient *before* they
    are summed over the positions of the kernel, so the sum that a convolution's backward pass gives is not
    enough. Only at the clipped inputs, which are few, the terms are computed one by one.

    Args:
        x: input (images, height, width, channels).
        gradient: of the sums of products (images, height, width, outputs).
        weight: (channels, kh, kw, outputs).
        taps: stride, padding, dilation, each vertical and horizontal.
        rows: first row of the matrix (channels * kh * kw) that is on this tile, and the one after the last.
        input_range, step, limit: as in ``from_input``.

    Returns:
        The sums of the negative terms at the upper and of the positive ones at the lower end, and the number of
        clipped entries of the unfolded input.
    """
    _, height, width, channels = x.shape
    _, out_height, out_width, outputs = gradient.shape
    _, kh, kw, _ = weight.shape
    sy, sx, py, px, dy, dx = taps
    first, last = rows
    upper, lower, clipped = 0.0, 0.0, 0
    top = abs(input_range)
    flat, weights, gradients = x.reshape(-1), weight.reshape(-1), gradient.reshape(-1)
    for block in range((flat.size + 255) // 256):
        start = block * 256
        if not any_beyond(flat[start : start + 256], input_range):
            continue
        for i in range(start, min(start + 256, flat.size)):
            if abs(flat[i]) < input_range:
                continue
            value = min(max(flat[i], -top), top)
            rest, channel = divmod(i, channels)
            rest, column = divmod(rest, width)
            n, row = divmod(rest, height)
            through = passes(value, top, input_range, step, limit)
            for ky in range(kh):
                oy = row + py - ky * dy
                if sy > 1:
                    oy, left = divmod(oy, sy)
                    if left:
                        continue
                if oy < 0 or oy >= out_height:
                    continue
                for kx in range(kw):
                    ox = column + px - kx * dx
                    if sx > 1:
                        ox, left = divmod(ox, sx)
                        if left:
                            continue
                    if ox < 0 or ox >= out_width or not first <= (channel * kh + ky) * kw + kx < last:
                        continue
                    clipped += 1
                    if through:
                        # Unsigned: no look at what a negative index would mean, so the sum is vectorised.
                        a = np.uintp(((channel * kh + ky) * kw + kx) * outputs)
                        b = np.uintp(((n * out_height + oy) * out_width + ox) * outputs)
                        term = _f4(0.0)
                        for o in range(np.uintp(outputs)):
                            term += weights[a + o] * gradients[b + o]
                        term /= input_range
                        if value >= input_range:
                            upper += min(float(term), 0.0)
                        if value <= -input_range:
                            lower += max(float(term), 0.0)
    return upper, lower, clipped
