"""Products of matrices whose columns lie side by side in memory, in the widest vectors that the processor has.

The compiler of the loops finds vectors by itself where a loop works value by value. In a product it does not see that
sums may stay in registers over the whole inner loop, which is most of what a processor can do. So the inner loops are
written here as LLVM's vectors: a block of rows times a block of columns at a time.

A sum has the same order whatever the width of the vectors, and so whatever the block an output is computed in.
"""

# numba and llvmlite ship no types
# mypy: disable-error-code="untyped-decorator,no-untyped-call"

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic

from analognas.hardware.kernels import loop

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]
    Numbers = NDArray[np.int64]


def _lanes() -> int:
    told = config.CPU_FEATURES
    features = binding.get_host_cpu_features().flatten() if told is None else told
    return 16 if "+avx512f" in features else 8


#: Values in a vector.
LANES = _lanes()
#: Vectors side by side, and rows, of a block: their sums fit into the registers.
SIDE_BY_SIDE, ROWS = (4, 4) if LANES == 16 else (2, 4)

#: Values of a row that are taken at once in a correlation: what they are multiplied with stays at hand.
_CHUNK = 512

_FLOAT, _INDEX = ir.FloatType(), ir.IntType(64)
_VECTOR = ir.VectorType(_FLOAT, LANES)
_JOINED = ("contract",)  # product and sum in one instruction, where there is one


def _memory(context: Any, builder: Any, kind: Any, array: Any) -> Any:
    return context.make_array(kind)(context, builder, array).data


def _at(builder: Any, pointer: Any, offset: Any) -> Any:
    return builder.gep(pointer, [_INDEX(offset) if isinstance(offset, int) else offset])


def _load(builder: Any, pointer: Any) -> Any:
    return builder.load(builder.bitcast(pointer, _VECTOR.as_pointer()), align=4)


def _store(builder: Any, vector: Any, pointer: Any) -> None:
    builder.store(vector, builder.bitcast(pointer, _VECTOR.as_pointer()), align=4)


def _everywhere(builder: Any, value: Any) -> Any:
    nothing = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(nothing, value, ir.IntType(32)(0))
    return builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


def _joined(builder: Any, a: Any, b: Any, c: Any) -> Any:
    return builder.fadd(builder.fmul(a, b, flags=_JOINED), c, flags=_JOINED)


def _product_of(rows: int, vectors: int) -> Any:
    @intrinsic
    def block(
        _: Any, source: Any, begin: Any, offsets: Any, matrix: Any, first: Any, length: Any, out: Any, to: Any, row: Any
    ) -> Any:
        given = (source, begin, offsets, matrix, first, length, out, to, row)

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            source, begin, offsets, matrix, first, length, out, to, row = (
                _memory(context, builder, kind, value) if isinstance(kind, types.Array) else value
                for kind, value in zip(signature.args, arguments, strict=True)
            )
            sums = [[cgutils.alloca_once(builder, _VECTOR) for _ in range(vectors)] for _ in range(rows)]
            for own in sums:
                for each in own:
                    builder.store(ir.Constant(_VECTOR, [0.0] * LANES), each)
            begun = _at(builder, source, begin)
            factors = [
                _at(builder, matrix, builder.add(first, builder.mul(length, _INDEX(place)))) for place in range(rows)
            ]
            with cgutils.for_range(builder, length) as loop:
                start = _at(builder, begun, builder.load(_at(builder, offsets, loop.index)))
                values = [_load(builder, _at(builder, start, place * LANES)) for place in range(vectors)]
                for own, factor in zip(sums, factors, strict=True):
                    spread = _everywhere(builder, builder.load(_at(builder, factor, loop.index)))
                    for each, value in zip(own, values, strict=True):
                        builder.store(_joined(builder, spread, value, builder.load(each)), each)
            for place, own in enumerate(sums):
                end = _at(builder, out, builder.add(to, builder.mul(row, _INDEX(place))))
                for number, each in enumerate(own):
                    _store(builder, builder.load(each), _at(builder, end, number * LANES))
            return context.get_dummy_value()

        return types.void(*given), code

    return block


def _correlation_of(rows: int, columns: int) -> Any:
    @intrinsic
    def block(
        _: Any, left: Any, begin: Any, row: Any, right: Any, start: Any, offsets: Any, first: Any, vectors: Any,
        sums: Any, place: Any,
    ) -> Any:  # fmt: skip
        given = (left, begin, row, right, start, offsets, first, vectors, sums, place)

        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            left, begin, row, right, start, offsets, first, vectors, sums, place = (
                _memory(context, builder, kind, value) if isinstance(kind, types.Array) else value
                for kind, value in zip(signature.args, arguments, strict=True)
            )
            lefts = [_at(builder, left, builder.add(begin, builder.mul(row, _INDEX(r)))) for r in range(rows)]
            rights = []
            for column in range(columns):
                offset = builder.load(_at(builder, offsets, builder.add(first, _INDEX(column))))
                rights.append(_at(builder, right, builder.add(start, offset)))
            kept = [cgutils.alloca_once(builder, _VECTOR) for _ in range(rows * columns)]
            held = [_at(builder, sums, builder.add(place, _INDEX(n * LANES))) for n in range(rows * columns)]
            for own, where in zip(kept, held, strict=True):
                builder.store(_load(builder, where), own)
            with cgutils.for_range(builder, vectors) as loop:
                along = builder.mul(loop.index, _INDEX(LANES))
                values = [_load(builder, _at(builder, pointer, along)) for pointer in lefts]
                for column, pointer in enumerate(rights):
                    other = _load(builder, _at(builder, pointer, along))
                    for number, value in enumerate(values):
                        own = kept[number * columns + column]
                        builder.store(_joined(builder, value, other, builder.load(own)), own)
            for own, where in zip(kept, held, strict=True):
                _store(builder, builder.load(own), where)
            return context.get_dummy_value()

        return types.void(*given), code

    return block


