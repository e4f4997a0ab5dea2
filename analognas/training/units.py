"""Convolution, batch-norm, sum and ReLU as one unit of a network in training, with its gradients, without autograd.

Everything lies with the images last in memory (``analognas.hardware.images_last``), in arrays that are made once for
each size of batch. What a tile computes is what ``analognas.hardware.mvm`` does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from analognas.hardware import image_loops as loops
from analognas.hardware import images_last, kernels
from analognas.hardware.bounds import at_bounds
from analognas.hardware.converters import Window, limit_of, uses
from analognas.hardware.images_last import array_of
from analognas.hardware.layers import NOISY, FastConvolution, tile_converters
from analognas.hardware.mvm import range_gradient

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

_f4 = np.float32
_NO_KEYS = np.uint32(1), np.uint32(0), np.uint32(0)
_EMPTY = np.empty(0, np.float32)
_NOTHING = np.empty(0, np.uint8)


@dataclass
class Room:
    """What a part keeps of one size of batch between its passes."""

    where: images_last.Geometry
    uses: NDArray[np.float64] | None = None
    clipped_some: bool = False
    range: np.float32 = field(default_factory=lambda: _f4(math.inf))
    factor: np.float32 = field(default_factory=lambda: _f4(1))

    @property
    def size(self) -> int:
        """The number of values that come out."""
        return math.prod(self.where.out_shape)


class Desk:
    """Memory by name that is used again and again, for batches of every size.

    That of all units together holds what is needed within a pass only, so that it stays in the cache; each has another
    one for what its backward pass needs of the forward pass.
    """

    def __init__(self) -> None:
        self._arrays: dict[str, NDArray[Any]] = {}

    def array(self, name: str, size: int, dtype: Any = np.float32) -> NDArray[Any]:
        """Return an array with whatever is in it; the next one of this name has the same memory."""
        array = self._arrays.get(name)
        if array is None or array.size < size:
            array = self._arrays[name] = np.empty(size, dtype)
        return array[:size]

    def clear(self) -> None:
        """Give all of it back."""
        self._arrays.clear()


class Part:
    """The product of a digital convolution, or of one tile of an analog one.

    Args:
        weight: the parameter.
        window: of the layer on the tile.
        channels: of the input that it reads, first and one after the last.
        outputs: that it has a part in, first and one after the last.
        tile: aihwkit's, or None.
    """

    def __init__(
        self, weight: nn.Parameter, window: Window, channels: tuple[int, int], outputs: tuple[int, int], tile: Any
    ) -> None:
        self.weight, self.window, self.channels, self.outputs, self.tile = weight, window, channels, outputs, tile
        self.rows = window.rows[1] - window.rows[0]
        self.whole = self.rows == (channels[1] - channels[0]) * window.kernel[0] * window.kernel[1]
        multiplied = weight if tile is None else tile.__dict__[NOISY]
        self._matrix = array_of(multiplied)
        self.d_weight = np.empty((outputs[1] - outputs[0], self.rows), np.float32)
        #: Parameters with the arrays that hold their gradients.
        self.gradients: list[tuple[nn.Parameter, Tensor]] = [
            (weight, torch.from_numpy(self.d_weight).view(weight.shape))
        ]
        self._rooms: dict[tuple[int, ...], Room] = {}
        self._kept = Desk()
        if tile is None:
            return
        self._converters = tile_converters(tile.rpu_config.forward)
        given = self._converters
        self._in = _f4(given.inp_step), _f4(given.inp_bound)
        self._out = tuple(
            _f4(value)
            for value in (given.noise, given.out_step, given.out_bound, limit_of(given.out_bound, at_bounds().output))
        )
        self._scale = array_of(tile.mapping_scales[:1])
        self._range = None if tile.input_range is None else array_of(tile.input_range)
        if self._range is not None:
            self._index = array_of(tile.input_range_update_idx)
            self.d_range = np.empty(1, np.float32)
            self.gradients.append((tile.input_range, torch.from_numpy(self.d_range)))

    @property
    def draws(self) -> bool:
        """Whether noise is drawn in each step."""
        return self.tile is not None and self._converters.noise > 0

    def room(self, shape: tuple[int, int, int, int]) -> Room:
        """Return what is kept for inputs of this shape (N, C, H, W)."""
        room = self._rooms.get(shape)
        if room is None:
            window, outputs = self.window, self.outputs[1] - self.outputs[0]
            own = (shape[0], self.channels[1] - self.channels[0], *shape[2:])
            room = Room(images_last.geometry(own, outputs, window.kernel, window.stride, window.padding))
            if self.tile is not None and self._range is not None:
                room.uses = uses(window, own[1:]).numpy().reshape(-1)
            self._rooms[shape] = room
        return room

    def release(self) -> None:
        """Give the memory for batches back."""
        self._kept.clear()

    def out(self, room: Room) -> Array:
        """Return the memory for its part of outputs, where these are sums."""
        return self._kept.array("out", room.size)

    def _inside(self, room: Room) -> NDArray[np.uint8]:
        return self._kept.array("inside", room.size, np.uint8)

    def forward(self, x: Array, room: Room, out: Array, drawn: Any, desk: Desk) -> None:
        """Write the product with its part of the input into ``out``."""
        if self.tile is not None and self._range is not None:
            self._follow(x, room)
            room.range = self._range[0]
        images_last.convolve(self._lines(x, room, desk), self._kernels(), room.where, out)
        if self.tile is not None:
            # In float32 as aihwkit multiplies range and scale.
            own = self._scale[0] if self._range is None else self._range[0] * self._scale[0]
            factors = _f4(self._converters.out_scale), own, _f4(1)
            room.factor = _f4(self._converters.out_scale * float(own))
            room.clipped_some = bool(kernels.to_output(out, *self._out, factors, drawn, self._inside(room)))

    def backward(self, gradient: Array, x: Array, room: Room, out: Array, d_x: Array | None, desk: Desk) -> None:
        """Write the gradients of weights and range, and of its part of the input into ``d_x`` if that is wanted.

        Args:
            gradient: of ``out``.
            x: its part of the input.
            room: of the forward pass.
            out: what that wrote.
            d_x: as ``x``.
            desk: for what is needed meanwhile.
        """
        where, padded = room.where, desk.array("padded", room.where.gradients)
        if self.tile is None:
            loops.pad(gradient, padded, where.places)
        else:
            inside = self._inside(room) if room.clipped_some else _NOTHING
            total = loops.from_output(gradient, out, inside, room.factor, padded, where.places)
        lines = self._lines(x, room, desk)
        if self.whole:
            images_last.kernel_gradient(padded, lines, where, self.d_weight)
        else:
            first, last = self.window.rows
            self.d_weight[:] = images_last.kernel_gradient(padded, lines, where)[:, first:last]
        if self.tile is None:
            if d_x is not None:
                images_last.input_gradient(padded, self._kernels(), where, d_x)
            return
        matrix, passing, step = self._kernels(), at_bounds(), self._in[0]
        limit = _f4(limit_of(self._converters.inp_bound, passing.input))
        range_limit = _f4(limit_of(abs(float(room.range)), passing.input_range))
        d_lines = desk.array("gradient of lines", x.size)
        images_last.input_gradient(padded, matrix, where, d_lines)
        once = self.window.dense and self._range is not None
        into = desk.array("unwanted", x.size) if d_x is None else d_x
        inner, *terms = kernels.from_input(d_lines, x, room.range, range_limit, step, limit, once, into)
        if self._range is None:
            return
        if not once:
            terms = loops.clipped_terms(
                x, padded, matrix, where.places, self.window.kernel, self.window.rows, room.range, step, limit
            )
        parameters = self.tile.rpu_config.pre_post.input_range
        own = range_gradient(parameters, room.range, inner, tuple(terms), self._entries(where))
        self.d_range[0] = own + _f4(total) / room.range  # the range multiplies the output too

    def _lines(self, x: Array, room: Room, desk: Desk) -> Array:
        """Return the lines of its part of the input, through the converter of a tile.

        They are laid out again for the gradients: kept from the forward pass, those of all layers would take as much
        memory as all values do, and longer to read than to make.
        """
        lines = desk.array("lines", room.where.lines)
        if self.tile is None:
            loops.spread(x, lines, room.where.places, False, _f4(math.inf), _f4(0), _f4(math.inf))
        else:
            loops.spread(x, lines, room.where.places, True, room.range, *self._in)
        return lines

    def _kernels(self) -> Array:
        """Return the matrix as kernels; rows that are not on the tile are zero."""
        if self.whole:
            return self._matrix
        outputs, channels = self.outputs[1] - self.outputs[0], self.channels[1] - self.channels[0]
        padded = np.zeros((outputs, channels * self.window.kernel[0] * self.window.kernel[1]), np.float32)
        padded[:, self.window.rows[0] : self.window.rows[1]] = self._matrix.reshape(outputs, self.rows)
        return padded.reshape(-1)

    def _entries(self, where: images_last.Geometry) -> int:
        return where.out_shape[0] * where.out_shape[2] * where.out_shape[3] * self.rows

    def _follow(self, x: Array, room: Room) -> None:
        """Let the range follow the data in its first batches, as ``layers`` does."""
        parameters, index = self.tile.rpu_config.pre_post.input_range, self._index[0]
        if index >= parameters.init_from_data:
            return
        assert self._range is not None
        std = _f4(loops.unfolded_deviation(x, room.uses, float(self._entries(room.where))))
        if std > 0:
            self._range[0] = (self._range[0] * index + _f4(parameters.init_std_alpha) * std) / (index + _f4(1))
            self._index[0] += 1
        self._range[0] = abs(self._range[0])


class Unit:
    """A convolution, the batch-norm after it, perhaps the sum with another value, perhaps a ReLU.

    Args:
        layer: ``Conv2d`` or ``FastConvolution`` without bias.
        norm: with learned factors and running statistics.
        source: number of the value that it reads.
        other: number of the value that is added, or None.
        rectified: whether a ReLU follows.
    """

    def __init__(self, layer: nn.Module, norm: nn.BatchNorm2d, source: int, other: int | None, rectified: bool) -> None:
        self.norm, self.source, self.other, self.rectified = norm, source, other, rectified
        self.parts = list(_parts(layer))
        held = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
        assert norm.momentum is not None
        self._held = [array_of(tensor) for tensor in held if tensor is not None]
        self._settings = _f4(norm.momentum), _f4(norm.eps)
        assert norm.num_batches_tracked is not None
        self._count = norm.num_batches_tracked.numpy()
        self._d_norm = [np.empty(norm.num_features, np.float32) for _ in range(2)]
        self.gradients = [pair for part in self.parts for pair in part.gradients]
        self.gradients += zip((norm.weight, norm.bias), map(torch.from_numpy, self._d_norm), strict=True)
        self._numbers = np.empty((3, norm.num_features), np.float32)
        self._shapes: dict[tuple[int, ...], tuple[int, int, int, int]] = {}
        self._kept = Desk()

    def out_shape(self, shape: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        """Return the shape of the output for that of the input."""
        made = self._shapes.get(shape)
        if made is None:
            images, _, height, width = self.parts[0].room(shape).where.out_shape
            made = self._shapes[shape] = images, self.norm.num_features, height, width
        return made

    def forward(self, x: Array, shape: tuple[int, int, int, int], other: Array | None, drawn: Any, desk: Desk) -> Array:
        """Return the output, for ``drawn``: an iterator over the keys of the noise of each tile."""
        (_, _, height, width), z, out = self._space(shape)
        pixels, size = shape[0] * shape[2] * shape[3], shape[0] * height * width
        z_begun = 0
        for part in self.parts:
            room = part.room(shape)
            read = x[part.channels[0] * pixels : part.channels[1] * pixels]
            into = z[part.outputs[0] * size : part.outputs[1] * size]
            own = next(drawn) if part.draws else _NO_KEYS
            if len(self.parts) == 1:
                part.forward(read, room, into, own, desk)
                continue
            product = part.out(room)
            part.forward(read, room, product, own, desk)
            if part.outputs[1] > z_begun:  # the first that has a part in these outputs
                into[:] = product
                z_begun = part.outputs[1]
            else:
                into += product
        added = _EMPTY if other is None else other
        least = _f4(0.0 if self.rectified else -math.inf)
        loops.normalise(z, *self._held, *self._settings, self._numbers, added, least, out)
        self._count += 1
        return out

    def backward(self, x: Array, shape: tuple[int, int, int, int], values: Values) -> None:
        """Write the gradients of the parameters, and add those of the values that were read."""
        (_, _, height, width), z, out = self._space(shape)
        pixels, size = shape[0] * shape[2] * shape[3], shape[0] * height * width
        begun, more = (False, _EMPTY) if self.other in (None, 0) else values.to_be_changed(self.other)
        d_z = values.desk.array("z", z.size)
        loops.normalise_back(
            values.gradient_of(self), out, z, self._numbers, self.rectified, *self._d_norm, more, begun, d_z
        )
        wanted = self.source != 0
        for part in self.parts:
            room = part.room(shape)
            read = slice(part.channels[0] * pixels, part.channels[1] * pixels)
            outputs = slice(part.outputs[0] * size, part.outputs[1] * size)
            result = z if len(self.parts) == 1 else part.out(room)
            if not wanted:
                part.backward(d_z[outputs], x[read], room, result, None, values.desk)
                continue
            begun, into = values.to_be_changed(self.source)
            if not begun and len(self.parts) == 1:
                part.backward(d_z, x, room, result, into, values.desk)
                continue
            if not begun:
                into[:] = 0
            own = values.desk.array("own", read.stop - read.start)
            part.backward(d_z[outputs], x[read], room, result, own, values.desk)
            into[read] += own
        values.done(self)

    def release(self) -> None:
        """Give the memory for batches back."""
        self._kept.clear()
        for part in self.parts:
            part.release()

    def _space(self, shape: tuple[int, int, int, int]) -> tuple[tuple[int, int, int, int], Array, Array]:
        """Return the shape of the output, and the memory of the product and of the output."""
        out_shape = self.out_shape(shape)
        size = math.prod(out_shape)
        return out_shape, self._kept.array("product", size), self._kept.array("out", size)


class Values:
    """The gradients of the values between units, each begun by the first that adds to it.

    Each lasts until the unit that gave the value has used it; its memory is another one's then.
    """

    def __init__(self, units: list[Unit], sizes: list[int], desk: Desk) -> None:
        self.desk = desk
        self._numbers = {id(unit): number for number, unit in enumerate(units, start=1)}
        self._sizes = sizes
        self._gradients: dict[int, Array] = {}
        self._free: dict[int, list[Array]] = {}

    def begin(self, gradient: Array) -> None:
        """Begin with the gradient of the last value."""
        for number in list(self._gradients):  # of a step that was not finished
            self._leave(number)
        self.to_be_changed(len(self._sizes) - 1)[1][:] = gradient

    def gradient_of(self, unit: Unit) -> Array:
        """Return the gradient of what a unit gives."""
        return self._gradients[self._numbers[id(unit)]]

    def to_be_changed(self, number: int | None) -> tuple[bool, Array]:
        """Return whether a gradient has been begun, and its memory; from now on it has."""
        assert number is not None
        begun = number in self._gradients
        if not begun:
            size = self._sizes[number]
            free = self._free.get(size)
            self._gradients[number] = free.pop() if free else np.empty(size, np.float32)
        return begun, self._gradients[number]

    def done(self, unit: Unit) -> None:
        """Give the memory of the gradient of what a unit gave to others."""
        self._leave(self._numbers[id(unit)])

    def _leave(self, number: int) -> None:
        self._free.setdefault(self._sizes[number], []).append(self._gradients.pop(number))


def key_numbers(count: int) -> Any:
    """Return an iterator over keys of noise for so many tiles, drawn from torch's global generator."""
    if count == 0:
        return iter(())
    drawn = torch.randint(1 << 32, (count, 3)).numpy().astype(np.uint32)
    drawn[:, 0] |= np.uint32(1)
    return iter(map(tuple, drawn))


def _parts(layer: Any) -> Any:
    if isinstance(layer, FastConvolution):
        for (begin, end), window, column in layer.columns():
            start = 0
            for tile in column:
                weight = tile.tile.weight
                yield Part(weight, window, (begin, end), (start, start + len(weight)), tile)
                start += len(weight)
        return
    window = Window(layer.kernel_size, layer.stride, layer.padding, layer.dilation, (0, layer.weight[0].numel()))
    yield Part(layer.weight, window, (0, layer.in_channels), (0, layer.out_channels), None)