#: ``block(source, begin, offsets, matrix, first, length, out, to, row)``: for rows r and lanes j of a block
#: ``out[to + r * row + j] = sum over k of matrix[first + r * length + k] * source[begin + offsets[k] + j]``.
#: All arrays are flat, float32 and of integers of 64 bits, as are the numbers.
_product_wide = _product_of(ROWS, SIDE_BY_SIDE)
_product_narrow = _product_of(ROWS, 1)
_product_row_wide = _product_of(1, SIDE_BY_SIDE)
_product_row_narrow = _product_of(1, 1)

#: ``block(left, begin, row, right, start, offsets, first, vectors, sums, place)``: for rows r and columns c of a block
#: and lanes j, over the whole vectors from j on, ``left[begin + r * row + j] * right[start + offsets[first + c] + j]``
#: is added to ``sums[place + (r * columns + c) * LANES + j]``.
_correlation = _correlation_of(ROWS, ROWS)
_correlation_row = _correlation_of(1, ROWS)
_correlation_column = _correlation_of(ROWS, 1)
_correlation_single = _correlation_of(1, 1)


@loop({"contract"})
def products(
    source: Array, row: int, offsets: Numbers, matrix: Array, outputs: int, rows: int, run: int,
    out: Array, to: int, plane: int, out_row: int,
) -> None:  # fmt: skip
    """Multiply ``matrix`` (outputs * offsets,) with shifted rows of ``source``.

    ``out[to + o * plane + y * out_row + j]`` becomes the sum over k of ``matrix[o * len(offsets) + k]`` times
    ``source[offsets[k] + y * row + j]``, for ``rows`` y and j below ``run``.
    """
    length = offsets.size
    if row == run == out_row:
        run, rows = run * rows, 1
    for y in range(rows):
        start, end = y * row, to + y * out_row
        if run < LANES:
            for o in range(outputs):
                for j in range(run):
                    total = np.float32(0)
                    for k in range(length):
                        total += matrix[o * length + k] * source[start + offsets[k] + j]
                    out[end + o * plane + j] = total
            continue
        j = 0
        while j < run:
            wide = run - j >= SIDE_BY_SIDE * LANES
            at = j if wide else min(j, run - LANES)  # the last ones twice rather than one by one
            for o in range(0, outputs, ROWS if outputs >= ROWS else 1):
                own = min(o, outputs - ROWS) if outputs >= ROWS else o
                first, into = own * length, end + own * plane + at
                if outputs >= ROWS and wide:
                    _product_wide(source, start + at, offsets, matrix, first, length, out, into, plane)
                elif outputs >= ROWS:
                    _product_narrow(source, start + at, offsets, matrix, first, length, out, into, plane)
                elif wide:
                    _product_row_wide(source, start + at, offsets, matrix, first, length, out, into, plane)
                else:
                    _product_row_narrow(source, start + at, offsets, matrix, first, length, out, into, plane)
            j += SIDE_BY_SIDE * LANES if wide else LANES


@loop({"contract"})
def correlate(
    left: Array, begin: int, plane: int, left_row: int, right: Array, row: int, offsets: Numbers, rows: int, run: int,
    out: Array,
) -> None:  # fmt: skip
    """Multiply shifted rows of ``left`` and ``right`` and sum over them: into ``out`` (planes of left, offsets).

    ``out[o, k]`` is the sum of ``left[begin + o * plane + y * left_row + j] * right[offsets[k] + y * row + j]`` over
    ``rows`` y and j below ``run``. Whole vectors are read: beyond the end of a row ``left`` has to be zero up to the
    next vector, and ``right`` anything finite.
    """
    outputs, taps = out.shape
    if row == run == left_row:
        run, rows = run * rows, 1
    high, wide = ROWS if outputs >= ROWS else 1, ROWS if taps >= ROWS else 1
    down, across = (outputs + high - 1) // high, (taps + wide - 1) // wide
    size = high * wide * LANES
    sums = np.zeros(down * across * size, np.float32)
    for y in range(rows):
        for start in range(0, run, _CHUNK):
            count = (min(_CHUNK, run - start) + LANES - 1) // LANES
            own_left, own_right = begin + y * left_row + start, y * row + start
            for k in range(across):
                first = min(k * wide, taps - wide)  # the last ones twice rather than one by one
                for o in range(down):
                    a = own_left + min(o * high, outputs - high) * plane
                    at = (k * down + o) * size
                    if high == ROWS and wide == ROWS:
                        _correlation(left, a, plane, right, own_right, offsets, first, count, sums, at)
                    elif high == ROWS:
                        _correlation_column(left, a, plane, right, own_right, offsets, first, count, sums, at)
                    elif wide == ROWS:
                        _correlation_row(left, a, plane, right, own_right, offsets, first, count, sums, at)
                    else:
                        _correlation_single(left, a, plane, right, own_right, offsets, first, count, sums, at)
    for k in range(across):
        first = min(k * wide, taps - wide)
        for o in range(down):
            own = min(o * high, outputs - high)
            at = (k * down + o) * size
            for r in range(high):
                for c in range(wide):
                    total = np.float32(0)
                    for lane in range(LANES):
                        total += sums[at + (r * wide + c) * LANES + lane]
                    out[own + r, first + c] = total
